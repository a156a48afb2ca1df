package windows

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// profiles are those of shared memory, by name.
var profiles = map[string]uint32{"events": WinShmProfileHybrid, "busy waiting": WinShmProfileBusywait}

func eachProfile(t *testing.T, f func(t *testing.T, profile uint32)) {
	for name, profile := range profiles {
		t.Run(name, func(t *testing.T) { f(t, profile) })
	}
}

func init() {
	// Answers every message it gets in a region with the same, until it is killed.
	children["echo"] = func(dir string, args []string) error {
		profile, err := strconv.ParseUint(args[0], 10, 32)
		if err != nil {
			return err
		}
		c, err := WinShmServerCreate(dir, "svc", 42, 7, uint32(profile), 65536, 65536)
		if err != nil {
			return err
		}
		fmt.Println("ready")
		buf := make([]byte, 65536)
		for {
			n, err := c.WinShmReceive(buf, 0)
			if err != nil {
				return err
			}
			if err := c.WinShmSend(buf[:n]); err != nil {
				return err
			}
		}
	}
}

// mustShare makes the two ends of a region.
func mustShare(t testing.TB, profile, request, response uint32) (client, server *WinShmContext) {
	t.Helper()
	dir := ownDir(t)
	server, err := WinShmServerCreate(dir, "svc", 42, 1, profile, request, response)
	noError(t, err)
	t.Cleanup(server.WinShmDestroy)
	client, err = WinShmClientAttach(dir, "svc", 42, 1, profile)
	noError(t, err)
	t.Cleanup(client.WinShmClose)
	return client, server
}

func TestSharesMessagesOfAnySize(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile uint32) {
		client, server := mustShare(t, profile, 1000, 3000)
		if client.Role() != WinShmRoleClient || server.GetRole() != WinShmRoleServer || client.SpinTries != 1024 {
			t.Errorf("roles %d and %d, %d tries", client.Role(), server.Role(), client.SpinTries)
		}
		buf := make([]byte, 4096)
		for _, c := range []struct {
			from, to *WinShmContext
			capacity int
		}{{client, server, 1024}, {server, client, 3008}} {
			for _, size := range []int{1, 32, 63, 64, 65, c.capacity - 1, c.capacity} {
				message := bytes.Repeat([]byte{byte(size)}, size)
				noError(t, c.from.WinShmSend(message))
				n, err := c.to.WinShmReceive(buf, 1000)
				if err != nil || !bytes.Equal(buf[:n], message) {
					t.Errorf("%d bytes came as %d others (%v)", size, n, err)
				}
			}
			wantError(t, c.from.WinShmSend(make([]byte, c.capacity+1)), ErrWinShmMsgTooLarge)
			wantError(t, c.from.WinShmSend(nil), ErrWinShmBadParam)
		}
		_, err := client.WinShmReceive(nil, 1)
		wantError(t, err, ErrWinShmBadParam)
	})
}

func TestCrossesProcesses(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile uint32) {
		dir := ownDir(t)
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		startChild(t, "echo", dir, strconv.Itoa(int(profile))).expect("ready")
		client, err := WinShmClientAttach(dir, "svc", 42, 7, profile)
		noError(t, err)
		defer client.WinShmClose()
		message, buf := make([]byte, 65536), make([]byte, 65536)
		for i := range 2000 {
			message := message[:1+random.IntN(300)]
			for i := range message {
				message[i] = byte(random.UintN(256))
			}
			if i%100 == 0 { // so that the other side gets to sleep
				time.Sleep(5 * time.Millisecond)
			}
			noError(t, client.WinShmSend(message))
			n, err := client.WinShmReceive(buf, uint32(patience/time.Millisecond))
			if err != nil || !bytes.Equal(buf[:n], message) {
				t.Fatalf("%d bytes came as %d others (%v)", len(message), n, err)
			}
		}
	})
}

func TestATimeoutChangesNothing(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile uint32) {
		client, server := mustShare(t, profile, 100, 100)
		buf := make([]byte, 100)
		for _, ms := range []uint32{1, 50} {
			start := time.Now()
			_, err := server.WinShmReceive(buf, ms)
			wantError(t, err, ErrWinShmTimeout)
			if took := time.Since(start); took < time.Duration(ms)*time.Millisecond {
				t.Errorf("%d ms were over after %v", ms, took)
			}
		}
		if waiting := atomic.LoadInt32(server.in.waiting); waiting != 0 {
			t.Error("seems to be asleep still")
		}
		noError(t, client.WinShmSend([]byte("later")))
		n, err := server.WinShmReceive(buf, 1000)
		if err != nil || string(buf[:n]) != "later" {
			t.Errorf("received %q (%v)", buf[:n], err)
		}
	})
}

