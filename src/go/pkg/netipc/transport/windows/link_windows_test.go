package windows

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// eachCarrier runs f once for every way messages of a link can travel.
func eachCarrier(t *testing.T, f func(t *testing.T, client, server *Link)) {
	for name, profile := range map[string]uint32{"pipe": protocol.ProfileBaseline, "events": WinShmProfileHybrid, "busy waiting": WinShmProfileBusywait} {
		t.Run(name, func(t *testing.T) {
			supported := protocol.ProfileBaseline | profile
			client, server := mustLink(t, ownDir(t), ServerConfig{SupportedProfiles: supported, AuthToken: 9, MaxRequestPayloadBytes: 5000,
				MaxRequestBatchItems: 10, MaxResponsePayloadBytes: 100000},
				ClientConfig{SupportedProfiles: supported, AuthToken: 9, MaxRequestPayloadBytes: 5000, MaxRequestBatchItems: 10})
			if s := client.Session(); s.SelectedProfile != profile || client.UsesSharedMemory() != (profile != protocol.ProfileBaseline) {
				t.Fatalf("selected %#x, without shared memory for %v", s.SelectedProfile, server.WithoutSharedMemory())
			}
			f(t, client, server)
		})
	}
}

// mustLink makes the two ends of a link.
func mustLink(t testing.TB, dir string, config ServerConfig, offer ClientConfig) (client, server *Link) {
	t.Helper()
	l := mustListen(t, dir, config)
	accepted := make(chan *Link, 2)
	go func() {
		for {
			pending, err := l.AcceptPending()
			if err != nil {
				return
			}
			if link, err := pending.Accept(context.Background(), config); err == nil {
				accepted <- link
			}
		}
	}()
	client, err := Dial(context.Background(), dir, "svc", &offer)
	noError(t, err)
	t.Cleanup(client.Close)
	server = await(t, "Accept returns", accepted)
	t.Cleanup(server.Close)
	return client, server
}

func init() {
	// Serves until it is killed: answers every message but empty ones with the same.
	children["answer"] = func(dir string, args []string) error {
		profile, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return err
		}
		config := ServerConfig{SupportedProfiles: uint32(profile)}
		l, err := Listen(dir, "svc", config)
		if err != nil {
			return err
		}
		fmt.Println("listening")
		pending, err := l.AcceptPending()
		if err != nil {
			return err
		}
		link, err := pending.Accept(context.Background(), config)
		if err != nil {
			return err
		}
		for {
			h, payload, err := link.Receive(time.Time{})
			if err != nil {
				return err
			}
			if len(payload) == 0 {
				fmt.Println("asked for nothing")
				continue
			}
			if err := link.Send(response(h.MessageID), payload, time.Time{}); err != nil {
				return err
			}
		}
	}
	// Connects, asks, and stays until it is killed.
	children["ask"] = func(dir string, args []string) error {
		profile, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return err
		}
		link, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: uint32(profile)})
		if err != nil {
			return err
		}
		if err := link.Send(request(1), nil, time.Time{}); err != nil {
			return err
		}
		fmt.Println("asked")
		_, _, err = link.Receive(time.Time{})
		return err
	}
}

func TestALinkGoesThereAndBack(t *testing.T) {
	eachCarrier(t, func(t *testing.T, client, server *Link) {
		for id := range uint64(200) {
			question := make([]byte, id*20)
			noError(t, client.Send(request(id), question, soon()))
			h, payload, err := server.Receive(soon())
			if err != nil || h.MessageID != id || len(payload) != len(question) {
				t.Fatalf("received %+v, %d bytes (%v)", h, len(payload), err)
			}
			answer := make([]byte, id*300) // what a pipe holds, as nobody receives meanwhile
			for i := range answer {
				answer[i] = byte(id)
			}
			noError(t, server.Send(response(id), answer, soon()))
			h, payload, err = client.Receive(soon())
			if err != nil || h.MessageID != id || string(payload) != string(answer) {
				t.Fatalf("received %+v, %d bytes (%v)", h, len(payload), err)
			}
		}
	})
}

func TestALinkEndsAtItsDeadline(t *testing.T) {
	eachCarrier(t, func(t *testing.T, client, server *Link) {
		for range 2 {
			deadline := time.Now().Add(20 * time.Millisecond)
			_, _, err := client.Receive(deadline)
			wantError(t, err, ErrTimeout)
			if errors.Is(err, ErrRecv) || time.Now().Before(deadline) {
				t.Errorf("%v, %v too early", err, time.Until(deadline))
			}
		}
		noError(t, client.Send(request(1), nil, soon()))
		_, _, err := server.Receive(time.Now().Add(-time.Second))
		noError(t, err) // what is there is there
	})
}

