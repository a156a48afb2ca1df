package cgroups_snapshot

import (
	"context"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
)

type (
	// ClientState is what became of a client's connection.
	ClientState = service.State
	// ClientStatus is what a client did so far.
	ClientStatus = service.Status
	// ClientConfig configures a client or a cache; the zero value works.
	ClientConfig service.Config
	// ServerConfig configures a server; the zero value works.
	ServerConfig service.Config
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

// name is the usual name of the service, for errors.
const name = "cgroups-snapshot"

// Kind describes the service to generic clients.
var Kind = kind(decode)

func kind[View any](decode func([]byte, *View) error) service.Kind[protocol.CgroupsRequest, View] {
	return service.Kind[protocol.CgroupsRequest, View]{
		Name:   name,
		Method: protocol.MethodCgroupsSnapshot,
		Size:   func(protocol.CgroupsRequest) int { return requestSize },
		Encode: func(r protocol.CgroupsRequest, b []byte) (int, error) { return r.Encode(b), nil },
		Decode: decode,
	}
}

const requestSize = 4

// everything is the only request there is.
var everything = protocol.CgroupsRequest{LayoutVersion: 1}

func decode(b []byte, view *protocol.CgroupsResponseView) (err error) {
	*view, err = protocol.DecodeCgroupsResponse(b)
	return err
}

// A Client asks for snapshots. It belongs to one goroutine at a time, except for Abort,
// ClearAbort, Ready, Status, LastError and SetCallTimeout. [service.Connection] has the
// methods not shown here.
type Client struct {
	*service.Client[protocol.CgroupsRequest, protocol.CgroupsResponseView]
}

// NewClient makes a client of the service in runDir. It does not connect: see
// [service.Connection.Refresh]. The service need not exist yet.
func NewClient(runDir, serviceName string, config ClientConfig) *Client {
	return &Client{service.NewClient(Kind, runDir, serviceName, service.Config(config))}
}

// CallSnapshot asks for a snapshot, which is valid until the client's next call or
// Close. See [service.Client.Call] for what it does when the session breaks.
func (c *Client) CallSnapshot() (*protocol.CgroupsResponseView, error) {
	return c.Call(everything)
}

// CallSnapshotWithTimeout is CallSnapshot, within ms milliseconds; 0 means the client's
// own timeout.
func (c *Client) CallSnapshotWithTimeout(ms uint32) (*protocol.CgroupsResponseView, error) {
	return c.CallWithTimeout(everything, ms)
}

// CallSnapshotContext is CallSnapshot under a context.
func (c *Client) CallSnapshotContext(ctx context.Context) (*protocol.CgroupsResponseView, error) {
	return c.CallContext(ctx, everything)
}

// A SnapshotHandler builds a snapshot and returns true, or returns false if it cannot.
// It is called by several goroutines at once, and may use its arguments until it
// returns. If an item does not fit, the client is told to come back with more room,
// whatever the handler returns.
type SnapshotHandler = func(*protocol.CgroupsRequest, *protocol.CgroupsBuilder) bool

// A Handler is what a server serves. Without Handle requests are answered UNSUPPORTED.
type Handler struct {
	Handle SnapshotHandler
	// SnapshotMaxItems is the most items of a snapshot. 0: as many as fit.
	SnapshotMaxItems uint32
}

func (h Handler) responder() service.Responder {
	if h.Handle == nil {
		return nil
	}
	return func(request, response []byte) (int, error) {
		most := h.SnapshotMaxItems
		if most == 0 {
			most = protocol.EstimateCgroupsMaxItems(len(response))
		}
		return protocol.HandleCgroupsSnapshot(request, response, most, h.Handle)
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
	return service.NewServer(protocol.MethodCgroupsSnapshot, runDir, serviceName, service.Config(config), handler.responder(), workerCount)
}
