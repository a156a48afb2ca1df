package posix

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// longest is the longest payload of the links of these tests: many times a ring.
const longest = 1 << 20

// eachRing runs f as a subtest with the two ends of a link over rings, with bells and
// with knocks.
func eachRing(t *testing.T, f func(t *testing.T, client, server *Link)) {
	for name, c := range carriers {
		if c.profiles&protocol.ProfileRing == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			before := eventfds(t)
			client, server := c.mustLink(t,
				ServerConfig{MaxRequestPayloadBytes: longest, MaxResponsePayloadBytes: longest},
				ClientConfig{MaxRequestPayloadBytes: longest})
			if client.Session().SelectedProfile != protocol.ProfileRing || (eventfds(t) > before) != (name == "rings") {
				t.Fatalf("not over %s", name)
			}
			f(t, client, server)
		})
	}
}

// eventfds is how many this process has: two on each side of a link over rings with bells.
func eventfds(t testing.TB) int {
	t.Helper()
	n := 0
	for _, fd := range strings.Fields(namesIn(t, "/proc/self/fd")) {
		if what, err := os.Readlink("/proc/self/fd/" + fd); err == nil && what == "anon_inode:[eventfd]" {
			n++
		}
	}
	return n
}

// pattern is the payload of a message.
func pattern(id uint64, length int) []byte {
	p := make([]byte, length)
	for i := range p {
		p[i] = byte(int(id)*31 + i*7)
	}
	return p
}

// answerAll answers requests with their own payload, n of them at a time, the last first.
func answerAll(link *Link, n int) error {
	for {
		type message struct {
			id      uint64
			payload []byte
		}
		var taken []message
		for range n {
			h, payload, err := link.Receive(time.Time{})
			if err != nil {
				return err
			}
			taken = append(taken, message{h.MessageID, bytes.Clone(payload)})
		}
		for i := len(taken) - 1; i >= 0; i-- {
			if err := link.Send(response(taken[i].id), taken[i].payload, time.Time{}); err != nil {
				return err
			}
		}
	}
}

func TestManyRequestsAreInFlightAndAnsweredInAnyOrder(t *testing.T) {
	const inFlight = 100
	eachRing(t, func(t *testing.T, client, server *Link) {
		go answerAll(server, inFlight)
		for round := range uint64(20) {
			for id := round * inFlight; id < (round+1)*inFlight; id++ {
				noError(t, client.Send(request(id), pattern(id, int(id%200)), soon()))
			}
			wantError(t, client.Send(request(round*inFlight), nil, soon()), ErrDuplicateMsgID)
			for id := (round+1)*inFlight - 1; id+1 > round*inFlight; id-- {
				h, payload, err := client.Receive(soon())
				if err != nil || h.MessageID != id || !bytes.Equal(payload, pattern(id, int(id%200))) {
					t.Fatalf("received %+v, %d bytes instead of %d (%v)", h, len(payload), id, err)
				}
			}
		}
	})
}

func TestMessagesOfAnyLengthPassInParts(t *testing.T) {
	eachRing(t, func(t *testing.T, client, server *Link) {
		go answerAll(server, 1)
		for id, length := range []int{0, 1, 24, 25, 8216, 8217, 32768, 65537, longest - 1, longest, 0} {
			sent := pattern(uint64(id), length)
			noError(t, client.Send(request(uint64(id)), sent, soon()))
			_, got, err := client.Receive(soon())
			if err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("%d bytes: %d came back (%v)", length, len(got), err)
			}
		}
	})
}

func TestASenderIsHeldBackAndLosesNothing(t *testing.T) {
	eachRing(t, func(t *testing.T, client, server *Link) {
		sent, lost := uint64(0), error(nil)
		for ; lost == nil; sent++ {
			lost = client.Send(request(sent), pattern(sent, 24), time.Now().Add(20*time.Millisecond))
		}
		wantError(t, lost, ErrTimeout)
		if sent--; sent < 64 {
			t.Errorf("only %d are under way", sent)
		}
		for id := range sent {
			h, payload, err := server.Receive(soon())
			if err != nil || h.MessageID != id || !bytes.Equal(payload, pattern(id, 24)) {
				t.Fatalf("received %+v, %d bytes instead of %d (%v)", h, len(payload), id, err)
			}
		}
	})
}

