//go:build unix

package posix

import (
	"context"
	"fmt"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Link moves whole messages between a client and a server, over the socket or, if
// both have it, through shared memory: with Send and Receive, until Interrupt,
// StopReceiving or Close. [Dial] and [Pending.Accept] make one.
//
// One goroutine at a time may use Send and Receive. Interrupt, StopReceiving and Close
// may be called by any goroutine at any time. After an error other than ErrBadParam,
// ErrDuplicateMsgID, and ErrLimitExceeded from Send, the link is to be closed.
type Link struct {
	*carrier.Link
	conn *conn
}

// Session tells what was agreed and who the peer is. Messages are not to be sent or
// received on it.
func (l *Link) Session() *Session { return &Session{l.Link.Session(), l.conn} }

// Dial connects to a service in runDir and returns a link to it; a nil config is one of
// defaults. If they agree on shared memory and it cannot be opened, Dial connects again
// without that kind: a server that has agreed waits for messages there and nowhere else.
// Profiles this system does not have are not offered.
//
// It fails like [ConnectContext], and with ErrNoProfile if nothing is left to offer.
func Dial(ctx context.Context, runDir, serviceName string, config *ClientConfig) (*Link, error) {
	e, path, err := resolveSocket(runDir, serviceName)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	var offer ClientConfig
	if config != nil {
		offer = *config
	}
	var last *conn
	link, err := carrier.Dial(path, offer.SupportedProfiles, e.media(offer.Spin), func(profiles uint32) (*carrier.Session, error) {
		offer.SupportedProfiles = profiles
		s, err := greet(ctx, path, &offer, func(c *conn) session.Terms {
			if last = c; profiles&protocol.ProfileRing != 0 {
				c.awaitHanded()
			}
			return offer.terms(c)
		})
		if err != nil || s.SelectedProfile != protocol.ProfileRing {
			last.refuseHanded()
		}
		if err != nil {
			return nil, err
		}
		return s.Session, nil
	})
	if err != nil {
		return nil, err
	}
	return &Link{link, last}, nil
}

// Accept is [Pending.Handshake] for a link, with the listener's next session id. If
// client and server agree on shared memory it is made before the client is told; if
// that fails they agree on something else.
//
// It fails like Handshake. Profiles this system does not have are not granted.
func (p *Pending) Accept(ctx context.Context, config ServerConfig) (*Link, error) {
	p.conn.in.spinner = spin.New(config.Spin)
	terms := config.terms(p.conn)
	terms.ResponseCeiling = p.listener.responseCeiling()
	link, err := carrier.Accept(ctx, p.conn, p.listener.path, terms, p.listener.endpoint.media(config.Spin), p.listener.nextID)
	if err != nil {
		return nil, err
	}
	return &Link{link, p.conn}, nil
}
