package posix

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

func init() {
	// Answers every message it gets in a region with the same, until it is killed.
	children["echo"] = func(dir string, args []string) error {
		id, err := strconv.ParseUint(args[0], 10, 64)
		if err != nil {
			return err
		}
		c, err := ShmServerCreate(dir, "svc", id, 65536, 65536)
		if err != nil {
			return err
		}
		fmt.Println("ready")
		buf := make([]byte, 65536)
		for {
			n, err := c.ShmReceive(buf, 0)
			if err != nil {
				return err
			}
			if err := c.ShmSend(buf[:n]); err != nil {
				return err
			}
		}
	}
}

// mustShare makes the two ends of a region.
func mustShare(t testing.TB, request, response uint32) (client, server *ShmContext) {
	t.Helper()
	dir := shortDir(t)
	server, err := ShmServerCreate(dir, "svc", 1, request, response)
	noError(t, err)
	t.Cleanup(server.ShmDestroy)
	client, err = ShmClientAttach(dir, "svc", 1)
	noError(t, err)
	t.Cleanup(client.ShmClose)
	return client, server
}

func TestSharesMessagesOfAnySize(t *testing.T) {
	client, server := mustShare(t, 1000, 3000)
	buf := make([]byte, 4096)
	for _, c := range []struct {
		from, to *ShmContext
		capacity int
	}{{client, server, 1024}, {server, client, 3008}} {
		for _, size := range []int{1, 32, 63, 64, 65, c.capacity - 1, c.capacity} {
			message := bytes.Repeat([]byte{byte(size)}, size)
			noError(t, c.from.ShmSend(message))
			n, err := c.to.ShmReceive(buf, 1000)
			if err != nil || !bytes.Equal(buf[:n], message) {
				t.Errorf("%d bytes came as %d others (%v)", size, n, err)
			}
		}
		wantError(t, c.from.ShmSend(make([]byte, c.capacity+1)), ErrShmMsgTooLarge)
		wantError(t, c.from.ShmSend(nil), ErrShmBadParam)
	}
	_, err := client.ShmReceive(nil, 1)
	wantError(t, err, ErrShmBadParam)
}