func TestAMessageThatTookTooLongIsReceivedLater(t *testing.T) {
	eachRing(t, func(t *testing.T, client, server *Link) {
		sent := make(chan error, 1)
		go func() { sent <- client.Send(request(1), pattern(1, longest), soon()) }()
		tries := 0
		for {
			_, got, err := server.Receive(time.Now().Add(100 * time.Microsecond))
			if err == nil {
				if !bytes.Equal(got, pattern(1, longest)) {
					t.Error("another message came")
				}
				break
			}
			wantError(t, err, ErrTimeout)
			tries++
		}
		noError(t, await(t, "Send returns", sent))
		t.Logf("received after %d timeouts", tries)
	})
}

func TestWhatEndsAWaitForRoom(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(client, server *Link)
		want error
	}{
		"interrupt":      {func(client, _ *Link) { client.Interrupt() }, ErrAborted},
		"close":          {func(client, _ *Link) { client.Close() }, ErrSend},
		"peer goes away": {func(_, server *Link) { server.Close() }, ErrSend},
	} {
		t.Run(name, func(t *testing.T) {
			eachRing(t, func(t *testing.T, client, server *Link) {
				result := make(chan error, 1)
				go func() { result <- client.Send(request(1), make([]byte, longest), time.Time{}) }()
				awaitSleep(t, "(*Link).Send(")
				c.end(client, server)
				wantError(t, await(t, "Send returns", result), c.want)
			})
		})
	}
}

func TestWhoStoppedReceivingIsNotKeptFromSending(t *testing.T) {
	eachRing(t, func(t *testing.T, client, server *Link) {
		result := make(chan error, 1)
		go func() { result <- server.Send(response(1), pattern(1, longest), time.Time{}) }()
		awaitSleep(t, "(*Link).Send(")
		server.StopReceiving()
		noError(t, client.Send(request(1), nil, soon()))
		_, got, err := client.Receive(soon())
		if err != nil || !bytes.Equal(got, pattern(1, longest)) {
			t.Errorf("received %d bytes (%v)", len(got), err)
		}
		noError(t, await(t, "Send returns", result))
		_, _, err = server.Receive(soon())
		wantError(t, err, ErrAborted)
		go func() { result <- server.Send(response(1), pattern(1, longest), time.Time{}) }()
		awaitSleep(t, "(*Link).Send(")
		client.Close()
		wantError(t, await(t, "Send returns", result), ErrSend)
	})
}

// awaitSleep waits until a goroutine waits in the poller on behalf of function.
func awaitSleep(t testing.TB, function string) {
	t.Helper()
	eventually(t, "somebody sleeps in "+function, func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		for goroutine := range bytes.SplitSeq(stacks, []byte("\n\n")) {
			if bytes.Contains(goroutine, []byte("[IO wait")) && bytes.Contains(goroutine, []byte(function)) {
				return true
			}
		}
		return false
	})
}

func TestInterruptsAndRingsNeverLoseEachOther(t *testing.T) {
	for _, name := range []string{"rings", "rings with knocks"} {
		c := carriers[name]
		for range 100 {
			client, server := c.mustLink(t, ServerConfig{}, ClientConfig{})
			result := make(chan error, 2)
			go func() {
				_, _, err := client.Receive(time.Now().Add(time.Minute))
				result <- err
			}()
			go func() {
				_, _, err := server.Receive(time.Time{})
				result <- err
			}()
			var group sync.WaitGroup
			group.Add(2)
			go func() { client.Interrupt(); group.Done() }()
			go func() { server.StopReceiving(); group.Done() }()
			group.Wait()
			for range 2 {
				wantError(t, await(t, "Receive returns", result), ErrAborted)
			}
			client.Close()
			server.Close()
		}
	}
}

