package posix

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
)

// A bell is how the two sides of a session over rings wake each other (PROTOCOL.md,
// section 27.6): by eventfds between processes of one user, who could stop each other
// anyway; by packets of one byte on the socket, which nobody can make block, between all
// others. Whoever waits for it waits in the runtime's poller.
type bell struct {
	conn  *conn
	file  *os.File // what is waited for: the own eventfd, or the socket
	raw   syscall.RawConn
	peer  int  // the peer's eventfd; -1: knocks
	armed bool // the poller has a deadline

	// Made once so that waking allocates nothing.
	knock  func(uintptr)
	failed error
	packet [1]byte
}

// mostKnocks is how many are taken off the socket at once. An honest peer has one under way.
const mostKnocks = 1000

// once is what is written to an eventfd to ring it.
var once uint64 = 1

// newEventfd makes an eventfd.
func newEventfd() (int, error) {
	fd, _, errno := syscall.Syscall(syscall.SYS_EVENTFD2, 0, syscall.O_CLOEXEC|syscall.O_NONBLOCK, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// newEventBell makes a bell of eventfds, of which it takes ownership.
func newEventBell(c *conn, own, peer int) (*bell, error) {
	// Without that the poller would not have it. An honest peer has done so before.
	err := syscall.SetNonblock(own, true)
	b := &bell{conn: c, file: os.NewFile(uintptr(own), "bell of "+c.file.Name()), peer: peer}
	if err == nil {
		// Fails if the poller has refused it.
		err = b.file.SetReadDeadline(time.Time{})
	}
	if err == nil {
		b.raw, err = b.file.SyscallConn()
	}
	if err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// newKnockBell makes a bell of the socket, on which nobody else may receive.
func newKnockBell(c *conn) (*bell, error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &bell{conn: c, file: c.file, raw: raw, peer: -1}
	b.knock = func(fd uintptr) {
		_, b.failed = retry(func() (int, error) { return sendPacket(int(fd), b.packet[:], nil) })
	}
	return b, nil
}

// isSocket tells whether the bell is the socket.
func (b *bell) isSocket() bool { return b.peer < 0 }

// ring wakes the peer, and never waits.
func (b *bell) ring() error {
	var err error
	if b.isSocket() {
		if err = b.raw.Control(b.knock); err == nil {
			err = b.failed
		}
	} else {
		_, err = retry(func() (int, error) { return 0, ringEventfd(b.peer) })
	}
	switch err {
	case syscall.EAGAIN: // there are rings the peer has not heard yet
		return nil
	case syscall.EPIPE, syscall.ECONNRESET: // who has gone need not be woken, and what it sent is still there
		return nil
	}
	return err
}

// ringEventfd adds 1 to the count. The runtime is not told of the call, which only a peer
// of our own user could make wait: told, it would give the processor to another thread
// whenever the scheduler runs the peer at once, and that thread would go on waiting for
// events in place of this one. On one processor this is half of the cost of a call.
func ringEventfd(fd int) error {
	_, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&once)), unsafe.Sizeof(once))
	if errno != 0 {
		return errno
	}
	return nil
}

// wait lets attempt look, now and after each ring, until it is content. It fails with
// os.ErrDeadlineExceeded after the time that arm has set, and when somebody calls lift.
func (b *bell) wait(attempt func(uintptr) bool) error { return b.raw.Read(attempt) }

// arm sets when waits end; the zero time is never.
func (b *bell) arm(deadline time.Time) error {
	b.armed = !deadline.IsZero()
	return b.file.SetReadDeadline(deadline)
}

// lift ends a wait, or the next one, until it is armed anew. Any goroutine may call it.
func (b *bell) lift() {
	// If it fails the bell is closed, and so nobody waits.
	_ = b.file.SetReadDeadline(longAgo)
}

// hear takes the knocks off the socket, within an attempt. The count of an eventfd is
// left: the poller tells of each ring, whatever the count was. It fails with
// carrier.ErrPeerClosed, or with what the system says.
func (b *bell) hear() error {
	if !b.isSocket() {
		return nil
	}
	for range mostKnocks {
		n, err := retry(func() (int, error) { return receivePacket(b.conn.fd, b.packet[:], nil, 0) })
		switch {
		case err == syscall.EAGAIN:
			return nil
		case err == syscall.ECONNRESET: // it left without hearing our last knock; its end comes next
		case err != nil:
			return err
		case n == 0:
			return carrier.ErrPeerClosed
		}
	}
	return fmt.Errorf("%w: more than %d knocks at once", ErrProtocol, mostKnocks)
}

// close lets go of the eventfds. The socket is not the bell's.
func (b *bell) close() {
	if !b.isSocket() {
		b.file.Close() // fails only if it was closed before
		syscall.Close(b.peer)
	}
}
