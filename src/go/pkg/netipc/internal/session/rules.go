package session

import (
	"fmt"
	"math"
	"sync"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// Limits bound the messages of one direction. Zero is strict: nothing passes.
type Limits struct {
	PayloadBytes uint32
	BatchItems   uint32
}

// Rules say which messages one end of a session may send and must accept, and keep
// the ids of requests in flight. One goroutine may send while another receives.
type Rules struct {
	isClient bool
	packet   uint32
	in, out  Limits

	mu       sync.Mutex
	inFlight map[uint64]struct{} // clients only
}

// ClientRules are the rules of the end that sent the HELLO.
func (a *Agreement) ClientRules() *Rules {
	return NewRules(true, a.PacketSize,
		Limits{a.MaxResponsePayloadBytes, a.MaxResponseBatchItems},
		Limits{a.MaxRequestPayloadBytes, a.MaxRequestBatchItems})
}

// ServerRules are the rules of the end that answered it.
func (a *Agreement) ServerRules() *Rules {
	return NewRules(false, a.PacketSize,
		Limits{a.MaxRequestPayloadBytes, a.MaxRequestBatchItems},
		Limits{a.MaxResponsePayloadBytes, a.MaxResponseBatchItems})
}

// NewRules makes rules out of their parts: the agreed packet size and the limits of
// what comes in and of what goes out.
func NewRules(isClient bool, packetSize uint32, in, out Limits) *Rules {
	return &Rules{isClient: isClient, packet: packetSize, in: in, out: out, inFlight: make(map[uint64]struct{})}
}

// Incoming returns the limits of what this end receives.
func (r *Rules) Incoming() Limits { return r.in }

// Admit decides whether a message may be sent (T1–T4) and completes its header. A
// client's request is in flight from then on, until its response is received or
// Withdraw is called. It fails with ErrDuplicateMsgID or ErrLimitExceeded.
func (r *Rules) Admit(h *protocol.Header, payloadLen int) error {
	if uint64(payloadLen) > math.MaxUint32-protocol.HeaderSize {
		return fmt.Errorf("%w: payload of %d bytes", ErrLimitExceeded, payloadLen)
	}
	h.Magic, h.Version, h.HeaderLen = protocol.MagicMsg, protocol.Version, protocol.HeaderLen
	h.PayloadLen = uint32(payloadLen)
	isRequest := r.isClient && h.Kind == protocol.KindRequest
	isResponse := !r.isClient && h.Kind == protocol.KindResponse
	if isRequest {
		if err := r.track(h.MessageID); err != nil {
			return err
		}
	}
	if !isRequest && !isResponse {
		return nil
	}
	if err := r.out.check(h); err != nil {
		r.Withdraw(h.MessageID)
		return err
	}
	return nil
}

func (r *Rules) track(id uint64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.inFlight[id]; ok {
		return fmt.Errorf("%w: %d", ErrDuplicateMsgID, id)
	}
	r.inFlight[id] = struct{}{}
	return nil
}

// Withdraw takes back a request that was admitted but could not be sent.
func (r *Rules) Withdraw(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.inFlight, id)
}

// Disconnect forgets every request in flight: the peer is gone.
func (r *Rules) Disconnect() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.inFlight)
}

func (l Limits) check(h *protocol.Header) error {
	switch {
	case h.PayloadLen > l.PayloadBytes:
		return fmt.Errorf("%w: payload of %d bytes, agreed were %d", ErrLimitExceeded, h.PayloadLen, l.PayloadBytes)
	case h.ItemCount > l.BatchItems:
		return fmt.Errorf("%w: batch of %d items, agreed were %d", ErrLimitExceeded, h.ItemCount, l.BatchItems)
	case uint64(h.PayloadLen) > math.MaxUint32-protocol.HeaderSize:
		return fmt.Errorf("%w: payload of %d bytes", ErrLimitExceeded, h.PayloadLen)
	}
	return nil
}

// Open judges a message that arrived in one piece (RX2–RX6, RX8, RX10) and returns
// its header and its payload, borrowed from message. It fails like Begin, and with
// ErrProtocol for a message shorter than its header says.
func (r *Rules) Open(message []byte) (protocol.Header, []byte, error) {
	h, join, err := r.Begin(message, len(message))
	if err != nil {
		return h, nil, err
	}
	if join.Missing() != 0 {
		return h, nil, fmt.Errorf("%w: %d bytes of payload are missing", ErrProtocol, join.Missing())
	}
	payload := message[protocol.HeaderSize:]
	return h, payload, r.Finish(&h, payload)
}

// Begin judges the first packet of a message (RX2–RX8), of which head holds at least
// the first 32 bytes if there are that many. A client's request with the message's
// id is no longer in flight afterwards. Begin returns the header also with
// ErrLimitExceeded, so that a server can tell the client; other failures are
// ErrProtocol and ErrUnknownMsgID.
func (r *Rules) Begin(head []byte, packetLen int) (protocol.Header, Join, error) {
	h, err := protocol.DecodeHeader(head)
	if err != nil {
		return protocol.Header{}, Join{}, fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	if err := r.in.check(&h); err != nil {
		return h, Join{}, err
	}
	switch {
	case r.isClient && h.Kind != protocol.KindResponse,
		!r.isClient && h.Kind == protocol.KindControl:
		return h, Join{}, fmt.Errorf("%w: %w: %d", ErrProtocol, protocol.ErrBadKind, h.Kind)
	case r.isClient && !r.settle(h.MessageID):
		return h, Join{}, fmt.Errorf("%w: %d", ErrUnknownMsgID, h.MessageID)
	}
	here := packetLen - protocol.HeaderSize
	if uint64(here) > uint64(h.PayloadLen) {
		return h, Join{}, fmt.Errorf("%w: %d bytes after a message of %d", ErrProtocol, here-int(h.PayloadLen), h.PayloadLen)
	}
	return h, newJoin(&h, here, r.packet), nil
}

// settle takes a request off the list; false if it is not on it.
func (r *Rules) settle(id uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.inFlight[id]
	delete(r.inFlight, id)
	return ok
}

// Finish judges the complete payload (RX10): the directory of a batch of more than
// one item. It fails with ErrProtocol.
func (r *Rules) Finish(h *protocol.Header, payload []byte) error {
	if h.Flags&protocol.FlagBatch == 0 || h.ItemCount <= 1 {
		return nil
	}
	if err := protocol.BatchPayloadValidate(payload, h.ItemCount); err != nil {
		return fmt.Errorf("%w: batch directory: %w", ErrProtocol, err)
	}
	return nil
}
