package service_test

import (
	"math"
	"os"
	"syscall"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/transport/windows"
)

// What tests of peers that do not keep to the rules need of this system.
type (
	peerConfig  = windows.ClientConfig
	peerSession = windows.Session
)

var connectPeer = windows.Connect

// endpointOf is what errors call the endpoint of a service.
func endpointOf(service string) string { return "-" + service }

// mostDescriptors is how many handles this process may have open.
func mostDescriptors() uint64 { return math.MaxUint64 }

// silence connects to the server of a directory and says nothing.
func silence(t *testing.T, dir string) { openPipe(t, dir, "increment") }

// openPipe connects to the pipe of a service, without a word.
func openPipe(t *testing.T, dir, service string) *os.File {
	t.Helper()
	name, err := windows.BuildPipeName(dir, service)
	if err != nil {
		t.Fatal(err)
	}
	var file *os.File
	eventually(t, "a peer is connected", func() bool {
		handle, err := syscall.CreateFile(&name[0], syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_EXISTING, 0, 0)
		if err == nil {
			file = os.NewFile(uintptr(handle), service)
		}
		return err == nil
	})
	t.Cleanup(func() { file.Close() })
	return file
}

// A bare is a peer that sends and receives packets past the rules of a session.
type bare struct {
	t    *testing.T
	pipe *os.File
}

// barePeer says HELLO by hand: the handle of a session is not for others to use.
func barePeer(t *testing.T, dir, service string, config peerConfig) bare {
	t.Helper()
	b := bare{t, openPipe(t, dir, service)}
	terms := session.Terms{MaxRequestPayloadBytes: config.MaxRequestPayloadBytes, PacketSize: 65536}.WithDefaults()
	hello := terms.Hello()
	b.send(hello[:])
	if _, err := terms.Accept(b.receive()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b bare) send(packet []byte) {
	b.t.Helper()
	if len(packet) == 0 {
		packet = make([]byte, protocol.HeaderSize-1) // nobody would see an empty one
	}
	if _, err := b.pipe.Write(packet); err != nil {
		b.t.Fatal(err)
	}
}

// receive returns nothing once the server has hung up.
func (b bare) receive() []byte {
	b.t.Helper()
	packet := make([]byte, 1<<16)
	n, err := b.pipe.Read(packet)
	if err != nil {
		return nil
	}
	return packet[:n]
}
