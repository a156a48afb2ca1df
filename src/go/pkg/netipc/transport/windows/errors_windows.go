package windows

import (
	"errors"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// Why something failed, for programs: returned errors wrap one of these, and the
// system's error where there was one. Compare with [errors.Is].
var (
	// ErrCreatePipe: the system refused to make or prepare a pipe.
	ErrCreatePipe = errors.New("cannot make a pipe")
	// ErrConnect: nobody listens, or not to this user.
	ErrConnect = errors.New("cannot connect")
	// ErrAccept: no client could be accepted; the listener may be closed.
	ErrAccept = errors.New("cannot accept")
	// ErrSend: the peer is gone, or the system refused the packet. The session is over.
	ErrSend = carrier.ErrSend
	// ErrRecv: the peer is gone, or the system failed. The session is over.
	ErrRecv = carrier.ErrRecv
	// ErrDisconnected: the peer is gone. It comes along with ErrSend or ErrRecv.
	ErrDisconnected = carrier.ErrPeerClosed
	// ErrAddrInUse: somebody has the endpoint already.
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