func TestWhatEndsTheWaitOnALink(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(client, server *Link)
		want error
	}{
		"interrupt":      {func(_, server *Link) { server.Interrupt() }, ErrAborted},
		"stop receiving": {func(_, server *Link) { server.StopReceiving() }, ErrAborted},
		"peer goes away": {func(client, _ *Link) { client.Close() }, ErrRecv},
	} {
		t.Run(name, func(t *testing.T) {
			eachCarrier(t, func(t *testing.T, client, server *Link) {
				result := make(chan error, 1)
				go func() {
					_, _, err := server.Receive(time.Time{})
					result <- err
				}()
				c.end(client, server)
				wantError(t, await(t, "Receive returns", result), c.want)
				_, _, err := server.Receive(soon()) // it stays so
				wantError(t, err, c.want)
			})
		})
	}
	t.Run("close", func(t *testing.T) {
		eachCarrier(t, func(t *testing.T, client, server *Link) {
			result := make(chan error, 1)
			go func() {
				_, _, err := server.Receive(time.Time{})
				result <- err
			}()
			server.Close()
			server.Close()
			if await(t, "Receive returns", result) == nil {
				t.Error("received something")
			}
			_, _, err := client.Receive(soon())
			wantError(t, err, ErrRecv)
		})
	})
}

func TestALinkThatStoppedReceivingCanStillAnswer(t *testing.T) {
	eachCarrier(t, func(t *testing.T, client, server *Link) {
		noError(t, client.Send(request(1), nil, soon()))
		_, _, err := server.Receive(soon())
		noError(t, err)
		server.StopReceiving()
		noError(t, server.Send(response(1), []byte("done"), soon()))
		server.Close()
		_, payload, err := client.Receive(soon())
		if err != nil || string(payload) != "done" {
			t.Errorf("received %q (%v)", payload, err)
		}
	})
}

func TestNoticesAtOnceThatTheServerWasKilled(t *testing.T) {
	for _, profile := range []uint32{protocol.ProfileBaseline, WinShmProfileHybrid, WinShmProfileBusywait} {
		dir := ownDir(t)
		server := startChild(t, "answer", dir, strconv.Itoa(int(profile)))
		server.expect("listening")
		client, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: profile})
		noError(t, err)
		defer client.Close()
		noError(t, client.Send(request(1), []byte("hello"), soon()))
		_, payload, err := client.Receive(soon())
		if err != nil || string(payload) != "hello" {
			t.Fatalf("received %q (%v)", payload, err)
		}
		noError(t, client.Send(request(2), nil, soon()))
		server.expect("asked for nothing")
		result := make(chan error, 1)
		go func() {
			_, _, err := client.Receive(time.Time{})
			result <- err
		}()
		server.kill()
		wantError(t, await(t, "Receive returns", result), ErrRecv)
	}
}

func TestNoticesAtOnceThatTheClientWasKilled(t *testing.T) {
	for _, profile := range []uint32{protocol.ProfileBaseline, WinShmProfileHybrid, WinShmProfileBusywait} {
		dir := ownDir(t)
		config := ServerConfig{SupportedProfiles: profile}
		l := mustListen(t, dir, config)
		client := startChild(t, "ask", dir, strconv.Itoa(int(profile)))
		pending, err := l.AcceptPending()
		noError(t, err)
		link, err := pending.Accept(context.Background(), config)
		noError(t, err)
		client.expect("asked")
		_, _, err = link.Receive(soon())
		noError(t, err)
		client.kill()
		_, _, err = link.Receive(time.Time{})
		wantError(t, err, ErrRecv)
		link.Close()
	}
}

func TestTakesAnotherNumberIfARegionIsInUse(t *testing.T) {
	dir := ownDir(t)
	for id := range uint64(3) {
		other, err := WinShmServerCreate(dir, "svc", 0, id+1, WinShmProfileHybrid, 100, 100)
		noError(t, err)
		defer other.WinShmDestroy()
	}
	client, server := mustLink(t, dir, ServerConfig{SupportedProfiles: WinShmProfileHybrid}, ClientConfig{SupportedProfiles: WinShmProfileHybrid})
	if !client.UsesSharedMemory() || client.Session().SessionID != 4 || server.Session().SessionID != 4 {
		t.Errorf("session %d here, %d there", client.Session().SessionID, server.Session().SessionID)
	}
}

