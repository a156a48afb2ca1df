package posix

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
)

// A ShmRole is the side of a region a process is on.
type ShmRole int

const (
	ShmRoleServer ShmRole = 1
	ShmRoleClient ShmRole = 2
)

// defaultSpin is how often a receiver looks before it goes to sleep.
const defaultSpin = 128

// longestSleep is how long a receiver sleeps without looking up. Nothing needs it to
// but a malicious peer: one that turns the bell back just between ring and sleep, or
// takes the page away under a sleeper, which then cannot be woken.
const longestSleep = time.Second

// A ShmContext is one side of a region of shared memory, which carries one message at
// a time each way: a message must not be sent before the one before it was answered,
// or it takes its place.
//
// One goroutine may send while another receives. ShmClose, ShmDestroy, OwnerAlive, Fd
// and Role may be called by any goroutine at any time.
type ShmContext struct {
	// SpinTries is how often ShmReceive looks before it goes to sleep; 128 at first. To
	// be changed before ShmReceive is called.
	SpinTries uint32

	role       ShmRole
	path       string
	file       fileID
	generation uint32 // of the owner, at the beginning

	// mu is held shared by whoever uses the mapping, also in its sleep, and exclusively
	// to unmap.
	mu  sync.RWMutex
	mem []byte // nil once unmapped
	fd  int
	out lane
	in  lane

	taken   uint64                // sequence number of the last message received
	ended   atomic.Pointer[error] // why nobody is to wait any more
	spinner spin.Spinner          // off, unless a link waits here
	hasNext func() bool           // made once so that waiting allocates nothing
}

// A lane is one direction: a slot for a message, what announces it, and a bell.
type lane struct {
	sequence *uint64 // counts messages; moving it publishes one
	length   *uint32 // of the message, in bytes
	signal   *uint32 // the bell, counts rings
	slot     []byte
}

func newShmContext(role ShmRole, path string, file fileID, fd int, mem []byte, l regionLayout, generation uint32) *ShmContext {
	requests := lane{
		sequence: word64(mem, offsetRequestSequence),
		length:   word32(mem, offsetRequestLength),
		signal:   word32(mem, offsetRequestSignal),
		slot:     mem[l.requestOffset:][:l.requestCapacity:l.requestCapacity],
	}
	responses := lane{
		sequence: word64(mem, offsetResponseSequence),
		length:   word32(mem, offsetResponseLength),
		signal:   word32(mem, offsetResponseSignal),
		slot:     mem[l.responseOffset:][:l.responseCapacity:l.responseCapacity],
	}
	c := &ShmContext{
		SpinTries: defaultSpin, role: role, path: path, file: file, generation: generation, mem: mem, fd: fd,
		spinner: spin.New(-1),
	}
	if role == ShmRoleServer {
		c.in, c.out = requests, responses
	} else {
		c.in, c.out = responses, requests
	}
	c.taken = atomic.LoadUint64(c.in.sequence)
	c.hasNext = func() bool { return c.in.has(c.taken + 1) }
	return c
}

// ShmSend sends a message, its 32-byte envelope included, without waiting. It fails
// with ErrShmBadParam for an empty message or a closed context, with ErrShmMsgTooLarge,
// or with ErrShmBadSize if the file was cut short.
func (c *ShmContext) ShmSend(message []byte) error { return c.send(message, nil) }

// send sends head and body as one message.
func (c *ShmContext) send(head, body []byte) (err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	length := uint64(len(head)) + uint64(len(body))
	switch {
	case c.mem == nil:
		return c.failure(ErrShmBadParam, carrier.ErrClosed)
	case length == 0:
		return c.failure(ErrShmBadParam, errors.New("empty message"))
	case length > uint64(len(c.out.slot)):
		return c.failure(ErrShmMsgTooLarge, fmt.Errorf("message of %d bytes for an area of %d", length, len(c.out.slot)))
	}
	defer catchFault(c.mem, allowFaults(), &err)
	copy(c.out.slot[copy(c.out.slot, head):], body)
	atomic.StoreUint32(c.out.length, uint32(length))
	atomic.AddUint64(c.out.sequence, 1) // publishes; pairs with the load in has
	c.out.ring(1)
	return nil
}

