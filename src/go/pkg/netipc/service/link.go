package service

import (
	"context"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A link moves the messages of one session, over whatever carrier was agreed. One
// goroutine uses it; Interrupt, StopReceiving and Close may be called by any. A zero
// deadline is never.
type link interface {
	// Send sends one message, or fails before anything of it is sent with
	// session.ErrLimitExceeded.
	Send(h *protocol.Header, payload []byte, deadline time.Time) error
	// Receive returns a message whose payload is valid until the next Receive. With
	// session.ErrLimitExceeded it returns the header, too.
	Receive(deadline time.Time) (protocol.Header, []byte, error)
	Agreement() *session.Agreement
	// Interrupt makes Send and Receive fail with protocol.ErrAborted, from now on.
	Interrupt()
	// StopReceiving makes Receive fail, while Send still works.
	StopReceiving()
	Close()
}

// limits are the payloads a session is to take, in bytes.
type limits struct {
	request, response uint32
}

// dial connects to a service with a configuration in which the payload limits are
// replaced. It gives up with ctx, and after a few seconds at most.
type dialFunc func(ctx context.Context, wish limits) (link, error)

// A listener is the endpoint of a server.
type listener interface {
	// Accept waits until a client has connected, and no longer. Any error but after Close
	// is worth another try.
	Accept() (newcomer, error)
	Close()
}

// A newcomer is a client that has connected and with which nothing is agreed yet.
type newcomer interface {
	// Handshake agrees on a session. It gives up after a few seconds.
	Handshake(grant limits) (link, error)
	// Interrupt makes Handshake fail, now or when it is called.
	Interrupt()
	// Close drops the client without an answer, in place of Handshake.
	Close()
}
