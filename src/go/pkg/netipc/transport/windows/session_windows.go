package windows

import (
	"syscall"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
)

// A Role is the part a process plays in a session.
type Role = carrier.Role

const (
	RoleClient = carrier.RoleClient
	RoleServer = carrier.RoleServer
)

// A Session is a connected pipe after its handshake. Its fields tell what was agreed;
// they are not to be changed. It moves messages with Send, SendTimeout, Receive and
// ReceiveTimeout; Interrupt, StopReceiving and Close end that, and PeerGone and Role
// tell about it, all as on other systems.
//
// One goroutine may send while another receives. Close, Interrupt, StopReceiving and
// PeerGone may be called by any goroutine at any time. After an error other than
// ErrBadParam, ErrDuplicateMsgID, and ErrLimitExceeded from Send, the session may be in
// the middle of a message and is to be closed.
type Session struct {
	*carrier.Session
	conn *conn
}

func newSession(role Role, name string, c *conn, a *session.Agreement) *Session {
	return &Session{carrier.NewSession(role, name, c, a), c}
}

// WaitReadable waits until a message can be received, which is true, for timeoutMs
// milliseconds at most (0: for ever). It fails with ErrRecv, and ErrDisconnected if the
// peer is gone and everything it sent has been received, or with ErrAborted.
func (s *Session) WaitReadable(timeoutMs uint32) (bool, error) {
	readable, err := s.conn.awaitReadable(carrier.DeadlineIn(timeoutMs))
	if err != nil {
		return false, carrier.Fail(ErrRecv, err, "wait for a message")
	}
	return readable, nil
}

// Handle returns the pipe's handle, to be looked at only; syscall.InvalidHandle once
// closed. It is open for overlapped operations.
func (s *Session) Handle() syscall.Handle { return s.conn.openHandle() }

// GetRole tells which side of the session this is.
//
// Deprecated: use Role.
func (s *Session) GetRole() Role { return s.Role() }