// ShmReceive waits for a message, its 32-byte envelope included, copies it into buf
// and returns its length; for timeoutMs milliseconds at most, 0 is for ever.
//
// It fails with ErrShmTimeout, after which nothing has changed; with
// ErrShmMsgTooLarge, and the length, for a message that is larger than buf or than its
// area, and with ErrShmBadHeader for an empty one, which are lost then; with
// ErrShmBadParam for an empty buf or a closed context, with ErrShmBadSize if the file
// was cut short.
func (c *ShmContext) ShmReceive(buf []byte, timeoutMs uint32) (int, error) {
	if len(buf) == 0 {
		return 0, c.failure(ErrShmBadParam, errors.New("empty buffer"))
	}
	n, err := c.next(carrier.DeadlineIn(timeoutMs))
	if err == nil && uint64(n) > uint64(len(buf)) {
		err = c.failure(ErrShmMsgTooLarge, fmt.Errorf("message of %d bytes for a buffer of %d", n, len(buf)))
	}
	if err != nil {
		return int(n), err
	}
	return int(n), c.copyOut(buf[:n])
}

// next waits for a message and takes it off the lane: what is left to do is to copy it
// out. It returns the length, also if that is what is wrong.
func (c *ShmContext) next(deadline time.Time) (length uint32, err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.mem == nil {
		return 0, c.failure(ErrShmBadParam, carrier.ErrClosed)
	}
	defer catchFault(c.mem, allowFaults(), &err)
	if err := c.await(deadline); err != nil {
		return 0, err
	}
	c.taken++
	// Read once: the peer may write another at any time.
	length = atomic.LoadUint32(c.in.length)
	switch {
	case length == 0:
		err = c.failure(ErrShmBadHeader, errors.New("empty message"))
	case uint64(length) > uint64(len(c.in.slot)):
		err = c.failure(ErrShmMsgTooLarge, fmt.Errorf("message of %d bytes in an area of %d", length, len(c.in.slot)))
	}
	return length, err
}

// copyOut copies the start of the message that next took. Only the copy is to be
// looked at.
func (c *ShmContext) copyOut(buf []byte) (err error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.mem == nil {
		return c.failure(ErrShmBadParam, carrier.ErrClosed)
	}
	defer catchFault(c.mem, allowFaults(), &err)
	copy(buf, c.in.slot)
	return nil
}

// await waits until the next message is there. What the peer sent before it went is
// still found; an abort comes before everything.
func (c *ShmContext) await(deadline time.Time) error {
	if cause := c.ended.Load(); cause != nil && *cause == ErrAborted {
		return *cause
	}
	if c.spinner.Look(c.hasNext) {
		return nil
	}
	for range c.SpinTries {
		if c.hasNext() {
			return nil
		}
		spin.Pause()
	}
	c.spinner.LieDown(time.Now())
	if err := c.sleep(deadline); err != nil {
		return err
	}
	c.spinner.Wake()
	return nil
}

// sleep waits until the next message is there, without taking processor time.
func (c *ShmContext) sleep(deadline time.Time) error {
	for {
		// Before the last look: a ring after this makes the sleep end at once.
		signal := atomic.LoadUint32(c.in.signal)
		cause := c.ended.Load()
		if c.hasNext() {
			return nil
		}
		if cause != nil {
			return *cause
		}
		longest := longestSleep
		if !deadline.IsZero() {
			if longest = min(longest, time.Until(deadline)); longest <= 0 {
				return c.failure(ErrShmTimeout, ErrTimeout)
			}
		}
		switch errno := futexWait(c.in.signal, signal, longest); errno {
		case 0, syscall.EAGAIN, syscall.EINTR, syscall.ETIMEDOUT:
		case syscall.EFAULT:
			return c.failure(ErrShmBadSize, errCutShort)
		default: // in a sandbox
			return c.failure(ErrShmMmap, errno)
		}
	}
}