func TestNoticesAtOnceThatAPeerOverRingsWasKilled(t *testing.T) {
	for name, c := range map[string]struct {
		client []string // what becomes of it before it is killed
		wait   func(server *Link) error
	}{
		"while waiting for a record": {nil, func(server *Link) error {
			_, _, err := server.Receive(time.Time{})
			return err
		}},
		"while waiting for room": {[]string{"and take no answer"}, func(server *Link) error {
			return server.Send(response(1), make([]byte, longest), time.Time{})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			for where, in := range map[string]func(testing.TB, func()){"bells": anywhere, "knocks": whereDescriptorsAreScarce} {
				t.Run(where, func(t *testing.T) {
					dir := shortDir(t)
					l := mustListen(t, dir, ServerConfig{SupportedProfiles: turns, MaxResponsePayloadBytes: longest})
					child := startChild(t, "ask over rings", dir, c.client...)
					var link *Link
					in(t, func() {
						pending, err := l.AcceptPending()
						noError(t, err)
						link, err = pending.Accept(context.Background(), l.currentConfig())
						noError(t, err)
					})
					defer link.Close()
					child.expect("asked")
					_, _, err := link.Receive(soon())
					noError(t, err)
					result := make(chan error, 1)
					go func() { result <- c.wait(link) }()
					awaitSleep(t, "(*Link).")
					child.kill()
					err = await(t, "the wait ends", result)
					if !errors.Is(err, ErrRecv) && !errors.Is(err, ErrSend) {
						t.Errorf("it ends with %v", err)
					}
				})
			}
		})
	}
}

func TestStrangersKnock(t *testing.T) {
	needsRoot(t, "cannot be somebody else")
	dir := shortDir(t)
	noError(t, os.Chmod(dir, 0o755))
	l := mustListen(t, dir, ServerConfig{SupportedProfiles: turns})
	noError(t, os.Chmod(socketIn(dir), 0o666))
	const nobody = 65534
	program := filepath.Join(dir, "program") // where nobody can run it
	content, err := os.ReadFile(os.Args[0])
	noError(t, err)
	noError(t, os.WriteFile(program, content, 0o755))
	command := exec.Command(program, dir)
	command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	before := eventfds(t)
	stranger := startCommand(t, command, "ask over rings")
	pending, err := l.AcceptPending()
	noError(t, err)
	link, err := pending.Accept(context.Background(), l.currentConfig())
	noError(t, err)
	defer link.Close()
	if link.Session().SelectedProfile != protocol.ProfileRing || eventfds(t) != before {
		t.Error("a stranger was given bells, or no rings")
	}
	stranger.expect("asked")
	h, payload, err := link.Receive(soon())
	if err != nil || string(payload) != "x" {
		t.Fatalf("received %q (%v)", payload, err)
	}
	noError(t, link.Send(response(h.MessageID), payload, soon()))
	stranger.expect("answered")
}

func init() {
	// Connects, asks once, tells of the answer unless it is to take none, and stays until it
	// is killed.
	children["ask over rings"] = func(dir string, how []string) error {
		link, err := Dial(context.Background(), dir, "svc", &ClientConfig{SupportedProfiles: protocol.ProfileRing})
		if err != nil {
			return err
		}
		if err := link.Send(request(1), []byte("x"), time.Time{}); err != nil {
			return err
		}
		fmt.Println("asked")
		if len(how) == 0 {
			if _, _, err := link.Receive(time.Time{}); err == nil {
				fmt.Println("answered")
			}
		}
		stay(link)
		return nil
	}
}

func TestAnEndedLinkOverRingsLeavesNothingBehind(t *testing.T) {
	rings := func() int {
		maps, err := os.ReadFile("/proc/self/maps")
		noError(t, err)
		return bytes.Count(maps, []byte("netipc-ring"))
	}
	descriptors := func() int { return len(strings.Fields(namesIn(t, "/proc/self/fd"))) }
	round := func() {
		l, err := Listen(shortDir(t), "svc", ServerConfig{SupportedProfiles: turns})
		noError(t, err)
		defer l.Close()
		client, server := mustLink(t, l, &ClientConfig{SupportedProfiles: turns})
		noError(t, client.Send(request(1), nil, soon()))
		_, _, err = server.Receive(soon())
		noError(t, err)
		server.Close()
		client.Close()
	}
	round()
	mapped, open, running := rings(), descriptors(), runtime.NumGoroutine()
	for range 20 {
		round()
	}
	eventually(t, "nothing is left", func() bool {
		return rings() <= mapped && descriptors() <= open && runtime.NumGoroutine() <= running
	})
	awaitWatchers(t, 0)
}
