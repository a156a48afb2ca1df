package carrier

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Role is the part a process plays in a session.
type Role int

const (
	RoleClient Role = 1
	RoleServer Role = 2
)

// A Session is a connection after its handshake. The fields tell what was
// agreed; they are not to be changed.
//
// One goroutine may send while another receives. Close, Interrupt, StopReceiving
// and PeerGone may be called by any goroutine at any time. After an
// error other than ErrBadParam, ErrDuplicateMsgID, and ErrLimitExceeded from Send,
// the session may be in the middle of a message and is to be closed.
type Session struct {
	MaxRequestPayloadBytes  uint32
	MaxRequestBatchItems    uint32
	MaxResponsePayloadBytes uint32
	MaxResponseBatchItems   uint32
	PacketSize              uint32
	SelectedProfile         uint32
	SessionID               uint64

	role   Role
	name   string // of the endpoint, for people
	conn   Conn
	agreed session.Agreement
	rules  *session.Rules

	outHead [protocol.HeaderSize]byte
	inHead  [protocol.HeaderSize]byte
	buffer  []byte // of messages the caller's buffer is too small for
}

// NewSession makes a session of a connection, of which it takes ownership.
func NewSession(role Role, name string, c Conn, a *session.Agreement) *Session {
	s := &Session{
		MaxRequestPayloadBytes:  a.MaxRequestPayloadBytes,
		MaxRequestBatchItems:    a.MaxRequestBatchItems,
		MaxResponsePayloadBytes: a.MaxResponsePayloadBytes,
		MaxResponseBatchItems:   a.MaxResponseBatchItems,
		PacketSize:              a.PacketSize,
		SelectedProfile:         a.SelectedProfile,
		SessionID:               a.SessionID,
		role:                    role,
		name:                    name,
		conn:                    c,
		agreed:                  *a,
	}
	if role == RoleClient {
		s.rules = a.ClientRules()
	} else {
		s.rules = a.ServerRules()
	}
	return s
}

// Send sends one message. It completes the header, except for Kind, Flags, Code,
// TransportStatus, ItemCount and MessageID, which are the caller's, and waits as long
// as the peer takes to make room; see [Session.SendTimeout].
//
// It fails with ErrDuplicateMsgID or ErrLimitExceeded before anything is sent, with
// ErrBadParam if the agreed packets hold no payload, or with ErrSend.
func (s *Session) Send(h *protocol.Header, payload []byte) error {
	return s.send(h, payload, time.Time{})
}

// SendTimeout is Send, for timeoutMs milliseconds at most (0: for ever) and until
// abort can be received from or is closed; nil is never. It fails like Send, and
// with ErrTimeout or ErrAborted.
func (s *Session) SendTimeout(h *protocol.Header, payload []byte, timeoutMs uint32, abort <-chan struct{}) error {
	defer s.abortOn(abort)()
	return s.send(h, payload, DeadlineIn(timeoutMs))
}

func (s *Session) send(h *protocol.Header, payload []byte, deadline time.Time) error {
	if err := s.rules.Admit(h, len(payload)); err != nil {
		return s.refused(err)
	}
	cut, err := session.NewCut(h, payload, s.PacketSize)
	if err != nil {
		s.withdraw(h)
		return s.refused(err)
	}
	for part, more := cut.Next(&s.outHead); more; part, more = cut.Next(&s.outHead) {
		if err := s.conn.Send(s.outHead[:], part, deadline); err != nil {
			return s.sendFailed(err)
		}
	}
	return nil
}

func (s *Session) withdraw(h *protocol.Header) {
	if s.role == RoleClient && h.Kind == protocol.KindRequest {
		s.rules.Withdraw(h.MessageID)
	}
}

func (s *Session) refused(err error) error { return fmt.Errorf("send to %s: %w", s.peer(), err) }

// Receive waits for one message and returns its header and payload. The payload lies
// in buf if that is large enough, else in a buffer of the session; either way it is
// valid until the next Receive.
//
// It fails with ErrProtocol, ErrChunk, ErrUnknownMsgID, ErrRecv, or with
// ErrLimitExceeded, and then still returns the header.
func (s *Session) Receive(buf []byte) (protocol.Header, []byte, error) {
	return s.receive(buf, time.Time{})
}

// ReceiveTimeout is Receive, for timeoutMs milliseconds at most (0: for ever), all
// packets of the message included, and until abort can be received from or is
// closed; nil is never. It fails like Receive, and with ErrTimeout or ErrAborted. After
// ErrTimeout more can be received, unless a part of the message had come; an abort is
// the end of the session.
func (s *Session) ReceiveTimeout(buf []byte, timeoutMs uint32, abort <-chan struct{}) (protocol.Header, []byte, error) {
	defer s.abortOn(abort)()
	return s.receive(buf, DeadlineIn(timeoutMs))
}