// has tells whether message number expected was published; it or a later one lies in
// the slot then.
func (l *lane) has(expected uint64) bool {
	return atomic.LoadUint64(l.sequence) >= expected // pairs with the addition in send
}

// ring rings the lane's bell for at most count sleepers.
func (l *lane) ring(count int) {
	atomic.AddUint32(l.signal, 1)
	futexWake(l.signal, count)
}

// end makes the wait for a message, and every later one, fail with cause, unless there
// is a message. It rings our own bell, so that nobody has to look up from their sleep
// for this.
func (c *ShmContext) end(cause error) {
	c.ended.CompareAndSwap(nil, &cause)
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.mem == nil {
		return
	}
	var lost error // a sleeper on a page that is gone finds out by itself
	defer catchFault(c.mem, allowFaults(), &lost)
	c.in.ring(math.MaxInt32) // all of them: the peer may sleep here, too
}

// ShmClose lets go of the region and ends what other goroutines are waiting for with
// ErrShmBadParam. Its file stays. Closing twice does no harm.
func (c *ShmContext) ShmClose() { c.release(false) }

// ShmDestroy is ShmClose, and on the server's side removes the file as well.
func (c *ShmContext) ShmDestroy() { c.release(c.role == ShmRoleServer) }

func (c *ShmContext) release(remove bool) {
	c.end(c.failure(ErrShmBadParam, carrier.ErrClosed))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mem == nil {
		return
	}
	if remove {
		// What cannot be removed is swept by a later server. While the file is open its
		// number cannot be another's.
		_, _ = c.file.remove(c.path)
	}
	_ = syscall.Munmap(c.mem) // fails only for what is not mapped
	syscall.Close(c.fd)
	c.mem, c.in, c.out = nil, lane{}, lane{}
}

// OwnerAlive tells whether the process that made the region exists, and has not made
// another one in its place.
func (c *ShmContext) OwnerAlive() (alive bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.mem == nil {
		return false
	}
	var lost error // then alive stays false
	defer catchFault(c.mem, allowFaults(), &lost)
	pid := int32(atomic.LoadUint32(word32(c.mem, offsetOwnerPID)))
	generation := atomic.LoadUint32(word32(c.mem, offsetOwnerGeneration))
	return processExists(pid) && (c.generation == 0 || generation == c.generation)
}

// Fd returns the descriptor of the file, to be looked at only; -1 once closed.
func (c *ShmContext) Fd() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.mem == nil {
		return -1
	}
	return c.fd
}

// Role tells which side of the region this is.
func (c *ShmContext) Role() ShmRole { return c.role }

func (c *ShmContext) failure(kind, cause error) error {
	return &carrier.Failure{Kind: kind, Tried: "shared memory " + c.path, Cause: cause}
}

// allowFaults lets accesses to memory that is not there panic rather than end the
// process: a peer can cut the file short at any time. It returns the setting before.
func allowFaults() bool { return debug.SetPanicOnFault(true) }

// catchFault, deferred, turns a panic for an access to mem into ErrShmBadSize, and
// restores the setting before.
func catchFault(mem []byte, before bool, err *error) {
	debug.SetPanicOnFault(before)
	trouble := recover()
	if trouble == nil {
		return
	}
	fault, ok := trouble.(interface{ Addr() uintptr })
	first := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
	if !ok || fault.Addr() < first || fault.Addr()-first >= uintptr(len(mem)) {
		panic(trouble)
	}
	*err = fmt.Errorf("%w: %w", ErrShmBadSize, errCutShort)
}

var errCutShort = errors.New("the file was cut short")
