package windows

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A WinShmRole is the side of a region a process is on.
type WinShmRole int

const (
	WinShmRoleServer WinShmRole = 1
	WinShmRoleClient WinShmRole = 2
)

// The profiles of shared memory: with events to sleep on, and without.
const (
	WinShmProfileHybrid   = protocol.ProfileSHMHybrid
	WinShmProfileBusywait = protocol.ProfileSHMFutex
)

// A WinShmContext is one side of a region of shared memory, which carries one message at
// a time each way: a message must not be sent before the one before it was answered,
// or it takes its place.
//
// One goroutine may send while another receives. WinShmClose, WinShmDestroy and Role may
// be called by any goroutine at any time.
type WinShmContext struct {
	// SpinTries is how often a receiver looks before it goes to sleep; as the region
	// says, but 1024 at most. To be changed before WinShmReceive is called.
	SpinTries uint32

	role WinShmRole
	name string
	wake syscall.Handle // this side's own event, which ends its sleep for good

	// mu is held shared by whoever uses the mapping and the handles, also in its sleep,
	// and exclusively to let go of them.
	mu      sync.RWMutex
	mem     []byte // nil once unmapped
	mapping syscall.Handle
	out     lane
	in      lane

	taken   uint64 // sequence number of the last message received
	length  int32  // of that message
	ended   atomic.Pointer[error]
	spinner spin.Spinner // off, unless a link waits here
	hasNext func() bool  // made once so that waiting allocates nothing
}

// A lane is one direction: a slot for a message, what announces it, and who waits.
type lane struct {
	sequence *uint64        // counts messages; moving it publishes one
	length   *int32         // of the message, in bytes
	waiting  *int32         // not 0: the reader sleeps, or is about to
	closed   *int32         // not 0: the writer has left
	event    syscall.Handle // wakes the reader; 0 if it does not sleep
	slot     []byte
}

func newContext(role WinShmRole, name string, mem []byte, mapping syscall.Handle, events [2]syscall.Handle, l regionLayout) (*WinShmContext, error) {
	wake, err := createEvent(nil, true, nil)
	if err != nil {
		return nil, err
	}
	requests := lane{
		sequence: word[uint64](mem, offsetRequestSequence),
		length:   word[int32](mem, offsetRequestLength),
		waiting:  word[int32](mem, offsetRequestServerWaiting),
		closed:   word[int32](mem, offsetRequestClientClosed),
		event:    events[0],
		slot:     mem[l.requestOffset:][:l.requestCapacity:l.requestCapacity],
	}
	responses := lane{
		sequence: word[uint64](mem, offsetResponseSequence),
		length:   word[int32](mem, offsetResponseLength),
		waiting:  word[int32](mem, offsetResponseClientWaiting),
		closed:   word[int32](mem, offsetResponseServerClosed),
		event:    events[1],
		slot:     mem[l.responseOffset:][:l.responseCapacity:l.responseCapacity],
	}
	c := &WinShmContext{role: role, name: name, wake: wake, mem: mem, mapping: mapping, in: requests, out: responses, spinner: spin.New(-1)}
	if role == WinShmRoleClient {
		c.in, c.out = responses, requests
	}
	c.taken = atomic.LoadUint64(c.in.sequence)
	c.hasNext = func() bool { return c.in.has(c.taken + 1) }
	return c, nil
}

// WinShmSend sends a message, its 32-byte envelope included, without waiting. It fails
// with ErrWinShmBadParam for an empty message or a closed context, or with
// ErrWinShmMsgTooLarge.
func (c *WinShmContext) WinShmSend(message []byte) error { return c.send(message, nil) }

// send sends head and body as one message.
func (c *WinShmContext) send(head, body []byte) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	length := uint64(len(head)) + uint64(len(body))
	switch {
	case c.mem == nil:
		return c.failure(ErrWinShmBadParam, carrier.ErrClosed)
	case length == 0:
		return c.failure(ErrWinShmBadParam, errors.New("empty message"))
	case length > uint64(len(c.out.slot)), length > math.MaxInt32:
		return c.failure(ErrWinShmMsgTooLarge, fmt.Errorf("message of %d bytes for an area of %d", length, len(c.out.slot)))
	}
	copy(c.out.slot[copy(c.out.slot, head):], body)
	atomic.StoreInt32(c.out.length, int32(length))
	atomic.AddUint64(c.out.sequence, 1) // publishes; pairs with the load in has
	// Either the reader's last look sees the message, or this sees its flag: the flag is
	// set before that look and read after the message was published, and Go's atomics are
	// sequentially consistent.
	if c.out.event != 0 && atomic.LoadInt32(c.out.waiting) != 0 {
		setEvent(c.out.event)
	}
	return nil
}

