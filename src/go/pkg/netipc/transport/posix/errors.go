//go:build unix

package posix

import (
	"errors"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// Why something failed, for programs: returned errors wrap one of these, and the
// system's errno where there was one. Compare with [errors.Is].
var (
	// ErrPathTooLong: the socket's path does not fit the system's socket address.
	ErrPathTooLong = errors.New("path of the socket is too long")
	// ErrSocket: the system refused to make or prepare a socket.
	ErrSocket = errors.New("cannot make a socket")
	// ErrConnect: nobody listens, or nobody may connect.
	ErrConnect = errors.New("cannot connect")
	// ErrAccept: no client could be accepted; the listener may be closed.
	ErrAccept = errors.New("cannot accept")
	// ErrSend: the peer is gone, or the system refused the packet. The session is over.
	ErrSend = carrier.ErrSend
	// ErrRecv: the peer is gone, or the system failed. The session is over.
	ErrRecv = carrier.ErrRecv
	// ErrAddrInUse: somebody alive has the endpoint, or it cannot be told.
	ErrAddrInUse = errors.New("endpoint is in use")

	// ErrHandshake: the server refused for a reason without a name of its own.
	ErrHandshake = session.ErrHandshake
	// ErrAuthFailed: the tokens of client and server differ.
	ErrAuthFailed = session.ErrAuthFailed
	// ErrNoProfile: client and server have no carrier in common.
	ErrNoProfile = session.ErrNoProfile
	// ErrIncompatible: the peer speaks another version or layout.
	ErrIncompatible = session.ErrIncompatible
	// ErrProtocol: the peer broke the protocol.
	ErrProtocol = session.ErrProtocol
	// ErrChunk: a packet does not continue the message it should.
	ErrChunk = session.ErrChunk
	// ErrLimitExceeded: a message or a proposal is over a limit.
	ErrLimitExceeded = session.ErrLimitExceeded
	// ErrBadParam: an argument, a name or a configuration that cannot be used.
	ErrBadParam = session.ErrBadParam
	// ErrDuplicateMsgID: a request with the id of one in flight.
	ErrDuplicateMsgID = session.ErrDuplicateMsgID
	// ErrUnknownMsgID: a response that no request in flight asked for.
	ErrUnknownMsgID = session.ErrUnknownMsgID
	// ErrTimeout: the time was over first.
	ErrTimeout = protocol.ErrTimeout
	// ErrAborted: the caller called it off.
	ErrAborted = protocol.ErrAborted
)
