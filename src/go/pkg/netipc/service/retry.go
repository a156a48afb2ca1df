package service

import (
	"errors"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// next is what to do after a failed attempt.
type next int

const (
	giveUp next = iota
	again       // connect again and send the same request once more
	grow        // the same, with larger limits
)

// mostGrowths is how often a request is sent again with larger limits (PROTOCOL.md, section 13).
const mostGrowths = 7

// A retry is what was tried for one request.
type retry struct {
	resent  bool
	growths int
}

// after decides what follows a failed attempt (PROTOCOL.md, section 13). A lost session
// or a peer that breaks the protocol is worth one more try; a limit is worth as many as
// limits can grow; time, aborts and a service that refuses are not.
func (r *retry) after(err error) next {
	switch {
	case isFinal(err):
		return giveUp
	case errors.Is(err, protocol.ErrOverflow):
		if r.growths == mostGrowths {
			return giveUp
		}
		r.growths++
		return grow
	case r.resent:
		return giveUp
	}
	r.resent = true
	return again
}

func isFinal(err error) bool {
	return isOver(err) || isRefusal(err) ||
		errors.Is(err, protocol.StatusError(protocol.StatusInternalError)) || errors.Is(err, errUnwritable)
}

// isOver tells whether the call ended by itself: there is no time left, or no wish.
func isOver(err error) bool {
	return errors.Is(err, protocol.ErrTimeout) || errors.Is(err, protocol.ErrAborted)
}

// isRefusal tells whether the service does not serve this; the session goes on.
func isRefusal(err error) bool {
	return errors.Is(err, protocol.StatusError(protocol.StatusUnsupported))
}

// errUnwritable marks a request that has no form on the wire: the caller's error.
var errUnwritable = errors.New("request cannot be encoded")

// A callError is what went wrong, for people, and its kind, for programs.
type callError struct {
	tried string
	kind  error
	cause error
}

func (e *callError) Error() string { return e.tried + ": " + e.cause.Error() }

func (e *callError) Unwrap() []error { return []error{e.kind, e.cause} }

// kindOf maps what a link failed with to the sentinels of a call. They are the same
// over all carriers.
func kindOf(err error) error {
	for _, kind := range [...]error{protocol.ErrTimeout, protocol.ErrAborted, protocol.ErrBadKind} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	switch {
	case errors.Is(err, session.ErrLimitExceeded):
		return protocol.ErrOverflow
	case errors.Is(err, session.ErrUnknownMsgID):
		return protocol.ErrBadLayout
	}
	return protocol.ErrTruncated
}
