package carrier

import (
	"fmt"
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
	without error // why the link does without the shared memory it was to have

	// Only with shared memory:
	shared   SharedMemory
	watching chan struct{} // closed when nobody watches the connection any more
	mayWrite bool          // what was written last has been answered
	head     [protocol.HeaderSize]byte
	inbox    inbox
}

// newLink takes ownership of a session, and of its shared memory unless that is nil.
func newLink(s *Session, shared SharedMemory, without error) *Link {
	l := &Link{session: s, shared: shared, without: without}
	if shared == nil {
		return l
	}
	l.inbox.rules = s.rules
	l.mayWrite = s.role == RoleClient
	if !shared.Traits().WaitsOnConn {
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

// WithoutSharedMemory tells why messages do not travel through the shared memory that
// was agreed on first; nil if that is not so.
func (l *Link) WithoutSharedMemory() error { return l.without }

// Send sends one message, until deadline at most; the zero time is never. It completes
// the header as [Session.Send] does.
//
// It fails with ErrDuplicateMsgID or ErrLimitExceeded before anything is sent; with
// ErrBadParam for a second message, before the first was answered, through shared memory
// that holds one at a time; with ErrSend, ErrTimeout or ErrAborted.
func (l *Link) Send(h *protocol.Header, payload []byte, deadline time.Time) error {
	if l.shared == nil {
		return l.session.send(h, payload, deadline)
	}
	if l.session.conn.Interrupted() {
		return l.session.sendFailed(protocol.ErrAborted)
	}
	if !l.mayWrite && l.shared.Traits().OneMessage {
		return l.session.refused(fmt.Errorf("%w: shared memory holds one message at a time", session.ErrBadParam))
	}
	if err := l.session.rules.Admit(h, len(payload)); err != nil {
		return l.session.refused(err)
	}
	h.Encode(l.head[:])
	if err := l.shared.Send(l.head[:], payload, deadline); err != nil {
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
	for {
		if err := l.takeRecord(deadline); err != nil {
			return l.inbox.header, nil, err
		}
		if l.inbox.missing == 0 {
			break
		}
	}
	payload, err := l.inbox.payload()
	if err != nil {
		return l.inbox.header, nil, l.session.broken(err)
	}
	return l.inbox.header, payload, nil
}

// takeRecord waits for one record, and judges it.
func (l *Link) takeRecord(deadline time.Time) error {
	length, err := l.shared.Next(deadline)
	if err != nil {
		return l.session.receiveFailed(err)
	}
	l.mayWrite = true
	record, err := l.inbox.room(int(length))
	if err != nil {
		return l.session.broken(err)
	}
	if err := l.shared.CopyOut(record); err != nil {
		return l.session.receiveFailed(err)
	}
	if err := l.inbox.put(record, int(length)); err != nil {
		return l.session.broken(err)
	}
	if l.inbox.missing > 0 && length != l.shared.Traits().LongestRecord {
		return l.session.broken(fmt.Errorf("%w: %d bytes of payload are missing", session.ErrProtocol, l.inbox.missing))
	}
	return nil
}

// Interrupt makes Send and Receive fail with ErrAborted, now and later.
func (l *Link) Interrupt() {
	l.session.Interrupt()
	if l.shared != nil {
		// As the watcher does, if there is one, a moment later.
		l.shared.Stop()
		l.shared.End(protocol.ErrAborted)
	}
}

// StopReceiving makes Receive fail with ErrAborted from now on; a message that was
// received can still be answered.
func (l *Link) StopReceiving() {
	if l.shared != nil {
		l.shared.Stop() // while somebody still sees whether the peer is there
		return
	}
	l.session.StopReceiving()
}

// Close closes the link, and ends what another goroutine is waiting for. Closing twice
// does no harm.
func (l *Link) Close() {
	if l.shared != nil {
		l.shared.End(ErrClosed)
		l.session.Interrupt()
		if l.watching != nil {
			<-l.watching
		}
		// Before the connection, which tells the peer that it is gone.
		l.shared.Close()
	}
	l.session.Close()
}