func TestCrossesProcesses(t *testing.T) {
	dir := shortDir(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	startChild(t, "echo", dir, "7").expect("ready")
	client, err := ShmClientAttach(dir, "svc", 7)
	noError(t, err)
	defer client.ShmClose()
	message, buf := make([]byte, 65536), make([]byte, 65536)
	for range 3000 {
		message := message[:1+random.IntN(300)]
		for i := range message {
			message[i] = byte(random.UintN(256))
		}
		noError(t, client.ShmSend(message))
		n, err := client.ShmReceive(buf, uint32(patience/time.Millisecond))
		if err != nil || !bytes.Equal(buf[:n], message) {
			t.Fatalf("%d bytes came as %d others (%v)", len(message), n, err)
		}
	}
}

func TestATimeoutChangesNothing(t *testing.T) {
	client, server := mustShare(t, 100, 100)
	buf := make([]byte, 100)
	for _, ms := range []uint32{1, 50} {
		start := time.Now()
		_, err := server.ShmReceive(buf, ms)
		wantError(t, err, ErrShmTimeout)
		if took := time.Since(start); took < time.Duration(ms)*time.Millisecond {
			t.Errorf("%d ms were over after %v", ms, took)
		}
	}
	noError(t, client.ShmSend([]byte("later")))
	n, err := server.ShmReceive(buf, 1000)
	if err != nil || string(buf[:n]) != "later" {
		t.Errorf("received %q (%v)", buf[:n], err)
	}
}

func TestWakesWithoutAMessageAreNoMessage(t *testing.T) {
	// The bell rings all the time, and every signal to the process interrupts the sleep.
	client, server := mustShare(t, 100, 100)
	stop := make(chan struct{})
	var group sync.WaitGroup
	group.Add(1)
	go func() {
		defer group.Done()
		for {
			select {
			case <-stop:
				return
			default:
				client.out.ring(1)
				syscall.Kill(os.Getpid(), syscall.SIGURG)
			}
		}
	}()
	buf := make([]byte, 100)
	_, err := server.ShmReceive(buf, 30)
	wantError(t, err, ErrShmTimeout)
	for i := range 200 {
		message := []byte(strconv.Itoa(i))
		noError(t, client.ShmSend(message))
		n, err := server.ShmReceive(buf, 10000)
		if err != nil || !bytes.Equal(buf[:n], message) {
			t.Fatalf("received %q (%v) instead of %q", buf[:n], err, message)
		}
	}
	close(stop)
	group.Wait()
}

func TestAMessageTooLargeForTheBufferIsLostAndMeasured(t *testing.T) {
	client, server := mustShare(t, 100, 100)
	noError(t, client.ShmSend(make([]byte, 90)))
	n, err := server.ShmReceive(make([]byte, 89), 1000)
	if wantError(t, err, ErrShmMsgTooLarge); n != 90 {
		t.Errorf("measured %d", n)
	}
	noError(t, client.ShmSend([]byte("next")))
	buf := make([]byte, 100)
	n, err = server.ShmReceive(buf, 1000)
	if err != nil || string(buf[:n]) != "next" {
		t.Errorf("received %q (%v)", buf[:n], err)
	}
}

func TestAForgedLengthIsRefused(t *testing.T) {
	client, server := mustShare(t, 100, 100)
	buf := make([]byte, 1<<20)
	for length, kind := range map[uint32]error{0: ErrShmBadHeader, 129: ErrShmMsgTooLarge, 1<<32 - 1: ErrShmMsgTooLarge} {
		atomic.StoreUint32(client.out.length, length)
		atomic.AddUint64(client.out.sequence, 1)
		client.out.ring(1)
		_, err := server.ShmReceive(buf, 1000)
		wantError(t, err, kind)
	}
	noError(t, client.ShmSend([]byte("fine")))
	if n, err := server.ShmReceive(buf, 1000); err != nil || string(buf[:n]) != "fine" {
		t.Errorf("received %q (%v)", buf[:n], err)
	}
}

func TestStartsFromWhatWasSaidBefore(t *testing.T) {
	client, server := mustShare(t, 100, 100)
	buf := make([]byte, 100)
	noError(t, server.ShmSend([]byte("old")))
	again, err := ShmClientAttach(endpointOf(client), "svc", 1)
	noError(t, err)
	defer again.ShmClose()
	_, err = again.ShmReceive(buf, 1)
	wantError(t, err, ErrShmTimeout)
}

func endpointOf(c *ShmContext) string {
	return c.path[:len(c.path)-len("/svc-0000000000000001.ipcshm")]
}

func TestARegionCutShortIsAnError(t *testing.T) {
	for name, use := range map[string]func(client, server *ShmContext) error{
		"send": func(client, _ *ShmContext) error { return client.ShmSend(make([]byte, 5000)) },
		"receive": func(_, server *ShmContext) error {
			_, err := server.ShmReceive(make([]byte, 100), 1000)
			return err
		},
		"copy out": func(_, server *ShmContext) error { return server.copyOut(make([]byte, 5000)) },
	} {
		t.Run(name, func(t *testing.T) {
			client, server := mustShare(t, 10000, 10000)
			noError(t, os.Truncate(server.path, 0))
			wantError(t, use(client, server), ErrShmBadSize)
			client.OwnerAlive()
		})
	}
	t.Run("asleep", func(t *testing.T) {
		client, server := mustShare(t, 100, 100)
		result := receiveInBackground(server, 0)
		untilAsleep(t, server)
		noError(t, os.Truncate(server.path, 0))
		client.ShmClose()
		server.ShmClose()
		if err := await(t, "ShmReceive returns", result); !errors.Is(err, ErrShmBadParam) && !errors.Is(err, ErrShmBadSize) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("attach", func(t *testing.T) {
		_, server := mustShare(t, 10000, 10000)
		fd, err := syscall.Open(server.path, syscall.O_RDWR, 0)
		noError(t, err)
		defer syscall.Close(fd)
		noError(t, os.Truncate(server.path, 0))
		_, err = attachMapped(fd, server.path, server.file, server.mem)
		wantError(t, err, ErrShmBadSize)
	})
}

func TestAFaultElsewhereIsNotTakenForOne(t *testing.T) {
	client, _ := mustShare(t, 100, 100)
	defer func() {
		if recover() == nil {
			t.Error("the panic was swallowed")
		}
	}()
	func() {
		var err error
		defer catchFault(client.mem, allowFaults(), &err)
		panic("something else")
	}()
}

func receiveInBackground(c *ShmContext, timeoutMs uint32) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := c.ShmReceive(make([]byte, 100), timeoutMs)
		result <- err
	}()
	return result
}

func TestCloseEndsTheWait(t *testing.T) {
	for range 100 {
		_, server := mustShare(t, 100, 100)
		result := receiveInBackground(server, 0)
		var group sync.WaitGroup
		for range 2 {
			group.Add(1)
			go func() { server.ShmDestroy(); group.Done() }()
		}
		group.Wait()
		wantError(t, await(t, "ShmReceive returns", result), ErrShmBadParam)
		wantError(t, server.ShmSend([]byte("x")), ErrShmBadParam)
		_, err := server.ShmReceive(make([]byte, 10), 1)
		wantError(t, err, ErrShmBadParam)
	}
}

func TestEndsTheSleepWithoutDelay(t *testing.T) {
	start := time.Now()
	for range 10 {
		_, server := mustShare(t, 100, 100)
		result := receiveInBackground(server, 0)
		untilAsleep(t, server)
		server.end(ErrAborted)
		wantError(t, await(t, "ShmReceive returns", result), ErrAborted)
	}
	if took := time.Since(start); took > 5*longestSleep {
		t.Errorf("10 sleepers woke after %v: by themselves", took)
	}
}

func TestAPeerThatTurnsTheBellBackCannotKeepUsAsleep(t *testing.T) {
	client, server := mustShare(t, 100, 100)
	result := receiveInBackground(server, 0)
	untilAsleep(t, server)
	// What end does, without the ring: as if it had been turned back in time.
	cause := ErrAborted
	server.ended.Store(&cause)
	wantError(t, await(t, "ShmReceive returns", result), ErrAborted)
	client.ShmClose()
}

// untilAsleep waits until somebody sleeps on the context's bell.
func untilAsleep(t *testing.T, c *ShmContext) {
	t.Helper()
	word := fmt.Sprintf(" %#x ", unsafe.Pointer(c.in.signal))
	eventually(t, "somebody sleeps", func() bool {
		calls, err := filepath.Glob("/proc/self/task/*/syscall")
		if err != nil || len(calls) == 0 {
			t.Skip("this system does not tell in which calls its threads are")
		}
		return slices.ContainsFunc(calls, func(file string) bool {
			call, err := os.ReadFile(file)
			return err == nil && strings.Contains(string(call), word)
		})
	})
}

func TestAZeroContextIsClosed(t *testing.T) {
	var c ShmContext
	c.ShmClose()
	c.ShmDestroy()
	wantError(t, c.ShmSend([]byte("x")), ErrShmBadParam)
	_, err := c.ShmReceive(make([]byte, 10), 1)
	wantError(t, err, ErrShmBadParam)
	if c.Fd() != -1 || c.OwnerAlive() {
		t.Error("it has a descriptor or an owner")
	}
	if _, err := os.Stdin.Stat(); err != nil {
		t.Errorf("descriptor 0 is closed: %v", err)
	}
}