func TestNoWakeIsLost(t *testing.T) {
	// Without looking before it sleeps, every receiver depends on being woken.
	client, server := mustShare(t, WinShmProfileHybrid, 100, 100)
	client.SpinTries, server.SpinTries = 0, 0
	go func() {
		buf := make([]byte, 100)
		for {
			n, err := server.WinShmReceive(buf, 0)
			if err != nil || server.WinShmSend(buf[:n]) != nil {
				return
			}
		}
	}()
	buf := make([]byte, 100)
	for i := range 5000 {
		message := strconv.Itoa(i)
		noError(t, client.WinShmSend([]byte(message)))
		n, err := client.WinShmReceive(buf, uint32(patience/time.Millisecond))
		if err != nil || string(buf[:n]) != message {
			t.Fatalf("received %q (%v) instead of %q", buf[:n], err, message)
		}
	}
}

func TestNobodyIsWokenWhoDoesNotSleep(t *testing.T) {
	client, server := mustShare(t, WinShmProfileHybrid, 100, 100)
	noError(t, client.WinShmSend([]byte("hello")))
	if state, err := syscall.WaitForSingleObject(server.in.event, 0); state != syscall.WAIT_TIMEOUT || err != nil {
		t.Errorf("the event is set: %d, %v", state, err)
	}
}

func TestWakesWithoutAMessageAreNoMessage(t *testing.T) {
	client, server := mustShare(t, WinShmProfileHybrid, 100, 100)
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
				setEvent(client.out.event)
				atomic.StoreInt32(client.out.waiting, 0)
			}
		}
	}()
	buf := make([]byte, 100)
	_, err := server.WinShmReceive(buf, 30)
	wantError(t, err, ErrWinShmTimeout)
	for i := range 200 {
		message := []byte(strconv.Itoa(i))
		noError(t, client.WinShmSend(message))
		n, err := server.WinShmReceive(buf, 10000)
		if err != nil || !bytes.Equal(buf[:n], message) {
			t.Fatalf("received %q (%v) instead of %q", buf[:n], err, message)
		}
	}
	close(stop)
	group.Wait()
}

func TestAMessageTooLargeForTheBufferIsLostAndMeasured(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile uint32) {
		client, server := mustShare(t, profile, 100, 100)
		noError(t, client.WinShmSend(make([]byte, 90)))
		n, err := server.WinShmReceive(make([]byte, 89), 1000)
		if wantError(t, err, ErrWinShmMsgTooLarge); n != 90 {
			t.Errorf("measured %d", n)
		}
		noError(t, client.WinShmSend([]byte("next")))
		buf := make([]byte, 100)
		n, err = server.WinShmReceive(buf, 1000)
		if err != nil || string(buf[:n]) != "next" {
			t.Errorf("received %q (%v)", buf[:n], err)
		}
	})
}

// forge announces a message of any length.
func forge(c *WinShmContext, length int32) {
	atomic.StoreInt32(c.out.length, length)
	atomic.AddUint64(c.out.sequence, 1)
	if c.out.event != 0 {
		setEvent(c.out.event)
	}
}

func TestAForgedLengthIsRefused(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile uint32) {
		client, server := mustShare(t, profile, 100, 100)
		buf := make([]byte, 1<<20)
		for length, kind := range map[int32]error{0: ErrWinShmBadHeader, -1: ErrWinShmBadHeader, -1 << 31: ErrWinShmBadHeader, 129: ErrWinShmMsgTooLarge, 1<<31 - 1: ErrWinShmMsgTooLarge} {
			forge(client, length)
			_, err := server.WinShmReceive(buf, 1000)
			wantError(t, err, kind)
		}
		noError(t, client.WinShmSend([]byte("fine")))
		if n, err := server.WinShmReceive(buf, 1000); err != nil || string(buf[:n]) != "fine" {
			t.Errorf("received %q (%v)", buf[:n], err)
		}
	})
}

func TestAMessageThatChangesWhileItIsReadIsRefused(t *testing.T) {
	for name, change := range map[string]func(client *WinShmContext){
		"length":       func(client *WinShmContext) { atomic.StoreInt32(client.out.length, 5) },
		"next message": func(client *WinShmContext) { client.WinShmSend([]byte("more")) },
	} {
		t.Run(name, func(t *testing.T) {
			client, server := mustShare(t, WinShmProfileHybrid, 100, 100)
			noError(t, client.WinShmSend([]byte("some")))
			_, err := server.next(soon())
			noError(t, err)
			change(client)
			wantError(t, server.copyOut(make([]byte, 4)), ErrWinShmBadHeader)
		})
	}
}

func receiveInBackground(c *WinShmContext) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := c.WinShmReceive(make([]byte, 100), 0)
		result <- err
	}()
	return result
}

