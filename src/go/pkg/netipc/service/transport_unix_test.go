//go:build unix

package service_test

import (
	"errors"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/transport/posix"
)

// What tests of peers that do not keep to the rules need of this system.
type (
	peerConfig  = posix.ClientConfig
	peerSession = posix.Session
)

var connectPeer = posix.Connect

// endpointOf is what errors call the endpoint of a service.
func endpointOf(service string) string { return service + ".sock" }

// mostDescriptors is how many files and sockets this process may have open.
func mostDescriptors() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return uint64(limit.Cur)
}

// silence connects to the server of a directory and says nothing.
func silence(t *testing.T, dir string) {
	address := &net.UnixAddr{Name: filepath.Join(dir, "increment.sock"), Net: "unixpacket"}
	eventually(t, "a silent peer is connected", func() bool {
		conn, err := net.DialUnix("unixpacket", nil, address)
		if err == nil {
			t.Cleanup(func() { conn.Close() })
		}
		return err == nil
	})
}

// A bare is a peer that sends and receives packets past its session.
type bare struct {
	t  *testing.T
	fd int
}

func barePeer(t *testing.T, dir, service string, config peerConfig) bare {
	t.Helper()
	return bare{t, peer(t, dir, service, config).Fd()}
}

func (b bare) send(packet []byte) {
	b.t.Helper()
	eventually(b.t, "a packet is sent", func() bool {
		_, err := syscall.SendmsgN(b.fd, packet, nil, nil, 0)
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			b.t.Fatal(err)
		}
		return err == nil
	})
}

// receive returns nothing once the server has hung up.
func (b bare) receive() []byte {
	b.t.Helper()
	packet := make([]byte, 1<<16)
	n := 0
	eventually(b.t, "a packet is received", func() bool {
		var err error
		n, _, err = syscall.Recvfrom(b.fd, packet, 0)
		if errors.Is(err, syscall.ECONNRESET) {
			n, err = 0, nil
		}
		if err != nil && !errors.Is(err, syscall.EAGAIN) {
			b.t.Fatal(err)
		}
		return err == nil
	})
	return packet[:n]
}
