//go:build unix

package posix

import (
	"context"
	"fmt"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
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
	terms := config.terms(p.conn)
	return p.handshake(ctx, func(hello []byte) ([]byte, session.Agreement, error) {
		return terms.Answer(hello, sessionID)
	})
}

// handshake lets answer decide what the client gets to hear, and what was agreed.
func (p *Pending) handshake(ctx context.Context, answer func(hello []byte) ([]byte, session.Agreement, error)) (*Session, error) {
	ctx, cancel := context.WithTimeout(ctx, handshakePatience)
	defer cancel()
	peer := "client of " + p.listener.path
	var agreement session.Agreement
	err := during(ctx, p.conn, func(deadline time.Time) error {
		hello, err := receiveHandshake(p.conn, deadline)
		if err != nil {
			return fail(ErrRecv, err, "receive HELLO from %s", peer)
		}
		reply, agreed, refused := answer(hello)
		if reply != nil {
			err = p.conn.send(reply, nil, deadline)
		}
		switch {
		case refused != nil: // that it could not be told makes no difference
			return fmt.Errorf("handshake with %s: %w", peer, refused)
		case err != nil:
			return fail(ErrSend, err, "send HELLO_ACK to %s", peer)
		}
		agreement = agreed
		return nil
	})
	if err != nil {
		p.conn.close()
		return nil, err
	}
	return newSession(RoleServer, p.listener.path, p.conn, &agreement), nil
}

// Credentials tells who the client is; see [Session.Credentials].
func (p *Pending) Credentials() (Credentials, error) { return p.conn.credentials() }

// Interrupt makes a handshake that is going on in another goroutine fail with
// ErrAborted.
func (p *Pending) Interrupt() { p.conn.interrupt() }

// Close drops the client.
func (p *Pending) Close() { p.conn.close() }
