package carrier

import (
	"context"
	"errors"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Conn is a connection that moves packets: a seqpacket socket, or a message pipe. One
// goroutine may send while another receives; the methods without a deadline may be
// called by any, AwaitPeer excepted. A zero deadline is never.
type Conn interface {
	// Send sends head and body as one packet. It fails with protocol.ErrTimeout,
	// protocol.ErrAborted, ErrClosed, or what the system says.
	Send(head, body []byte, deadline time.Time) error
	// Receive receives a packet into head and, when that is full, body. The length it
	// returns may be more than there was room for: then the rest is lost. It fails like
	// Send, and with ErrPeerClosed. What it is given may be used until it returns, and so
	// must not move: it lies on the heap, as whatever is passed through an interface does.
	Receive(head, body []byte, deadline time.Time) (int, error)
	// AwaitPeer waits until the peer hangs up, which is ErrPeerClosed, or sends
	// something, which is nil; what it was is lost or not. It must not run beside
	// Receive.
	AwaitPeer() error
	// PeerGone tells, without waiting, whether the peer has hung up and left nothing to
	// be read.
	PeerGone() bool
	// Halt ends receiving, for good, so that what is being sent still gets through.
	Halt()
	// Interrupt ends sending and receiving, for good. Interrupted tells whether that was
	// done.
	Interrupt()
	Interrupted() bool
	// Close ends every wait with ErrClosed. What was sent can still be received.
	Close()
}

// ErrPeerClosed is the cause when a peer hung up in good order.
var ErrPeerClosed = errors.New("peer closed the connection")

// ErrClosed is the cause when this side closed what another goroutine was using.
var ErrClosed = errors.New("closed on this side")

// WaitEnded is why a wait under ctx ended: ErrTimeout or ErrAborted.
func WaitEnded(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return protocol.ErrTimeout
	}
	return protocol.ErrAborted
}

// DeadlineIn is when timeoutMs milliseconds from now are over; 0 is never.
func DeadlineIn(timeoutMs uint32) time.Time {
	if timeoutMs == 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(timeoutMs) * time.Millisecond)
}
