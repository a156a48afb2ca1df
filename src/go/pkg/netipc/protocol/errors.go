package protocol

import (
	"errors"
	"fmt"
)

// What can be wrong with bytes, and why a call can fail. Compare with [errors.Is].
var (
	// ErrTruncated: the buffer ends before what it must hold; of a call, that the
	// connection was lost.
	ErrTruncated = errors.New("truncated message")
	// ErrBadMagic: the first word belongs to no message of this protocol.
	ErrBadMagic = errors.New("wrong magic number")
	// ErrBadVersion: a version of the envelope this package does not speak.
	ErrBadVersion = errors.New("unsupported envelope version")
	// ErrBadHeaderLen: an envelope header that is not 32 bytes long.
	ErrBadHeaderLen = errors.New("wrong header length")
	// ErrBadKind: a kind of message that is unknown, or not expected here.
	ErrBadKind = errors.New("wrong kind of message")
	// ErrBadLayout: a field or combination of fields the layout does not allow.
	ErrBadLayout = errors.New("malformed layout")
	// ErrOutOfBounds: an index, offset or length beyond the end.
	ErrOutOfBounds = errors.New("out of bounds")
	// ErrMissingNul: a string without the NUL that must follow it.
	ErrMissingNul = errors.New("string without terminating NUL")
	// ErrBadAlignment: an item that does not start at a multiple of [Alignment].
	ErrBadAlignment = errors.New("misaligned item")
	// ErrBadItemCount: not as many items as asked for.
	ErrBadItemCount = errors.New("wrong number of items")
	// ErrOverflow: no room in a buffer, or a negotiated or configured limit passed.
	ErrOverflow = errors.New("limit exceeded")
	// ErrHandlerFailed: the service's handler reported failure or panicked.
	ErrHandlerFailed = errors.New("handler failed")
	// ErrTimeout: the deadline of the call passed.
	ErrTimeout = errors.New("timed out")
	// ErrAborted: the call was called off.
	ErrAborted = errors.New("aborted")
	// ErrNotReady: the client is not connected, so nothing was sent. It also matches
	// [ErrBadLayout], which earlier implementations returned in its place.
	ErrNotReady error = notReady{}
)

type notReady struct{}

func (notReady) Error() string { return "client not ready" }

func (notReady) Is(target error) bool { return target == ErrBadLayout }

// A StatusError is a response whose status is not OK: the peer was reached, and
// refused. It matches [ErrOverflow] for StatusLimitExceeded, else [ErrBadLayout],
// and for StatusInternalError also [ErrHandlerFailed].
type StatusError uint16

func (e StatusError) Error() string {
	switch uint16(e) {
	case StatusBadEnvelope:
		return "service answered: malformed request"
	case StatusUnsupported:
		return "service answered: method not supported"
	case StatusLimitExceeded:
		return "service answered: limit exceeded"
	case StatusInternalError:
		return "service answered: handler failed"
	}
	return fmt.Sprintf("service answered: status %d", uint16(e))
}

// Is makes a StatusError match the sentinels its status stands for.
func (e StatusError) Is(target error) bool {
	switch target {
	case ErrOverflow:
		return uint16(e) == StatusLimitExceeded
	case ErrHandlerFailed:
		return uint16(e) == StatusInternalError
	case ErrBadLayout:
		return uint16(e) != StatusLimitExceeded
	}
	return false
}
