//go:build unix

package posix

import (
	"context"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Pending is a client that has connected and with which nothing is agreed yet. It
// must be ended by Handshake, by Accept or by Close; a client that is closed before
// it is answered finds that it could not connect.
type Pending struct {
	listener *Listener
	conn     *conn
}

// Handshake reads the client's HELLO, answers it, and returns the session they agree
// on. It takes 5 seconds at most, and less if ctx says so. It moves no messages
// through shared memory; [Pending.Accept] does.
//
// It fails with ErrTimeout, ErrAborted, ErrRecv, ErrSend, or, once the client has
// been told, with ErrAuthFailed, ErrNoProfile, ErrIncompatible, ErrLimitExceeded or
// ErrProtocol.
func (p *Pending) Handshake(ctx context.Context, sessionID uint64, config ServerConfig) (*Session, error) {
	p.conn.in.spinner = spin.New(config.Spin)
	terms := config.terms(p.conn).Without(protocol.ProfileRing)
	agreement, err := carrier.Answer(ctx, p.conn, p.listener.path, func(hello []byte) ([]byte, session.Agreement, error) {
		return terms.Answer(hello, sessionID)
	}, nil)
	if err != nil {
		return nil, err
	}
	return newSession(RoleServer, p.listener.path, p.conn, &agreement), nil
}

// Credentials tells who the client is; see [Session.Credentials].
func (p *Pending) Credentials() (Credentials, error) { return p.conn.credentials() }

// Interrupt makes a handshake that is going on in another goroutine fail with
// ErrAborted.
func (p *Pending) Interrupt() { p.conn.Interrupt() }

// Close drops the client.
func (p *Pending) Close() { p.conn.Close() }
