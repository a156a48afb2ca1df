//go:build unix

package service

import "github.com/netdata/plugin-ipc/go/pkg/netipc/transport/posix"

// The transport of this system; see link_transport.go.
type (
	transportLink     = posix.Link
	transportListener = posix.Listener
	transportPending  = posix.Pending
	clientConfig      = posix.ClientConfig
	serverConfig      = posix.ServerConfig
)

var (
	dialTransport = posix.Dial

	// errConnect and errNoName are how a client fails to connect if nobody listens.
	errConnect = posix.ErrConnect
	errNoName  = posix.ErrPathTooLong
)

// backlog is how many clients may wait to be accepted, which takes next to no time.
const backlog = 128

func listenTransport(runDir, serviceName string, config serverConfig) (*transportListener, error) {
	config.Backlog = backlog
	return posix.Listen(runDir, serviceName, config)
}
