package service

import (
	"context"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// What tests use in place of a transport.
type Link = link

// DialWith makes a client connect with dial instead of a transport.
func (c *Connection) DialWith(dial func(ctx context.Context, request, response uint32) (Link, error)) {
	c.dial = func(ctx context.Context, wish limits) (link, error) { return dial(ctx, wish.request, wish.response) }
}

// Respond is what a server does with a request.
func Respond(method uint16, responder Responder, h *protocol.Header, payload, out []byte) (protocol.Header, []byte, bool) {
	a := respond(method, responder, h, payload, out)
	return a.header, a.payload, a.hangUp
}

// What tests use in place of an endpoint.
type (
	Listener = listener
	Newcomer = newcomer
	Limits   = limits
)

// ListenWith makes a server listen with listen instead of a transport.
func (s *Server) ListenWith(listen func() (Listener, error)) {
	s.listen = func(limits) (listener, error) { return listen() }
}
