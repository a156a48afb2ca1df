// Package apps_lookup is the service that tells what is known of the processes with given pids, and of their cgroups: its client and its server.
//
// A provider that is absent, restarts or breaks is normal: Refresh the client from time
// to time. See package service for time limits, concurrency and errors.
package apps_lookup

import (
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
)

type (
	// ClientState is what became of a client's connection.
	ClientState = service.State
	// ClientStatus is what a client did so far.
	ClientStatus = service.Status
	// ClientConfig configures a client; the zero value works.
	ClientConfig service.Config
	// ServerConfig configures a server; the zero value works.
	ServerConfig service.Config
	// Client asks for processes by pid. It belongs to one goroutine at a time, except for Abort,
	// ClearAbort, Ready, Status, LastError and SetCallTimeout.
	Client = service.LookupClient[uint32, protocol.AppsLookupResponseView]
	// Server answers the requests of many clients.
	Server = service.Server
)

const (
	StateDisconnected = service.StateDisconnected
	StateConnecting   = service.StateConnecting
	StateReady        = service.StateReady
	StateNotFound     = service.StateNotFound
	StateAuthFailed   = service.StateAuthFailed
	StateIncompatible = service.StateIncompatible
	StateBroken       = service.StateBroken
)

// Kind describes the service to generic clients.
var Kind = service.Lookup[uint32, protocol.AppsLookupResponseView]{
	Name:            "apps-lookup",
	Method:          protocol.MethodAppsLookup,
	KeySize:         func(uint32) int { return protocol.AppsLookupKeySize },
	PlaceholderSize: func(uint32) int { return protocol.AppsLookupPlaceholderSize },
	Encode:          protocol.EncodeAppsLookupRequest,
	Decode:          func(b []byte, view *protocol.AppsLookupResponseView) error { return view.Decode(b) },
	Head: func(view *protocol.AppsLookupResponseView) (uint32, uint64) {
		return view.ItemCount, view.Generation
	},
	Item: answerTo,
}

func answerTo(view *protocol.AppsLookupResponseView, index uint32, pid uint32) ([]byte, service.Reply) {
	item, err := view.Item(index)
	if err != nil || item.Pid != pid {
		return nil, service.Mismatched
	}
	raw, err := view.RawItem(index)
	switch {
	case err != nil:
		return nil, service.Mismatched
	case item.Status == protocol.PidLookupPayloadExceeded:
		return raw, service.Exceeded
	case item.Status == protocol.PidLookupOversizedItem:
		return raw, service.Oversized
	}
	return raw, service.Answered
}

// NewClient makes a client of the service in runDir. It does not connect: see
// [service.Connection.Refresh]. The service need not exist yet.
func NewClient(runDir, serviceName string, config ClientConfig) *Client {
	return service.NewLookupClient(Kind, runDir, serviceName, service.Config(config))
}

// A HandlerFunc adds an answer for each key of the request, in their order, and returns
// true, or returns false if it cannot. It is called by several goroutines at once, and
// may use its arguments until it returns. Answers that do not fit are asked for again.
type HandlerFunc = func(*protocol.AppsLookupRequestView, *protocol.AppsLookupBuilder) bool

// A Handler is what a server serves. Without Handle requests are answered UNSUPPORTED.
type Handler struct {
	Handle HandlerFunc
}

func (h Handler) responder() service.Responder {
	if h.Handle == nil {
		return nil
	}
	return func(request, response []byte) (int, error) {
		return protocol.DispatchAppsLookup(request, response, h.Handle)
	}
}

// NewServer makes a server with [service.WorkersDefault] workers. It does not listen
// before Run.
func NewServer(runDir, serviceName string, config ServerConfig, handler Handler) *Server {
	return NewServerWithWorkers(runDir, serviceName, config, handler, service.WorkersDefault)
}

// NewServerWithWorkers makes a server that answers as many requests at once; less than
// 1 is 1. It does not listen before Run.
func NewServerWithWorkers(runDir, serviceName string, config ServerConfig, handler Handler, workerCount int) *Server {
	return service.NewServer(protocol.MethodAppsLookup, runDir, serviceName, service.Config(config), handler.responder(), workerCount)
}
