package carrier

import (
	"fmt"
	"math/bits"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Link moves whole messages between a client and a server, over their connection or,
// if both have it, through shared memory. [Dial] and [Accept] make one.
//
// One goroutine at a time may use Send and Receive. Interrupt, StopReceiving and Close
// may be called by any goroutine at any time. After an error other than ErrBadParam,
// ErrDuplicateMsgID, and ErrLimitExceeded from Send, the link is to be closed.
type Link struct {
	session *Session
	without error // why the link does without shared memory, if it was to have it

	// Only with shared memory:
	shared   SharedMemory
	watching chan struct{} // closed when nobody watches the connection any more
	mayWrite bool          // what was written last has been answered
	head     [protocol.HeaderSize]byte
	message  []byte
}

// SharedMemory carries the messages of a link in place of its connection.
type SharedMemory interface {
	// Send sends head and body as one message, and never waits. Like all others it wraps
	// session.ErrProtocol for what is the peer's doing.
	Send(head, body []byte) error
	// Next waits for a message and returns its length, which has been compared with what
	// the shared memory can hold. The zero deadline is never.
	Next(deadline time.Time) (uint32, error)
	// CopyOut copies the start of that message.
	CopyOut(buf []byte) error
	// End makes Next fail with cause, after what messages there are; ErrAborted is before.
	End(cause error)
	// Close lets go of it, on the server's side for good.
	Close()
}

// newLink takes ownership of a session, and of its shared memory unless that is nil.
func newLink(s *Session, shared SharedMemory, without error) *Link {
	l := &Link{session: s, shared: shared, without: without}
	if shared != nil {
		l.mayWrite = s.role == RoleClient
		l.watching = make(chan struct{})
		go l.watch()
	}
	return l
}

// watch waits until the connection has something to say, which ends the wait for a message
// in shared memory.
func (l *Link) watch() {
	defer close(l.watching)
	err := l.session.conn.AwaitPeer()
	if err == nil {
		err = fmt.Errorf("%w: a message beside shared memory", session.ErrProtocol)
	}
	l.shared.End(err)
}

// Session tells what was agreed and who the peer is. Messages are not to be sent or
// received on it.
func (l *Link) Session() *Session { return l.session }

// Agreement tells what was agreed.
func (l *Link) Agreement() *session.Agreement { return &l.session.agreed }

// UsesSharedMemory tells what carries the messages.
func (l *Link) UsesSharedMemory() bool { return l.shared != nil }

// WithoutSharedMemory tells why the link does without shared memory although both
// peers have it; nil if that is not so.
func (l *Link) WithoutSharedMemory() error { return l.without }

// Send sends one message, until deadline at most; the zero time is never. It completes
// the header as [Session.Send] does.
//
// It fails with ErrDuplicateMsgID or ErrLimitExceeded before anything is sent; with
// ErrBadParam for a second message through shared memory before the first was
// answered; with ErrSend, ErrTimeout or ErrAborted.
func (l *Link) Send(h *protocol.Header, payload []byte, deadline time.Time) error {
	if l.shared == nil {
		return l.session.send(h, payload, deadline)
	}
	if l.session.conn.Interrupted() {
		return l.session.sendFailed(protocol.ErrAborted)
	}
	if !l.mayWrite {
		return l.session.refused(fmt.Errorf("%w: shared memory holds one message at a time", session.ErrBadParam))
	}
	if err := l.session.rules.Admit(h, len(payload)); err != nil {
		return l.session.refused(err)
	}
	h.Encode(l.head[:])
	if err := l.shared.Send(l.head[:], payload); err != nil {
		return l.session.sendFailed(err)
	}
	l.mayWrite = false
	return nil
}

// Receive waits for one message, until deadline at most; the zero time is never. The
// payload is valid until the next Receive. It fails like [Session.Receive], and with
// ErrTimeout or ErrAborted. That the peer hung up is ErrRecv also with shared memory,
// and noticed at once.
func (l *Link) Receive(deadline time.Time) (protocol.Header, []byte, error) {
	if l.shared == nil {
		return l.session.receive(nil, deadline)
	}
	length, err := l.shared.Next(deadline)
	if err != nil {
		return protocol.Header{}, nil, l.session.receiveFailed(err)
	}
	l.mayWrite = true
	// One byte more than was agreed on is enough to see that it is too much.
	longest := protocol.HeaderSize + uint64(l.session.rules.Incoming().PayloadBytes)
	message := l.roomFor(int(min(uint64(length), longest+1)))
	if err := l.shared.CopyOut(message); err != nil {
		return protocol.Header{}, nil, l.session.receiveFailed(err)
	}
	h, payload, err := l.session.rules.Open(message)
	if err != nil {
		return h, nil, l.session.broken(err)
	}
	return h, payload, nil
}

// roomFor returns the link's buffer, grown to hold n bytes.
func (l *Link) roomFor(n int) []byte {
	if len(l.message) < n {
		l.message = make([]byte, 1<<bits.Len(uint(n-1)))
	}
	return l.message[:n]
}

// Interrupt makes Send and Receive fail with ErrAborted, now and later.
func (l *Link) Interrupt() {
	l.session.Interrupt()
	l.abortWait()
}

// StopReceiving makes Receive fail with ErrAborted from now on; a message that was
// received can still be answered.
func (l *Link) StopReceiving() {
	l.session.StopReceiving()
	l.abortWait()
}

// abortWait does what the watcher would do a moment later, when Receive may have taken
// another message.
func (l *Link) abortWait() {
	if l.shared != nil {
		l.shared.End(protocol.ErrAborted)
	}
}

// Close closes the link, and ends what another goroutine is waiting for. Closing twice
// does no harm.
func (l *Link) Close() {
	if l.shared != nil {
		l.session.Interrupt()
		<-l.watching
		// Before the connection, which tells the peer that it is gone.
		l.shared.Close()
	}
	l.session.Close()
}