func TestAPeerThatLeavesIsNoticedAfterWhatItSent(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile uint32) {
		for _, asleep := range []bool{false, true} {
			client, server := mustShare(t, profile, 100, 100)
			if asleep {
				result := receiveInBackground(client)
				if profile == WinShmProfileHybrid {
					eventually(t, "the client sleeps", func() bool { return atomic.LoadInt32(client.in.waiting) != 0 })
				}
				server.WinShmClose()
				wantError(t, await(t, "WinShmReceive returns", result), ErrWinShmDisconnected)
				continue
			}
			noError(t, client.WinShmSend([]byte("last")))
			client.WinShmClose()
			buf := make([]byte, 100)
			n, err := server.WinShmReceive(buf, 0)
			if err != nil || string(buf[:n]) != "last" {
				t.Errorf("received %q (%v)", buf[:n], err)
			}
			_, err = server.WinShmReceive(buf, 0)
			wantError(t, err, ErrWinShmDisconnected)
			wantError(t, err, ErrDisconnected)
		}
	})
}

func TestCloseEndsTheWait(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile uint32) {
		for range 50 {
			_, server := mustShare(t, profile, 100, 100)
			result := receiveInBackground(server)
			var group sync.WaitGroup
			for range 2 {
				group.Add(1)
				go func() { server.WinShmDestroy(); group.Done() }()
			}
			group.Wait()
			wantError(t, await(t, "WinShmReceive returns", result), ErrWinShmBadParam)
			wantError(t, server.WinShmSend([]byte("x")), ErrWinShmBadParam)
			_, err := server.WinShmReceive(make([]byte, 10), 1)
			wantError(t, err, ErrWinShmBadParam)
		}
	})
}

func TestAnAbortComesBeforeAMessageAndOtherEndsAfterIt(t *testing.T) {
	eachProfile(t, func(t *testing.T, profile uint32) {
		for _, cause := range []error{ErrAborted, ErrDisconnected} {
			client, server := mustShare(t, profile, 100, 100)
			noError(t, client.WinShmSend([]byte("hello")))
			server.end(cause)
			n, err := server.WinShmReceive(make([]byte, 100), 1000)
			if cause == ErrDisconnected {
				if err != nil || n != 5 {
					t.Errorf("received %d bytes (%v)", n, err)
				}
				_, err = server.WinShmReceive(make([]byte, 100), 1000)
			}
			wantError(t, err, cause)
		}
	})
}

func TestCloseLetsGoOfTheMapping(t *testing.T) {
	const memFree = 0x10000
	client, server := mustShare(t, WinShmProfileHybrid, 100, 100)
	for _, c := range []*WinShmContext{client, server} {
		address := uintptr(unsafe.Pointer(&c.mem[0]))
		c.WinShmClose()
		var info [64]byte // the state lies behind three words and the size
		n, _, errno := syscall.SyscallN(procVirtualQuery.Addr(), address, uintptr(unsafe.Pointer(&info)), unsafe.Sizeof(info))
		if n == 0 {
			t.Fatal(errno)
		}
		if state := *(*uint32)(unsafe.Pointer(&info[4*unsafe.Sizeof(address)])); state != memFree {
			t.Errorf("state of the memory is %#x", state)
		}
	}
}

func TestAPeerThatStealsWakesCannotKeepUsAsleep(t *testing.T) {
	client, server := mustShare(t, WinShmProfileHybrid, 100, 100)
	result := receiveInBackground(server)
	eventually(t, "the server sleeps", func() bool { return atomic.LoadInt32(server.in.waiting) != 0 })
	stolen, err := syscall.WaitForSingleObject(client.out.event, 10)
	if stolen != syscall.WAIT_TIMEOUT || err != nil {
		t.Errorf("stole something: %d, %v", stolen, err)
	}
	server.end(ErrAborted)
	wantError(t, await(t, "WinShmReceive returns", result), ErrAborted)
}

func TestAnIdleReceiverWithoutEventsRests(t *testing.T) {
	client, server := mustShare(t, WinShmProfileBusywait, 100, 100)
	const wait = 300 * time.Millisecond
	before := processorTime(t)
	_, err := server.WinShmReceive(make([]byte, 10), uint32(wait.Milliseconds()))
	wantError(t, err, ErrWinShmTimeout)
	if took := processorTime(t) - before; took > wait/2 {
		t.Errorf("took %v of a processor within %v", took, wait)
	}
	client.WinShmClose()
}

// processorTime is how much this process has taken so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	process, err := syscall.GetCurrentProcess()
	noError(t, err)
	var created, exited, kernel, user syscall.Filetime
	noError(t, syscall.GetProcessTimes(process, &created, &exited, &kernel, &user))
	ticks := func(f syscall.Filetime) int64 { return int64(f.HighDateTime)<<32 | int64(f.LowDateTime) }
	return time.Duration(ticks(kernel)+ticks(user)) * 100
}

func TestAZeroContextIsClosed(t *testing.T) {
	var c WinShmContext
	c.WinShmClose()
	c.WinShmDestroy()
	wantError(t, c.WinShmSend([]byte("x")), ErrWinShmBadParam)
	_, err := c.WinShmReceive(make([]byte, 10), 1)
	wantError(t, err, ErrWinShmBadParam)
}
