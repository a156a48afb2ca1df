package windows

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
)

// A conn is one end of a message pipe; see [carrier.Conn].
type conn struct {
	handle syscall.Handle
	port   syscall.Handle
	skips  bool // the port is not told of what succeeds at once
	in     operation
	out    operation

	largest int    // bytes a packet may have
	overrun bool   // the rest of a packet is still to be thrown away
	inBody  []byte // packets on their way to two places, or from them
	outBody []byte

	mu     sync.Mutex
	users  int // of handle, which is closed after the last of them
	ended  bool
	closed chan struct{}
}

// usualPacket is the size of packets, and of a pipe's buffers, unless configured.
const usualPacket = 65536

// newConn takes ownership of a pipe opened for overlapped operations.
func newConn(handle syscall.Handle) (*conn, error) {
	port, err := completions()
	if err == nil {
		err = addToPort(port, handle, keyOperation)
	}
	if err != nil {
		syscall.CloseHandle(handle)
		return nil, err
	}
	c := &conn{handle: handle, port: port, largest: usualPacket, closed: make(chan struct{})}
	c.skips = setNotificationModes(handle, skipCompletionPortOnSuccess) == nil
	c.in.init()
	c.out.init()
	return c, nil
}

// enter tells whether the handle is open, and keeps it so until leave.
func (c *conn) enter() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	c.users++
	return true
}

func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users--
	c.closeUnused()
}

func (c *conn) closeUnused() {
	if c.ended && c.users == 0 {
		syscall.CloseHandle(c.handle)
	}
}

// Close closes the pipe once nobody uses it.
func (c *conn) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	close(c.closed)
	c.closeUnused()
}

func (c *conn) Send(head, body []byte, deadline time.Time) error {
	packet := head
	if len(body) > 0 {
		c.outBody = append(append(c.outBody[:0], head...), body...)
		packet = c.outBody
	}
	n, err := c.out.run(c, syscall.WriteFile, packet, deadline)
	if err == nil && n != len(packet) {
		err = io.ErrShortWrite
	}
	return named(err)
}

func (c *conn) Receive(head, body []byte, deadline time.Time) (int, error) {
	if c.overrun {
		if err := c.skipRest(deadline); err != nil {
			return 0, err
		}
	}
	packet := head
	if len(body) > 0 {
		room := min(len(head)+len(body), c.largest)
		if len(c.inBody) < room {
			c.inBody = make([]byte, room)
		}
		packet = c.inBody[:room]
	}
	n, err := c.in.run(c, syscall.ReadFile, packet, deadline)
	switch {
	case err == syscall.ERROR_MORE_DATA:
		c.overrun = true
		n = len(packet)
	case err == nil && n == 0:
		return 0, carrier.ErrPeerClosed
	case err != nil:
		return 0, named(err)
	}
	if len(body) > 0 {
		copy(body, packet[copy(head, packet[:n]):n])
	}
	if c.overrun {
		n++ // at least
	}
	return n, nil
}

// skipRest throws away what is left of a packet that was too long.
func (c *conn) skipRest(deadline time.Time) error {
	rest := make([]byte, 4096)
	for {
		switch _, err := c.in.run(c, syscall.ReadFile, rest, deadline); err {
		case nil:
			c.overrun = false
			return nil
		case syscall.ERROR_MORE_DATA:
		default:
			return named(err)
		}
	}
}

// AwaitPeer takes the packet that it is woken by.
func (c *conn) AwaitPeer() error {
	_, err := c.Receive(make([]byte, 1), nil, time.Time{})
	return err
}

func (c *conn) PeerGone() bool {
	_, err := c.readable()
	return err != nil
}

// readable tells, without waiting, whether there is something to receive.
func (c *conn) readable() (bool, error) {
	if !c.enter() {
		return false, carrier.ErrClosed
	}
	defer c.leave()
	available, err := peekNamedPipe(c.handle)
	return available > 0, named(err)
}

// awaitReadable waits until there is something to receive: true, or the time is over:
// false. Nothing tells of that but looking again and again.
func (c *conn) awaitReadable(deadline time.Time) (bool, error) {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		if c.in.isEnded() {
			return false, ErrAborted
		}
		readable, err := c.readable()
		if readable || err != nil || !deadline.IsZero() && !time.Now().Before(deadline) {
			return readable, err
		}
		select {
		case <-look.C:
		case <-c.in.stop:
		case <-c.closed:
		}
	}
}

func (c *conn) Halt() { c.in.end() }

func (c *conn) Interrupt() {
	c.in.end()
	c.out.end()
}

func (c *conn) Interrupted() bool { return c.out.isEnded() }

// awaitClient waits for a client on an instance of a server's pipe. It fails with
// errorNoData if one came and went.
func (c *conn) awaitClient() error {
	_, err := c.in.run(c, connectNamedPipe, nil, time.Time{})
	if err == errorPipeConnected {
		return nil
	}
	return err
}

// reject throws a client out and makes the instance wait for another.
func (c *conn) reject() error {
	if !c.enter() {
		return carrier.ErrClosed
	}
	defer c.leave()
	return disconnectNamedPipe(c.handle)
}

// packetSize is the size of packets to propose: as configured, else 64 KiB.
func (c *conn) packetSize(configured uint32) uint32 {
	if configured == 0 {
		configured = usualPacket
	}
	c.largest = max(usualPacket, int(min(configured, 1<<30)))
	return configured
}

// named tells of the system's errors for a peer that is gone that they are that.
func named(err error) error {
	if err == nil {
		return nil
	}
	for _, gone := range [...]error{syscall.ERROR_BROKEN_PIPE, errorNoData, errorPipeNotConnected} {
		if errors.Is(err, gone) {
			return fmt.Errorf("%w: %w", carrier.ErrPeerClosed, err)
		}
	}
	return err
}

// openHandle returns the handle, or syscall.InvalidHandle once it is closed.
func (c *conn) openHandle() syscall.Handle {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return syscall.InvalidHandle
	}
	return c.handle
}