func (s *Session) receive(buf []byte, deadline time.Time) (protocol.Header, []byte, error) {
	h, payload, err := s.receiveMessage(buf, deadline)
	if err != nil {
		return h, nil, err
	}
	if err := s.rules.Finish(&h, payload); err != nil {
		return h, nil, s.broken(err)
	}
	return h, payload, nil
}

func (s *Session) receiveMessage(buf []byte, deadline time.Time) (protocol.Header, []byte, error) {
	message := s.roomFor(buf, s.largestFirstPacket())
	n, err := s.receivePacket(message, nil, deadline)
	if err != nil {
		return protocol.Header{}, nil, err
	}
	got := min(n, len(message))
	h, join, err := s.rules.Begin(message[:got], n)
	if err != nil {
		return h, nil, s.broken(err)
	}
	if n > got {
		return h, nil, s.broken(fmt.Errorf("%w: packet of %d bytes, agreed were %d", session.ErrProtocol, n, s.PacketSize))
	}
	if join.Missing() == 0 {
		return h, message[protocol.HeaderSize:got], nil
	}
	if uint64(h.PayloadLen) > math.MaxInt-protocol.HeaderSize {
		return h, nil, s.broken(fmt.Errorf("%w: payload of %d bytes", session.ErrLimitExceeded, h.PayloadLen))
	}
	whole := s.roomFor(buf, got+join.Missing())
	if &whole[0] != &message[0] {
		copy(whole, message[:got])
	}
	if err := s.receiveRest(whole[got:got+join.Missing()], &join, deadline); err != nil {
		return h, nil, err
	}
	return h, whole[protocol.HeaderSize : protocol.HeaderSize+int(h.PayloadLen)], nil
}

// receiveRest receives the continuations of a message, each to its place in rest.
func (s *Session) receiveRest(rest []byte, join *session.Join, deadline time.Time) error {
	for len(rest) > 0 {
		n, err := s.receivePacket(s.inHead[:], rest, deadline)
		if err != nil {
			return err
		}
		brought, err := join.Next(s.inHead[:min(n, len(s.inHead))], n)
		if err != nil {
			return s.broken(err)
		}
		rest = rest[brought:]
	}
	return nil
}

func (s *Session) receivePacket(head, body []byte, deadline time.Time) (int, error) {
	n, err := s.conn.Receive(head, body, deadline)
	if err != nil {
		return n, s.receiveFailed(err)
	}
	return n, nil
}

// sendFailed tells that the session is over, and forgets what was in flight on it.
func (s *Session) sendFailed(err error) error {
	s.rules.Disconnect()
	return Fail(ErrSend, err, "send to %s", s.peer())
}

// receiveFailed does the same, unless the message has only not come in time.
func (s *Session) receiveFailed(err error) error {
	if !errors.Is(err, protocol.ErrTimeout) {
		s.rules.Disconnect()
	}
	return Fail(ErrRecv, err, "receive from %s", s.peer())
}

// largestFirstPacket is how much the first packet of a message that keeps to the
// rules can bring.
func (s *Session) largestFirstPacket() int {
	longest := protocol.HeaderSize + uint64(s.rules.Incoming().PayloadBytes)
	return int(max(min(longest, uint64(s.PacketSize)), protocol.HeaderSize))
}

// roomFor returns buf if it holds n bytes, else the session's buffer, grown as needed.
func (s *Session) roomFor(buf []byte, n int) []byte {
	if len(buf) >= n {
		return buf
	}
	if len(s.buffer) < n {
		s.buffer = make([]byte, n)
	}
	return s.buffer
}

func (s *Session) broken(err error) error { return fmt.Errorf("receive from %s: %w", s.peer(), err) }

func (s *Session) peer() string {
	if s.role == RoleClient {
		return s.name
	}
	return "client of " + s.name
}

// Role tells which side of the session this is.
func (s *Session) Role() Role { return s.role }

// Interrupt makes whatever the session is waiting for, and every later Send and
// Receive, fail with ErrAborted.
func (s *Session) Interrupt() { s.conn.Interrupt() }

// StopReceiving makes Receive fail with ErrAborted from now on. What is being sent is
// sent, and more can be.
func (s *Session) StopReceiving() { s.conn.Halt() }

// PeerGone tells, without waiting, whether the peer has hung up or died and
// everything it sent has been received.
func (s *Session) PeerGone() bool { return s.conn.PeerGone() }

// Close closes the session, and ends what other goroutines are waiting for with
// ErrSend and ErrRecv. Closing twice does no harm.
func (s *Session) Close() { s.conn.Close() }

// abortOn interrupts the session when abort fires, until the function it returns is
// called.
func (s *Session) abortOn(abort <-chan struct{}) func() {
	if abort == nil {
		return func() {}
	}
	select {
	case <-abort: // before anything else: an abort comes first even if there is data
		s.Interrupt()
		return func() {}
	default:
	}
	done := make(chan struct{})
	go func() {
		select {
		case <-abort:
			s.Interrupt()
		case <-done:
		}
	}()
	return func() { close(done) }
}
