//go:build unix

package posix

import (
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
)

// A Role is the part a process plays in a session.
type Role = carrier.Role

const (
	RoleClient = carrier.RoleClient
	RoleServer = carrier.RoleServer
)

// A Session is a connected socket after its handshake. Its fields tell what was agreed;
// they are not to be changed. It moves messages with Send, SendTimeout, Receive and
// ReceiveTimeout; Interrupt, StopReceiving and Close end that, and PeerGone and Role
// tell about it, all as on other systems.
//
// One goroutine may send while another receives. Close, Interrupt, StopReceiving,
// PeerGone and Credentials may be called by any goroutine at any time. After an
// error other than ErrBadParam, ErrDuplicateMsgID, and ErrLimitExceeded from Send,
// the session may be in the middle of a message and is to be closed.
type Session struct {
	*carrier.Session
	conn *conn
}

func newSession(role Role, path string, c *conn, a *session.Agreement) *Session {
	return &Session{carrier.NewSession(role, path, c, a), c}
}

// Fd returns the socket's descriptor, to be polled and looked at only; -1 once closed.
func (s *Session) Fd() int { return s.conn.descriptor() }

// Credentials tells who the peer is, according to the system. It fails with
// [errors.ErrUnsupported] where the system does not tell: everywhere but on Linux.
func (s *Session) Credentials() (Credentials, error) { return s.conn.credentials() }
