package posix

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// shares offers shared memory and the socket.
const shares = protocol.ProfileBaseline | protocol.ProfileSHMHybrid

func init() {
	// Serves one client after the other, answering what it is asked, until it is killed;
	// or, asked for nothing, not at all.
	children["answer"] = func(dir string, _ []string) error {
		l, err := Listen(dir, "svc", ServerConfig{SupportedProfiles: shares})
		if err != nil {
			return err
		}
		fmt.Println("listening")
		for {
			pending, err := l.AcceptPending()
			if err != nil {
				return err
			}
			link, err := pending.Accept(context.Background(), l.currentConfig())
			if err != nil {
				return err
			}
			for {
				h, payload, err := link.Receive(time.Time{})
				if err != nil {
					break
				}
				if len(payload) == 0 {
					fmt.Println("asked for nothing")
					continue
				}
				if err := link.Send(response(h.MessageID), payload, time.Time{}); err != nil {
					break
				}
			}
			link.Close()
		}
	}
	// Connects, asks once, and stays until it is killed.
	children["ask"] = func(dir string, _ []string) error {
		link, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: shares})
		if err != nil {
			return err
		}
		if err := link.Send(request(1), []byte("x"), time.Time{}); err != nil {
			return err
		}
		fmt.Println("asked")
		stay(link)
		return nil
	}
}

// mustShareLink makes the two ends of a link through shared memory.
func mustShareLink(t testing.TB) (client, server *Link) {
	t.Helper()
	client, server = mustLink(t, mustListen(t, shortDir(t), ServerConfig{SupportedProfiles: shares}), &ClientConfig{SupportedProfiles: shares})
	if !client.UsesSharedMemory() || !server.UsesSharedMemory() {
		t.Fatal("shared memory is not used")
	}
	return client, server
}

func TestNoticesAtOnceThatTheServerWasKilled(t *testing.T) {
	dir := shortDir(t)
	config := &ClientConfig{SupportedProfiles: shares}
	server := startChild(t, "answer", dir)
	server.expect("listening")
	client, err := Dial(context.Background(), dir, "svc", config)
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

	// Its successor sweeps what it left.
	successor := startChild(t, "answer", dir)
	successor.expect("listening")
	if names := namesIn(t, dir); names != "svc.sock" {
		t.Errorf("directory holds %s", names)
	}
	again, err := Dial(context.Background(), dir, "svc", config)
	noError(t, err)
	again.Close()
}

func TestNoticesAtOnceThatTheClientWasKilled(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{SupportedProfiles: shares})
	for range 3 {
		client := startChild(t, "ask", dir)
		pending, err := l.AcceptPending()
		noError(t, err)
		link, err := pending.Accept(context.Background(), l.currentConfig())
		noError(t, err)
		client.expect("asked")
		_, _, err = link.Receive(soon())
		noError(t, err)
		client.kill()
		_, _, err = link.Receive(time.Time{})
		wantError(t, err, ErrRecv)
		link.Close()
		if names := namesIn(t, dir); names != "svc.sock" {
			t.Errorf("left behind: %s", names)
		}
	}
}

func TestMakesTheRegionBeforeItAnswers(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{SupportedProfiles: shares})
	client := mustDial(t, l.path)
	pending, err := l.AcceptPending()
	noError(t, err)
	if names := namesIn(t, dir); names != "svc.sock" {
		t.Errorf("before HELLO there is %s", names)
	}
	hello := (&ClientConfig{SupportedProfiles: shares}).terms(client).Hello()
	noError(t, client.Send(hello[:], nil, soon()))
	go pending.Accept(context.Background(), l.currentConfig())
	_, err = carrier.ReceiveHandshake(client, soon())
	noError(t, err)
	attached, err := ShmClientAttach(dir, "svc", 1)
	noError(t, err)
	attached.ShmClose()
}

func TestARefusedClientCostsNoRegion(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{SupportedProfiles: shares, AuthToken: 1})
	result := make(chan error, 1)
	go func() {
		_, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: shares, AuthToken: 2})
		result <- err
	}()
	pending, err := l.AcceptPending()
	noError(t, err)
	_, err = pending.Accept(context.Background(), l.currentConfig())
	wantError(t, err, ErrAuthFailed)
	wantError(t, await(t, "Dial returns", result), ErrAuthFailed)
	if names := namesIn(t, dir); names != "svc.sock" {
		t.Errorf("left behind: %s", names)
	}
}

