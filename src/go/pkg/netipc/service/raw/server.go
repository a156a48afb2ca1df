package raw

import (
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
)

type (
	// ServerConfig configures a server; the zero value works.
	ServerConfig service.Config
	// Server answers the requests of many clients.
	Server = service.Server
	// DispatchHandler answers a request, given as bytes, into a buffer that is as long as
	// the session allows, and returns the length of the answer.
	DispatchHandler = func(request, responseBuf []byte) (int, error)

	// IncrementHandler answers INCREMENT.
	IncrementHandler = func(uint64) (uint64, bool)
	// StringReverseHandler answers STRING_REVERSE.
	StringReverseHandler = func(string) (string, bool)
	// SnapshotHandler answers CGROUPS_SNAPSHOT.
	SnapshotHandler = func(*protocol.CgroupsRequest, *protocol.CgroupsBuilder) bool
	// CgroupsLookupHandler answers CGROUPS_LOOKUP.
	CgroupsLookupHandler = func(*protocol.CgroupsLookupRequestView, *protocol.CgroupsLookupBuilder) bool
	// AppsLookupHandler answers APPS_LOOKUP.
	AppsLookupHandler = func(*protocol.AppsLookupRequestView, *protocol.AppsLookupBuilder) bool
)

// NewServer makes a server of one method with [service.WorkersDefault] workers.
func NewServer(runDir, serviceName string, config ServerConfig, methodCode uint16, handler DispatchHandler) *Server {
	return NewServerWithWorkers(runDir, serviceName, config, methodCode, handler, service.WorkersDefault)
}

// NewServerWithWorkers makes a server of one method; less than 1 worker is 1.
func NewServerWithWorkers(runDir, serviceName string, config ServerConfig, methodCode uint16, handler DispatchHandler, workerCount int) *Server {
	return service.NewServer(methodCode, runDir, serviceName, service.Config(config), handler, workerCount)
}

// IncrementDispatch makes a handler of bytes out of one of values.
func IncrementDispatch(handler IncrementHandler) DispatchHandler {
	return func(request, response []byte) (int, error) {
		return protocol.HandleIncrement(request, response, handler)
	}
}

// StringReverseDispatch makes a handler of bytes out of one of strings.
func StringReverseDispatch(handler StringReverseHandler) DispatchHandler {
	return func(request, response []byte) (int, error) {
		return protocol.HandleStringReverse(request, response, handler)
	}
}

// SnapshotDispatch makes a handler of bytes out of one that builds snapshots of at most
// maxItems items; 0 is as many as fit.
func SnapshotDispatch(handler SnapshotHandler, maxItems uint32) DispatchHandler {
	return func(request, response []byte) (int, error) {
		return protocol.HandleCgroupsSnapshot(request, response, SnapshotMaxItems(len(response), maxItems), handler)
	}
}

// SnapshotMaxItems returns override, or if that is 0 how many items fit a buffer.
func SnapshotMaxItems(bufSize int, override uint32) uint32 {
	if override != 0 {
		return override
	}
	return protocol.EstimateCgroupsMaxItems(bufSize)
}

// CgroupsLookupDispatch makes a handler of bytes out of one that adds answers.
func CgroupsLookupDispatch(handler CgroupsLookupHandler) DispatchHandler {
	return func(request, response []byte) (int, error) {
		return protocol.DispatchCgroupsLookup(request, response, handler)
	}
}

// AppsLookupDispatch makes a handler of bytes out of one that adds answers.
func AppsLookupDispatch(handler AppsLookupHandler) DispatchHandler {
	return func(request, response []byte) (int, error) {
		return protocol.DispatchAppsLookup(request, response, handler)
	}
}
