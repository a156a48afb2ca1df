package windows_test

import (
	"syscall"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/transport/windows"
)

// What programs are written against. Where this stops compiling, they do.
var (
	_ func(runDir, serviceName string) ([]uint16, error)                                           = windows.BuildPipeName
	_ func([]byte) uint64                                                                          = windows.FNV1a64
	_ func(runDir, serviceName string, config *windows.ClientConfig) (*windows.Session, error)     = windows.Connect
	_ func(runDir, serviceName string, config windows.ServerConfig) (*windows.Listener, error)     = windows.Listen
	_ func(*windows.Session, *protocol.Header, []byte) error                                       = (*windows.Session).Send
	_ func(*windows.Session, []byte) (protocol.Header, []byte, error)                              = (*windows.Session).Receive
	_ func(*windows.Session, []byte, uint32, <-chan struct{}) (protocol.Header, []byte, error)     = (*windows.Session).ReceiveTimeout
	_ func(*windows.Session, uint32) (bool, error)                                                 = (*windows.Session).WaitReadable
	_ func(*windows.Session) syscall.Handle                                                        = (*windows.Session).Handle
	_ func(*windows.Session) windows.Role                                                          = (*windows.Session).Role
	_ func(*windows.Session) windows.Role                                                          = (*windows.Session).GetRole
	_ func(*windows.Session)                                                                       = (*windows.Session).Close
	_ func(*windows.Listener) (*windows.Session, error)                                            = (*windows.Listener).Accept
	_ func(*windows.Listener, uint64, windows.ServerConfig) (*windows.Session, error)              = (*windows.Listener).AcceptWithConfig
	_ func(*windows.Listener, uint32, uint32)                                                      = (*windows.Listener).SetPayloadLimits
	_ func(*windows.Listener) syscall.Handle                                                       = (*windows.Listener).Handle
	_ func(*windows.Listener)                                                                      = (*windows.Listener).Close
	_ func(*windows.WinShmContext, []byte) error                                                   = (*windows.WinShmContext).WinShmSend
	_ func(*windows.WinShmContext, []byte, uint32) (int, error)                                    = (*windows.WinShmContext).WinShmReceive
	_ func(*windows.WinShmContext)                                                                 = (*windows.WinShmContext).WinShmClose
	_ func(*windows.WinShmContext)                                                                 = (*windows.WinShmContext).WinShmDestroy
	_ func(*windows.WinShmContext) windows.WinShmRole                                              = (*windows.WinShmContext).Role
	_ func(*windows.WinShmContext) windows.WinShmRole                                              = (*windows.WinShmContext).GetRole
	_ func(string, string, uint64, uint64, uint32, uint32, uint32) (*windows.WinShmContext, error) = windows.WinShmServerCreate
	_ func(string, string, uint64, uint64, uint32) (*windows.WinShmContext, error)                 = windows.WinShmClientAttach

	_ uint32 = windows.WinShmProfileHybrid | windows.WinShmProfileBusywait
	_        = windows.ClientConfig{SupportedProfiles: 1, PreferredProfiles: 1, MaxRequestPayloadBytes: 1, MaxRequestBatchItems: 1,
		MaxResponsePayloadBytes: 1, MaxResponseBatchItems: 1, AuthToken: 1, PacketSize: 1}
	_ = windows.ServerConfig{SupportedProfiles: 1, PreferredProfiles: 1, MaxRequestPayloadBytes: 1, MaxRequestBatchItems: 1,
		MaxResponsePayloadBytes: 1, MaxResponseBatchItems: 1, AuthToken: 1, PacketSize: 1}
	_ = []error{windows.ErrPipeName, windows.ErrCreatePipe, windows.ErrConnect, windows.ErrAccept, windows.ErrSend, windows.ErrRecv,
		windows.ErrHandshake, windows.ErrAuthFailed, windows.ErrNoProfile, windows.ErrIncompatible, windows.ErrProtocol,
		windows.ErrAddrInUse, windows.ErrChunk, windows.ErrLimitExceeded, windows.ErrBadParam, windows.ErrDuplicateMsgID,
		windows.ErrUnknownMsgID, windows.ErrDisconnected, windows.ErrTimeout, windows.ErrAborted,
		windows.ErrWinShmBadParam, windows.ErrWinShmCreateMapping, windows.ErrWinShmOpenMapping, windows.ErrWinShmMapView,
		windows.ErrWinShmCreateEvent, windows.ErrWinShmOpenEvent, windows.ErrWinShmAddrInUse, windows.ErrWinShmBadMagic,
		windows.ErrWinShmBadVersion, windows.ErrWinShmBadHeader, windows.ErrWinShmBadProfile, windows.ErrWinShmMsgTooLarge,
		windows.ErrWinShmTimeout, windows.ErrWinShmDisconnected}
)

// agreed reads what a session tells of itself.
func agreed(s *windows.Session, c *windows.WinShmContext) (uint64, uint32) {
	return s.SessionID, s.MaxRequestPayloadBytes + s.MaxRequestBatchItems + s.MaxResponsePayloadBytes + s.MaxResponseBatchItems +
		s.PacketSize + s.SelectedProfile + c.SpinTries
}

var _ = agreed
var _, _ = windows.RoleClient, windows.RoleServer
var _, _ = windows.WinShmRoleServer, windows.WinShmRoleClient