func TestTakesAnotherNumberIfARegionIsInUse(t *testing.T) {
	dir := shortDir(t)
	l := mustListen(t, dir, ServerConfig{SupportedProfiles: shares})
	for id := range uint64(3) {
		other, err := ShmServerCreate(dir, "svc", id+1, 100, 100)
		noError(t, err)
		defer other.ShmDestroy()
	}
	client, server := mustLink(t, l, &ClientConfig{SupportedProfiles: shares})
	if !client.UsesSharedMemory() || client.Session().SessionID != 4 || server.Session().SessionID != 4 {
		t.Errorf("session %d here, %d there", client.Session().SessionID, server.Session().SessionID)
	}
}

func TestDoesWithoutSharedMemoryIfThereIsNoRoom(t *testing.T) {
	needsRoot(t, "cannot mount a small file system")
	dir := shortDir(t)
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("cannot mount a small file system: %v", err)
	}
	defer syscall.Unmount(dir, 0)
	l, err := Listen(dir, "svc", ServerConfig{SupportedProfiles: shares, MaxResponsePayloadBytes: 1 << 20})
	noError(t, err)
	defer l.Close()
	client, server := mustLink(t, l, &ClientConfig{SupportedProfiles: shares})
	defer client.Close()
	defer server.Close()
	if client.UsesSharedMemory() || client.Session().SelectedProfile != protocol.ProfileBaseline {
		t.Error("shared memory is used")
	}
	wantError(t, server.WithoutSharedMemory(), ErrShmAllocate)

	// Nothing else to fall back to.
	result := make(chan error, 1)
	go func() {
		_, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: protocol.ProfileSHMHybrid})
		result <- err
	}()
	wantError(t, await(t, "Dial returns", result), ErrNoProfile)
}

func TestConnectsAgainIfTheRegionCannotBeOpened(t *testing.T) {
	// The server grants shared memory it does not make.
	dir := shortDir(t)
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
	client, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: shares, PreferredProfiles: shares})
	noError(t, err)
	defer client.Close()
	first, second := await(t, "first session", sessions), await(t, "second session", sessions)
	if client.UsesSharedMemory() || first.SelectedProfile != protocol.ProfileSHMHybrid || second.SelectedProfile != protocol.ProfileBaseline {
		t.Errorf("profiles %d and then %d", first.SelectedProfile, second.SelectedProfile)
	}
	wantError(t, client.WithoutSharedMemory(), ErrShmOpen)
	if _, _, err := first.Receive(nil); !errors.Is(err, ErrRecv) {
		t.Errorf("the first session goes on: %v", err)
	}
	_, err = Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: protocol.ProfileSHMHybrid})
	wantError(t, err, ErrNoProfile)
	wantError(t, err, ErrShmOpen)
}

func TestSharedMemoryHoldsOneMessageAtATime(t *testing.T) {
	client, server := mustShareLink(t)
	wantError(t, server.Send(response(1), nil, soon()), ErrBadParam)
	noError(t, client.Send(request(1), nil, soon()))
	wantError(t, client.Send(request(2), nil, soon()), ErrBadParam)
	if h, _, err := server.Receive(soon()); err != nil || h.MessageID != 1 {
		t.Errorf("received %+v (%v)", h, err)
	}
}

func TestAnIdleLinkLeavesNothingBehind(t *testing.T) {
	dir := shortDir(t)
	client, server := mustLink(t, mustListen(t, dir, ServerConfig{SupportedProfiles: shares}), &ClientConfig{SupportedProfiles: shares})
	client.Close()
	server.Close()
	awaitWatchers(t, 0)
	if names := namesIn(t, dir); strings.Contains(names, "ipcshm") {
		t.Errorf("left behind: %s", names)
	}
}

func TestALinkAllocatesNothingPerMessage(t *testing.T) {
	eachCarrier(t, func(t *testing.T, client, server *Link) {
		question, answer, payload := request(1), response(1), make([]byte, 8)
		deadline := soon()
		per := testing.AllocsPerRun(200, func() {
			noError(t, client.Send(question, payload, deadline))
			_, _, err := server.Receive(deadline)
			noError(t, err)
			noError(t, server.Send(answer, payload, deadline))
			_, _, err = client.Receive(deadline)
			noError(t, err)
		})
		if per > 0 {
			t.Errorf("%v allocations for a round trip", per)
		}
	})
}
