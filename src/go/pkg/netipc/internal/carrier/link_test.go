package carrier

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// An idleConn is a connection on which nothing happens until it is closed.
type idleConn struct{ closed chan struct{} }

func (c idleConn) AwaitPeer() error  { <-c.closed; return ErrClosed }
func (c idleConn) PeerGone() bool    { return false }
func (c idleConn) Halt()             {}
func (c idleConn) Interrupted() bool { return false }
func (c idleConn) Close()            {}

func (c idleConn) Interrupt() {
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
}

func (c idleConn) Send(_, _ []byte, _ time.Time) error { return errors.ErrUnsupported }

func (c idleConn) Receive(_, _ []byte, _ time.Time) (int, error) { return 0, errors.ErrUnsupported }

// A message is shared memory in which it lies, with the length it says it has.
type message struct {
	bytes  []byte
	length uint32
}

func (m message) Traits() Traits                      { return Traits{OneMessage: true} }
func (m message) Send(_, _ []byte, _ time.Time) error { return nil }
func (m message) Next(time.Time) (uint32, error)      { return m.length, nil }
func (m message) CopyOut(buf []byte) error            { copy(buf, m.bytes); return nil }
func (m message) Stop()                               {}
func (m message) End(error)                           {}
func (m message) Close()                              {}

func TestSharedMemoryOfAnyLengthTakesNoMoreRoomThanWasAgreed(t *testing.T) {
	agreement := session.Agreement{MaxRequestPayloadBytes: 1024, MaxResponsePayloadBytes: 1024, MaxRequestBatchItems: 1, MaxResponseBatchItems: 1}
	h := protocol.Header{Magic: protocol.MagicMsg, Version: protocol.Version, HeaderLen: protocol.HeaderLen, Kind: protocol.KindRequest, ItemCount: 1}
	for _, c := range []struct {
		payload, length uint32
		want            error
	}{
		{1024, 1056, nil},
		{1024, 1 << 31, session.ErrProtocol},
		{1 << 30, 1 << 31, session.ErrLimitExceeded},
	} {
		h.PayloadLen = c.payload
		bytes := bytes.Repeat([]byte{1}, 1057)
		h.Encode(bytes)
		s := NewSession(RoleServer, "test", idleConn{make(chan struct{})}, &agreement)
		l := newLink(s, message{bytes, c.length}, nil)
		_, payload, err := l.Receive(time.Time{})
		if !errors.Is(err, c.want) || err == nil && len(payload) != 1024 {
			t.Errorf("%+v: got %d bytes and %v", c, len(payload), err)
		}
		if len(l.inbox.buffer) > 2048 {
			t.Errorf("%+v: a buffer of %d bytes", c, len(l.inbox.buffer))
		}
		l.Close()
	}
}

// records is shared memory with records of these lengths, of which the first says how long
// the message is.
type records struct {
	message
	lengths []uint32
}

func (r *records) Traits() Traits { return Traits{LongestRecord: 100} }

func (r *records) Next(time.Time) (uint32, error) {
	if len(r.lengths) == 0 {
		return 0, protocol.ErrTimeout
	}
	length := r.lengths[0]
	r.lengths = r.lengths[1:]
	return length, nil
}

func TestAMessageIsInNoMoreRecordsThanItNeeds(t *testing.T) {
	agreement := session.Agreement{MaxRequestPayloadBytes: 1024, MaxResponsePayloadBytes: 1024, MaxRequestBatchItems: 1, MaxResponseBatchItems: 1}
	h := protocol.Header{Magic: protocol.MagicMsg, Version: protocol.Version, HeaderLen: protocol.HeaderLen, Kind: protocol.KindRequest, ItemCount: 1, PayloadLen: 218}
	bytes := make([]byte, 256)
	h.Encode(bytes)
	for _, c := range []struct {
		lengths []uint32
		want    error
	}{
		{[]uint32{100, 100, 50}, nil},
		{[]uint32{100, 100, 51}, session.ErrProtocol},
		{[]uint32{100, 100, 49, 1}, session.ErrProtocol},
		{[]uint32{100, 99, 51}, session.ErrProtocol},
		{[]uint32{99, 100, 51}, session.ErrProtocol},
	} {
		s := NewSession(RoleServer, "test", idleConn{make(chan struct{})}, &agreement)
		l := newLink(s, &records{message{bytes: bytes}, c.lengths}, nil)
		_, payload, err := l.Receive(time.Time{})
		if !errors.Is(err, c.want) || err == nil && len(payload) != 218 {
			t.Errorf("%d: got %d bytes and %v", c.lengths, len(payload), err)
		}
		l.Close()
	}
}
