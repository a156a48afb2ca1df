//go:build unix

package posix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A carrierCase is what links are tested with: profiles, and what to make the link in.
type carrierCase struct {
	profiles uint32
	in       func(t testing.TB, make func())
}

func (c *carrierCase) mustLink(t testing.TB, server ServerConfig, client ClientConfig) (*Link, *Link) {
	t.Helper()
	server.SupportedProfiles, client.SupportedProfiles = c.profiles, c.profiles
	var clientEnd, serverEnd *Link
	c.in(t, func() { clientEnd, serverEnd = mustLink(t, mustListen(t, shortDir(t), server), &client) })
	return clientEnd, serverEnd
}

func anywhere(_ testing.TB, make func()) { make() }

// eachCarrier runs f as a subtest with the two ends of a link over each carrier.
func eachCarrier(t *testing.T, f func(t *testing.T, client, server *Link)) {
	for name, c := range carriers {
		t.Run(name, func(t *testing.T) {
			client, server := c.mustLink(t,
				ServerConfig{MaxRequestPayloadBytes: 5000, MaxRequestBatchItems: 10, MaxResponsePayloadBytes: 100000},
				ClientConfig{MaxRequestPayloadBytes: 5000, MaxRequestBatchItems: 10})
			if client.UsesSharedMemory() != (c.profiles != protocol.ProfileBaseline) || server.UsesSharedMemory() != client.UsesSharedMemory() {
				t.Fatalf("%s is used: %v and %v", name, client.UsesSharedMemory(), server.UsesSharedMemory())
			}
			f(t, client, server)
		})
	}
}

// mustLink makes the two ends of a link.
func mustLink(t testing.TB, l *Listener, config *ClientConfig) (client, server *Link) {
	t.Helper()
	accepted := make(chan *Link, 2)
	go func() {
		for {
			pending, err := l.AcceptPending()
			if err != nil {
				return
			}
			if link, err := pending.Accept(context.Background(), l.currentConfig()); err == nil {
				accepted <- link
			}
		}
	}()
	client, err := Dial(context.Background(), l.endpoint.dir, l.endpoint.service, config)
	noError(t, err)
	server = await(t, "Accept returns", accepted)
	for server.Session().SessionID != client.Session().SessionID {
		server.Close()
		server = await(t, "Accept returns", accepted)
	}
	t.Cleanup(client.Close)
	t.Cleanup(server.Close)
	return client, server
}

// awaitWatchers waits until so many links watch their sockets beside shared memory.
func awaitWatchers(t testing.TB, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d links watch their sockets", n), func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		// Those that have not begun to run count, too: they only know who made them.
		return bytes.Count(stacks, []byte("carrier.newLink in goroutine")) == n
	})
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
			answer := make([]byte, id*400)
			for i := range answer {
				answer[i] = byte(id)
			}
			sent := make(chan error, 1)
			go func() { sent <- server.Send(response(id), answer, soon()) }() // it may be longer than a ring
			h, payload, err = client.Receive(soon())
			noError(t, await(t, "Send returns", sent))
			if err != nil || h.MessageID != id || string(payload) != string(answer) {
				t.Fatalf("received %+v, %d bytes (%v)", h, len(payload), err)
			}
		}
	})
}

func TestALinkKeepsToWhatWasAgreed(t *testing.T) {
	eachCarrier(t, func(t *testing.T, client, server *Link) {
		wantError(t, client.Send(request(1), make([]byte, 5001), soon()), ErrLimitExceeded)
		batch := request(1)
		batch.ItemCount = 11
		wantError(t, client.Send(batch, nil, soon()), ErrLimitExceeded)
		noError(t, client.Send(request(1), make([]byte, 5000), soon()))
		_, _, err := server.Receive(soon())
		noError(t, err)
		wantError(t, server.Send(response(1), make([]byte, 100001), soon()), ErrLimitExceeded)
		noError(t, server.Send(response(2), nil, soon()))
		_, _, err = client.Receive(soon())
		wantError(t, err, ErrUnknownMsgID)
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
		_, payload, err := client.Receive(soon())
		if err != nil || string(payload) != "done" {
			t.Errorf("received %q (%v)", payload, err)
		}
		server.Interrupt()
		wantError(t, server.Send(response(1), nil, soon()), ErrAborted)
	})
}

func TestAnAbortComesBeforeWhatIsThere(t *testing.T) {
	eachCarrier(t, func(t *testing.T, client, server *Link) {
		noError(t, client.Send(request(1), nil, soon()))
		server.StopReceiving()
		// As if the wait before had forgotten its deadline just now.
		noError(t, server.conn.in.setDeadline(time.Time{}))
		_, _, err := server.Receive(soon())
		wantError(t, err, ErrAborted)
	})
}

func TestALinkDeliversWhatWasSentBeforeThePeerHungUp(t *testing.T) {
	eachCarrier(t, func(t *testing.T, client, server *Link) {
		noError(t, client.Send(request(1), []byte("last"), soon()))
		client.Close()
		if server.UsesSharedMemory() {
			awaitWatchers(t, 0)
		}
		_, payload, err := server.Receive(soon())
		if err != nil || string(payload) != "last" {
			t.Errorf("received %q (%v)", payload, err)
		}
		_, _, err = server.Receive(soon())
		wantError(t, err, ErrRecv)
	})
}

func TestOffersOnlyWhatThisSystemHas(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{})
	_, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: protocol.ProfileSHMWaitAddr})
	wantError(t, err, ErrNoProfile)
	client, _ := mustLink(t, l, &ClientConfig{SupportedProfiles: 0xff, PreferredProfiles: 0xff})
	if client.Session().SelectedProfile != protocol.ProfileBaseline {
		t.Errorf("selected %#x", client.Session().SelectedProfile)
	}
	other := mustListen(t, shortDir(t), ServerConfig{})
	mustDial(t, other.path)
	pending, err := other.AcceptPending()
	noError(t, err)
	_, err = pending.Accept(context.Background(), ServerConfig{SupportedProfiles: protocol.ProfileSHMWaitAddr})
	wantError(t, err, ErrNoProfile)
}

func BenchmarkLinkRoundTrip(b *testing.B) {
	for name, c := range carriers {
		b.Run(name, func(b *testing.B) {
			client, server := c.mustLink(b, ServerConfig{}, ClientConfig{})
			go func() {
				answer := response(1)
				for {
					_, payload, err := server.Receive(time.Time{})
					if err != nil || server.Send(answer, payload, time.Time{}) != nil {
						return
					}
				}
			}()
			question, payload := request(1), make([]byte, 8)
			b.ReportAllocs()
			for b.Loop() {
				deadline := soon()
				if err := client.Send(question, payload, deadline); err != nil {
					b.Fatal(err)
				}
				if _, _, err := client.Receive(deadline); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
