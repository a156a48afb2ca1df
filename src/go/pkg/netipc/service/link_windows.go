package service

import "github.com/netdata/plugin-ipc/go/pkg/netipc/transport/windows"

// The transport of this system; see link_transport.go.
type (
	transportLink     = windows.Link
	transportListener = windows.Listener
	transportPending  = windows.Pending
	clientConfig      = windows.ClientConfig
	serverConfig      = windows.ServerConfig
)

var (
	dialTransport   = windows.Dial
	listenTransport = windows.Listen

	// errConnect and errNoName are how a client fails to connect if nobody listens.
	errConnect = windows.ErrConnect
	errNoName  = windows.ErrPipeName
)
