package windows

import (
	"fmt"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
)

// completions is the port at which the system tells that overlapped operations are
// over. There is one for the process, with a goroutine that passes on what arrives.
var completions = sync.OnceValues(func() (syscall.Handle, error) {
	port, err := newCompletionPort()
	if err != nil {
		return 0, fmt.Errorf("make a completion port: %w", err)
	}
	go func() {
		for {
			overlapped, c := takeFromPort(port)
			if overlapped == nil {
				panic(fmt.Sprintf("netipc: somebody closed the completion port: %v", c.err))
			}
			// The operation exists: whoever started it waits for this.
			(*operation)(unsafe.Pointer(overlapped)).done <- c
		}
	}()
	return port, nil
})

// A completion is how an operation ended.
type completion struct {
	n   uint32
	key uintptr
	err error
}

// Keys of completions: one the system tells, and one that was posted as a mark.
const (
	keyOperation = iota
	keyMark
)

// An operation is an overlapped operation on a pipe, to be used for one after the other.
// All it hands to the system lies on the heap, and stays until the system is done.
type operation struct {
	overlapped syscall.Overlapped // the first field, by whose address the system names the operation
	buf        []byte             // kept alive while the system uses it
	n          uint32
	done       chan completion
	timer      *time.Timer
	stop       chan struct{} // closed by end
	ended      sync.Once
}

func (o *operation) init() {
	o.done = make(chan completion, 1)
	o.stop = make(chan struct{})
}

// A starter starts an operation: syscall.ReadFile and WriteFile are.
type starter func(handle syscall.Handle, buf []byte, n *uint32, overlapped *syscall.Overlapped) error

// run runs an operation until it is over, and until deadline at most; the zero time is
// never. It returns the number of bytes moved, with syscall.ERROR_MORE_DATA also, and
// fails with ErrTimeout, ErrAborted, carrier.ErrClosed, or as start does.
func (o *operation) run(c *conn, start starter, buf []byte, deadline time.Time) (int, error) {
	if !c.enter() {
		return 0, carrier.ErrClosed
	}
	defer c.leave()
	if o.isEnded() {
		return 0, ErrAborted
	}
	o.overlapped, o.buf, o.n = syscall.Overlapped{}, buf, 0
	defer func() { o.buf = nil }()
	switch err := start(c.handle, buf, &o.n, &o.overlapped); {
	case err == syscall.ERROR_IO_PENDING, err == nil && !c.skips:
		return o.await(c, deadline)
	case err == syscall.ERROR_MORE_DATA:
		// The documentation leaves open whether the port is told.
		return int(o.n), o.flush(c, err)
	default:
		return int(o.n), err
	}
}

// await waits for the end of an operation that was started, if need be by cancelling it.
func (o *operation) await(c *conn, deadline time.Time) (int, error) {
	var over <-chan time.Time
	if !deadline.IsZero() {
		if o.timer == nil {
			o.timer = time.NewTimer(time.Until(deadline))
		} else {
			o.timer.Reset(time.Until(deadline))
		}
		defer o.timer.Stop()
		over = o.timer.C
	}
	var why error
	select {
	case end := <-o.done:
		return int(end.n), end.err
	case <-o.stop:
		why = ErrAborted
	case <-c.closed:
		why = carrier.ErrClosed
	case <-over:
		why = ErrTimeout
	}
	// If it fails the operation is over already. What it then has moved counts.
	_ = syscall.CancelIoEx(c.handle, &o.overlapped)
	end := <-o.done
	if end.err == syscall.ERROR_OPERATION_ABORTED {
		end.err = why
	}
	return int(end.n), end.err
}

// flush takes off the port what may be there for an operation that ended at once with
// err, so that it is not taken for the next one's: what is at the port comes out in the
// order in which it went in.
func (o *operation) flush(c *conn, err error) error {
	if failed := putToPort(c.port, keyMark, &o.overlapped); failed != nil {
		c.Interrupt() // then there must not be a next one
		return failed
	}
	for end := range o.done {
		if end.key == keyMark {
			break
		}
	}
	return err
}

// end makes the wait for this operation, and for all later ones, fail with ErrAborted.
func (o *operation) end() { o.ended.Do(func() { close(o.stop) }) }

func (o *operation) isEnded() bool {
	select {
	case <-o.stop:
		return true
	default:
		return false
	}
}
