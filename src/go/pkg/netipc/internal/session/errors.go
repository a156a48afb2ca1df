package session

import "errors"

// Why a handshake failed or a session must end. Transports export these values
// under the same names, so that [errors.Is] works across packages.
var (
	ErrBadParam       = errors.New("bad parameter")
	ErrProtocol       = errors.New("protocol violation")
	ErrChunk          = errors.New("chunk does not continue the message")
	ErrLimitExceeded  = errors.New("negotiated limit exceeded")
	ErrDuplicateMsgID = errors.New("message id is in flight already")
	ErrUnknownMsgID   = errors.New("response to no request in flight")
	ErrAuthFailed     = errors.New("authentication failed")
	ErrNoProfile      = errors.New("no profile in common")
	ErrIncompatible   = errors.New("incompatible protocol version or layout")
	ErrHandshake      = errors.New("handshake refused")
)
