package carrier

import (
	"context"
	"fmt"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// HandshakePatience is how long a handshake may take, connecting included.
const HandshakePatience = 5 * time.Second

// Greet says HELLO to the server at name, under ctx, and reads the answer. It fails
// with ErrSend, ErrRecv, with what the end of ctx is, or with what the answer said. The
// connection is closed then.
func Greet(ctx context.Context, c Conn, name string, terms session.Terms) (agreement session.Agreement, err error) {
	err = During(ctx, c, func(deadline time.Time) error {
		hello := terms.Hello()
		if err := c.Send(hello[:], nil, deadline); err != nil {
			return Fail(ErrSend, err, "send HELLO to %s", name)
		}
		packet, err := ReceiveHandshake(c, deadline)
		if err != nil {
			return Fail(ErrRecv, err, "receive HELLO_ACK from %s", name)
		}
		if agreement, err = terms.Accept(packet); err != nil {
			return fmt.Errorf("handshake with %s: %w", name, err)
		}
		return nil
	})
	if err != nil {
		c.Close()
	}
	return agreement, err
}

// Answer reads the HELLO of a client of the endpoint at name, under ctx and for
// HandshakePatience at most, and lets decide say what the client gets to hear and what
// was agreed. If that cannot be sent, decide is asked anew as long as again says so; a nil
// again never does. It fails with ErrRecv, ErrSend, with what the end of ctx is, or as
// decide does. The connection is closed then.
func Answer(ctx context.Context, c Conn, name string, decide func(hello []byte) ([]byte, session.Agreement, error), again func(error) bool) (agreement session.Agreement, err error) {
	ctx, cancel := context.WithTimeout(ctx, HandshakePatience)
	defer cancel()
	peer := "client of " + name
	err = During(ctx, c, func(deadline time.Time) error {
		hello, err := ReceiveHandshake(c, deadline)
		if err != nil {
			return Fail(ErrRecv, err, "receive HELLO from %s", peer)
		}
		for {
			reply, agreed, refused := decide(hello)
			if reply != nil {
				err = c.Send(reply, nil, deadline)
			}
			switch {
			case refused != nil: // that it could not be told makes no difference
				return fmt.Errorf("handshake with %s: %w", peer, refused)
			case err == nil:
				agreement = agreed
				return nil
			case again == nil || !again(err):
				return Fail(ErrSend, err, "send HELLO_ACK to %s", peer)
			}
		}
	})
	if err != nil {
		c.Close()
	}
	return agreement, err
}

// ReceiveHandshake receives a packet of a handshake, of which the end may be cut off.
func ReceiveHandshake(c Conn, deadline time.Time) ([]byte, error) {
	packet := make([]byte, session.HandshakeBuffer)
	n, err := c.Receive(packet, nil, deadline)
	return packet[:min(n, len(packet))], err
}

// During runs f with ctx's deadline, and interrupts the connection if ctx is
// cancelled. If that has happened the connection is of no use, and f is taken to
// have failed.
func During(ctx context.Context, c Conn, f func(deadline time.Time) error) error {
	deadline, _ := ctx.Deadline()
	stop := context.AfterFunc(ctx, func() {
		if WaitEnded(ctx) == protocol.ErrAborted {
			c.Interrupt()
		}
	})
	err := f(deadline)
	if !stop() && err == nil {
		err = Fail(WaitEnded(ctx), WaitEnded(ctx), "handshake")
	}
	return err
}