func TestConnectsAgainIfTheRegionCannotBeOpened(t *testing.T) {
	// The server grants shared memory it does not make.
	const shares = protocol.ProfileBaseline | WinShmProfileHybrid | WinShmProfileBusywait
	dir := ownDir(t)
	l := mustListen(t, dir, ServerConfig{})
	sessions := make(chan *Session, 3)
	go func() {
		for {
			s, err := l.AcceptWithConfig(9, ServerConfig{SupportedProfiles: shares})
			if errors.Is(err, ErrAccept) {
				return
			}
			sessions <- s
		}
	}()
	client, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: shares})
	noError(t, err)
	defer client.Close()
	first, second := await(t, "first session", sessions), await(t, "second session", sessions)
	if client.UsesSharedMemory() || first.SelectedProfile != WinShmProfileBusywait || second.SelectedProfile != protocol.ProfileBaseline {
		t.Errorf("profiles %d and then %d", first.SelectedProfile, second.SelectedProfile)
	}
	wantError(t, client.WithoutSharedMemory(), ErrWinShmOpenMapping)
	if _, _, err := first.Receive(nil); !errors.Is(err, ErrRecv) {
		t.Errorf("the first session goes on: %v", err)
	}
	_, err = Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: WinShmProfileHybrid})
	wantError(t, err, ErrNoProfile)
	wantError(t, err, ErrWinShmOpenMapping)
}

func TestPlayingWithSharedMemoryEndsTheLink(t *testing.T) {
	for name, play := range map[string]func(s *Session, c *WinShmContext){
		"length of 0":        func(_ *Session, c *WinShmContext) { forge(c, 0) },
		"length of 2 GiB":    func(_ *Session, c *WinShmContext) { forge(c, 1<<31-1) },
		"negative length":    func(_ *Session, c *WinShmContext) { forge(c, -1) },
		"packet on the side": func(s *Session, _ *WinShmContext) { s.conn.Send([]byte("psst"), nil, soon()) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := ownDir(t)
			config := ServerConfig{SupportedProfiles: WinShmProfileHybrid}
			l := mustListen(t, dir, config)
			accepted := make(chan *Link, 1)
			go func() {
				pending, err := l.AcceptPending()
				if err == nil {
					var link *Link
					if link, err = pending.Accept(context.Background(), config); err == nil {
						accepted <- link
					}
				}
			}()
			client, err := Connect(dir, "svc", &ClientConfig{SupportedProfiles: WinShmProfileHybrid})
			noError(t, err)
			defer client.Close()
			server := await(t, "Accept returns", accepted)
			defer server.Close()
			shared, err := WinShmClientAttach(dir, "svc", 0, client.SessionID, WinShmProfileHybrid) // it is there by now
			noError(t, err)
			defer shared.WinShmClose()
			play(client, shared)
			_, _, err = server.Receive(soon())
			wantError(t, err, ErrProtocol)
		})
	}
}

func TestTheHintOfAClientIsGrantedUpToTheCeiling(t *testing.T) {
	dir := ownDir(t)
	l := mustListen(t, dir, ServerConfig{})
	l.SetResponseCeiling(5000)
	go func() {
		for {
			pending, err := l.AcceptPending()
			if err != nil {
				return
			}
			if link, err := pending.Accept(context.Background(), ServerConfig{MaxResponsePayloadBytes: 2000}); err == nil {
				defer link.Close()
			}
		}
	}()
	for hint, granted := range map[uint32]uint32{1000: 2000, 3000: 3000, 9000: 5000} {
		client, err := Dial(context.Background(), dir, "svc", &ClientConfig{MaxResponsePayloadBytes: hint})
		noError(t, err)
		if got := client.Session().MaxResponsePayloadBytes; got != granted {
			t.Errorf("asked for %d, got %d", hint, got)
		}
		client.Close()
	}
}

func TestOffersOnlyWhatThisSystemHas(t *testing.T) {
	dir := ownDir(t)
	_, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: protocol.ProfileSHMWaitAddr})
	wantError(t, err, ErrNoProfile)
	client, _ := mustLink(t, dir, ServerConfig{}, ClientConfig{SupportedProfiles: 0xff, PreferredProfiles: 0xff})
	if client.Session().SelectedProfile != protocol.ProfileBaseline {
		t.Errorf("selected %#x", client.Session().SelectedProfile)
	}
}

func TestALinkAllocatesNothingPerMessage(t *testing.T) {
	eachCarrier(t, func(t *testing.T, client, server *Link) {
		question, answer, payload := request(1), response(1), make([]byte, 8)
		deadline := soon()
		allocatesNothing(t, func() {
			noError(t, client.Send(question, payload, deadline))
			_, _, err := server.Receive(deadline)
			noError(t, err)
			noError(t, server.Send(answer, payload, deadline))
			_, _, err = client.Receive(deadline)
			noError(t, err)
		})
	})
}
