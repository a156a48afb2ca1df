//go:build unix

package posix

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
)

// A conn is a connected socket that moves packets. One goroutine may send while
// another receives; see [carrier.Conn].
type conn struct {
	file *os.File // owns fd and registers it with the runtime's poller
	fd   int
	in   direction
	out  direction

	handed []int // descriptors that came along with a HELLO_ACK, until they are taken

	closed atomic.Bool
}

// A direction is one half of a conn: the packet that is being moved, and how the
// poller is asked to wait for it. It is made once so that moving allocates nothing.
type direction struct {
	wait        func(func(uintptr) bool) error // of the poller
	setDeadline func(time.Time) error          // of the poller
	ended       atomic.Bool                    // sticky: no waiting any more, here
	attempt     func(uintptr) bool
	move        func() (int, error) // one system call, which must not block

	head, body []byte
	n          int
	err        error
	deadline   time.Time
	armed      bool // the poller has a deadline to forget

	spinner spin.Spinner
	try     func() bool // moves, and tells whether there is no need to wait
}

// longAgo is a deadline that has passed, which makes the poller end a wait.
var longAgo = time.Unix(1, 0)

// newConn takes ownership of a non-blocking socket.
func newConn(fd int, name string) (*conn, error) {
	file := os.NewFile(uintptr(fd), name)
	raw, err := file.SyscallConn()
	if err == nil {
		// Fails if the poller has refused the socket: then waiting would not work.
		err = file.SetDeadline(time.Time{})
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	c := &conn{file: file, fd: fd}
	c.in.init(raw.Read, file.SetReadDeadline)
	c.out.init(raw.Write, file.SetWriteDeadline)
	// Only messages are worth looking for: who has no room for them is slow.
	c.in.spinner, c.out.spinner = spin.New(0), spin.New(-1)
	c.in.move = func() (int, error) { return receivePacket(c.fd, c.in.head, c.in.body, 0) }
	c.out.move = func() (int, error) { return sendPacket(c.fd, c.out.head, c.out.body) }
	return c, nil
}

func (d *direction) init(wait func(func(uintptr) bool) error, setDeadline func(time.Time) error) {
	d.wait, d.setDeadline = wait, setDeadline
	d.try = func() bool {
		d.n, d.err = retry(d.move)
		return d.err != syscall.EAGAIN
	}
	d.attempt = func(uintptr) bool {
		if d.spinner.Look(d.try) {
			d.spinner.Wake()
			return true
		}
		if d.mustNotWait() {
			return true
		}
		d.spinner.LieDown(time.Now())
		return false
	}
}

func (c *conn) Send(head, body []byte, deadline time.Time) error {
	n, err := c.out.run(head, body, deadline)
	if err == nil && n != len(head)+len(body) {
		err = io.ErrShortWrite
	}
	return err
}

func (c *conn) Receive(head, body []byte, deadline time.Time) (int, error) {
	n, err := c.in.run(head, body, deadline)
	if err == nil && n == 0 {
		err = carrier.ErrPeerClosed
	}
	return n, err
}

// run moves one packet, waiting until deadline if it must; the zero time is never.
func (d *direction) run(head, body []byte, deadline time.Time) (int, error) {
	if d.ended.Load() {
		return 0, ErrAborted
	}
	d.head, d.body, d.deadline = head, body, deadline
	err := d.wait(d.attempt)
	d.head, d.body = nil, nil
	if d.armed {
		d.armed = false
		// If it fails the socket is closed, which the next run will tell.
		_ = d.setDeadline(time.Time{})
	}
	switch {
	case err == nil:
		return d.n, d.err
	case errors.Is(err, os.ErrClosed):
		return 0, carrier.ErrClosed
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, d.whyOver()
	}
	return 0, err
}

// mustNotWait prepares the poller for a wait. It puts the reason into err if there is
// none to be.
func (d *direction) mustNotWait() bool {
	if !d.deadline.IsZero() && !d.armed {
		d.armed = true
		if err := d.setDeadline(d.deadline); err != nil {
			d.err = err
			return true
		}
	}
	// Looked at after the deadline was set, as end sets them the other way round: so it
	// is either seen here or ends the wait.
	if d.ended.Load() {
		d.err = ErrAborted
		return true
	}
	return false
}

func (d *direction) whyOver() error {
	if d.ended.Load() {
		return ErrAborted
	}
	return ErrTimeout
}

// end makes the wait of this direction, and every later one, fail with ErrAborted.
func (d *direction) end() {
	d.ended.Store(true)
	// If it fails the socket is closed, and so nobody waits.
	_ = d.setDeadline(longAgo)
}

func (c *conn) Halt() { c.in.end() }

func (c *conn) Interrupt() {
	c.in.end()
	c.out.end()
}

func (c *conn) Interrupted() bool { return c.out.ended.Load() }

func (c *conn) AwaitPeer() error {
	move := c.in.move
	defer func() { c.in.move = move }()
	var one [1]byte
	c.in.move = func() (int, error) { return receivePacket(c.fd, one[:], nil, syscall.MSG_PEEK) }
	_, err := c.Receive(nil, nil, time.Time{})
	return err
}

func (c *conn) PeerGone() bool {
	gone := true
	raw, err := c.file.SyscallConn()
	if err != nil {
		return gone
	}
	_ = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, err := retry(func() (int, error) { return receivePacket(int(fd), one[:], nil, syscall.MSG_PEEK) })
		gone = err == nil && n == 0 || err != nil && err != syscall.EAGAIN
	})
	return gone
}

// Close closes the socket once nobody uses it.
func (c *conn) Close() {
	c.closed.Store(true)
	c.file.Close() // fails only if it was closed before
}

// descriptor returns the socket's, or -1 once it is closed.
func (c *conn) descriptor() int {
	if c.closed.Load() {
		return -1
	}
	return c.fd
}

// packetSize is the size of packets to propose: as configured, else 64 KiB, beyond
// which nothing is gained; but never more than the system lets through the socket,
// whose buffer it needs a part of for itself.
func (c *conn) packetSize(configured uint32) uint32 {
	const usual, overhead = 65536, 32
	size := configured
	if size == 0 {
		size = usual
	}
	buffer, err := syscall.GetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF)
	if err != nil || buffer <= 2*overhead {
		return size
	}
	return uint32(min(int64(size), int64(buffer)-overhead))
}
