//go:build unix

package posix

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
)

// maxSocketPath is what fits the system's socket address beside the NUL that ends
// it: 107 bytes on Linux.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// An endpoint is a service in a directory, and names what belongs to it there. The
// directory is taken as it is: neither made absolute nor tidied.
type endpoint struct{ dir, service string }

// newEndpoint fails with ErrBadParam for a name that could lead out of the directory.
func newEndpoint(runDir, service string) (endpoint, error) {
	refuse := func(why string) (endpoint, error) {
		return endpoint{}, fmt.Errorf("%w: %s", ErrBadParam, why)
	}
	switch {
	case runDir == "":
		return refuse("directory of the endpoint is empty")
	case strings.IndexByte(runDir, 0) >= 0:
		return refuse("NUL in the directory of the endpoint")
	}
	if err := carrier.CheckServiceName(service); err != nil {
		return endpoint{}, err
	}
	return endpoint{runDir, service}, nil
}

// socketPath names the socket clients connect to. It fails with ErrPathTooLong.
func (e endpoint) socketPath() (string, error) {
	path := e.dir + "/" + e.service + ".sock"
	if len(path) > maxSocketPath {
		return "", fmt.Errorf("%w: %s has %d bytes, %d are possible", ErrPathTooLong, path, len(path), maxSocketPath)
	}
	return path, nil
}

// lockPath names the file that is locked while the endpoint is made or removed.
func (e endpoint) lockPath() string { return e.dir + "/." + e.service + ".lock" }

// resolveSocket names the socket of a service, or tells what is wrong with the names.
func resolveSocket(runDir, service string) (endpoint, string, error) {
	e, err := newEndpoint(runDir, service)
	if err != nil {
		return e, "", err
	}
	path, err := e.socketPath()
	return e, path, err
}

// address is where a socket at path is bound or found. A leading @ would name an
// abstract socket, which is not what a path means.
func address(path string) syscall.Sockaddr {
	if path[0] == '@' {
		path = "./" + path
	}
	return &syscall.SockaddrUnix{Name: path}
}