// WinShmReceive waits for a message, its 32-byte envelope included, copies it into buf
// and returns its length; for timeoutMs milliseconds at most, 0 is for ever.
//
// It fails with ErrWinShmTimeout, after which nothing has changed; with
// ErrWinShmDisconnected once the peer has closed its side and everything it sent was
// received; with ErrWinShmMsgTooLarge, and the length, for a message that is larger than
// buf or than its area, and with ErrWinShmBadHeader for an empty one or one that changes
// under the reader, which are lost then; with ErrWinShmBadParam for an empty buf or a
// closed context.
func (c *WinShmContext) WinShmReceive(buf []byte, timeoutMs uint32) (int, error) {
	if len(buf) == 0 {
		return 0, c.failure(ErrWinShmBadParam, errors.New("empty buffer"))
	}
	n, err := c.next(carrier.DeadlineIn(timeoutMs))
	if err == nil && uint64(n) > uint64(len(buf)) {
		err = c.failure(ErrWinShmMsgTooLarge, fmt.Errorf("message of %d bytes for a buffer of %d", n, len(buf)))
	}
	if err == nil {
		err = c.copyOut(buf[:n])
	}
	return int(n), err
}

// next waits for a message and takes it off the lane: what is left to do is to copy it
// out. It returns the length, also if that is what is wrong.
func (c *WinShmContext) next(deadline time.Time) (uint32, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.mem == nil {
		return 0, c.failure(ErrWinShmBadParam, carrier.ErrClosed)
	}
	if err := c.await(deadline); err != nil {
		return 0, err
	}
	c.taken++
	// Read once: the peer may write another at any time.
	c.length = atomic.LoadInt32(c.in.length)
	switch {
	case c.length <= 0:
		return 0, c.failure(ErrWinShmBadHeader, fmt.Errorf("message of %d bytes", c.length))
	case int64(c.length) > int64(len(c.in.slot)):
		return uint32(c.length), c.failure(ErrWinShmMsgTooLarge, fmt.Errorf("message of %d bytes in an area of %d", c.length, len(c.in.slot)))
	}
	return uint32(c.length), nil
}

// copyOut copies the start of the message that next took. Only the copy is to be
// looked at. It fails with ErrWinShmBadHeader if another message is taking its place.
func (c *WinShmContext) copyOut(buf []byte) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.mem == nil {
		return c.failure(ErrWinShmBadParam, carrier.ErrClosed)
	}
	copy(buf, c.in.slot)
	if atomic.LoadInt32(c.in.length) != c.length || atomic.LoadUint64(c.in.sequence) != c.taken {
		return c.failure(ErrWinShmBadHeader, errors.New("message changed while it was read"))
	}
	return nil
}

// has tells whether message number expected was published; it or a later one lies in
// the slot then.
func (l *lane) has(expected uint64) bool {
	return atomic.LoadUint64(l.sequence) >= expected // pairs with the addition in send
}

// end makes the wait for a message, and every later one, fail with cause, unless there
// is a message.
func (c *WinShmContext) end(cause error) {
	c.ended.CompareAndSwap(nil, &cause)
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.mem != nil {
		setEvent(c.wake)
	}
}

// WinShmClose tells the peer that this side leaves, lets go of the region, and ends what
// other goroutines are waiting for with ErrWinShmBadParam. The region is gone once both
// sides have left. Closing twice does no harm.
func (c *WinShmContext) WinShmClose() {
	c.end(c.failure(ErrWinShmBadParam, carrier.ErrClosed))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.mem == nil {
		return
	}
	atomic.StoreInt32(c.out.closed, 1)
	if c.out.event != 0 {
		setEvent(c.out.event)
	}
	_ = unmapView(c.mem) // fails only for what is not mapped
	closeHandles(c.mapping, c.in.event, c.out.event, c.wake)
	c.mem, c.in, c.out = nil, lane{}, lane{}
}

// WinShmDestroy is WinShmClose: the system removes the region after both sides.
func (c *WinShmContext) WinShmDestroy() { c.WinShmClose() }

// Role tells which side of the region this is.
func (c *WinShmContext) Role() WinShmRole { return c.role }

// GetRole tells which side of the region this is.
//
// Deprecated: use Role.
func (c *WinShmContext) GetRole() WinShmRole { return c.role }

func (c *WinShmContext) failure(kind, cause error) error {
	return &carrier.Failure{Kind: kind, Tried: "shared memory " + c.name, Cause: cause}
}

// closeHandles closes those that are handles.
func closeHandles(handles ...syscall.Handle) {
	for _, handle := range handles {
		if handle != 0 {
			syscall.CloseHandle(handle)
		}
	}
}
