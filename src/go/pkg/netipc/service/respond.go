package service

import (
	"errors"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Responder answers one request: it decodes it, writes the response's payload into
// response, which is as long as the session allows, and returns its length. It is
// called by several goroutines at once, and may be called twice for one request, when
// a session breaks before the answer has arrived.
//
// Errors become a status: ErrOverflow becomes LIMIT_EXCEEDED, other sentinels of
// decoders and builders BAD_ENVELOPE, anything else INTERNAL_ERROR. After each of these
// the session ends.
type Responder func(request, response []byte) (int, error)

// An answer is what goes back to the client.
type answer struct {
	header  protocol.Header
	payload []byte
	hangUp  bool  // the session ends once this is sent
	cause   error // why the status is not OK
}

// respond answers a request (SV1 and after): out is as long as the session allows.
func respond(method uint16, responder Responder, h *protocol.Header, payload, out []byte) answer {
	switch {
	case h.Code != method || responder == nil:
		return refusal(h, protocol.StatusUnsupported, nil)
	case h.Flags&protocol.FlagBatch != 0 && h.ItemCount > 0 && isSplit(method):
		return respondBatch(responder, h, payload, out)
	}
	n, err := responder(payload, out)
	if err == nil && n > len(out) {
		err = protocol.ErrOverflow
	}
	if err != nil {
		return failure(h, err)
	}
	return success(h, 0, 1, out[:n])
}

// isSplit tells whether requests of a method come in batches. A snapshot has one request,
// whatever the flag says.
func isSplit(method uint16) bool { return method != protocol.MethodCgroupsSnapshot }

// respondBatch answers item by item; one that fails fails them all.
func respondBatch(responder Responder, h *protocol.Header, payload, out []byte) answer {
	batch := protocol.NewBatchBuilder(out, h.ItemCount)
	for i := range h.ItemCount {
		item, err := protocol.BatchItemGet(payload, h.ItemCount, i)
		if err != nil {
			return failure(h, err)
		}
		if err := batch.AddInPlace(func(room []byte) (int, error) { return responder(item, room) }); err != nil {
			return failure(h, err)
		}
	}
	n, _ := batch.Finish()
	return success(h, protocol.FlagBatch, h.ItemCount, out[:n])
}

func success(h *protocol.Header, flags uint16, items uint32, payload []byte) answer {
	return answer{header: response(h, protocol.StatusOK, flags, items), payload: payload}
}

func failure(h *protocol.Header, err error) answer {
	return refusal(h, statusOf(err), err)
}

// refusal answers with a status that is not OK. Only after UNSUPPORTED does the session
// go on: there is nothing wrong with it.
func refusal(h *protocol.Header, status uint16, cause error) answer {
	return answer{header: response(h, status, 0, 1), hangUp: status != protocol.StatusUnsupported, cause: cause}
}

func response(h *protocol.Header, status, flags uint16, items uint32) protocol.Header {
	return protocol.Header{
		Kind:            protocol.KindResponse,
		Flags:           flags,
		Code:            h.Code,
		TransportStatus: status,
		ItemCount:       items,
		MessageID:       h.MessageID,
	}
}

func statusOf(err error) uint16 {
	if errors.Is(err, protocol.ErrOverflow) {
		return protocol.StatusLimitExceeded
	}
	for _, malformed := range [...]error{
		protocol.ErrTruncated, protocol.ErrBadLayout, protocol.ErrOutOfBounds, protocol.ErrMissingNul,
		protocol.ErrBadAlignment, protocol.ErrBadItemCount,
	} {
		if errors.Is(err, malformed) {
			return protocol.StatusBadEnvelope
		}
	}
	return protocol.StatusInternalError
}

// refuseMessage answers a message that could not be received: a request over a limit
// is told so, everything else is not worth an answer.
func refuseMessage(h *protocol.Header, err error) (answer, bool) {
	if h.Kind != protocol.KindRequest || !errors.Is(err, session.ErrLimitExceeded) {
		return answer{}, false
	}
	return refusal(h, protocol.StatusLimitExceeded, err), true
}
