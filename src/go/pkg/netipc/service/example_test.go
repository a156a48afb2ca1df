package service_test

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
)

// Example adds a kind of service: a client describes it by a Kind, a server answers it
// by a Responder, and all the rest comes with them.
func Example() {
	const method = 1000 // a number no other kind uses

	square := service.Kind[uint32, uint64]{
		Name:   "square",
		Method: method,
		Size:   func(uint32) int { return 4 },
		Encode: func(n uint32, b []byte) (int, error) {
			binary.NativeEndian.PutUint32(b, n)
			return 4, nil
		},
		Decode: func(b []byte, answer *uint64) error {
			if len(b) < 8 {
				return protocol.ErrTruncated
			}
			*answer = binary.NativeEndian.Uint64(b)
			return nil
		},
	}
	respond := func(request, response []byte) (int, error) {
		if len(request) < 4 {
			return 0, protocol.ErrTruncated // the client will be told that its request is malformed
		}
		if len(response) < 8 {
			return 0, protocol.ErrOverflow // the client will come back with more room
		}
		n := uint64(binary.NativeEndian.Uint32(request))
		binary.NativeEndian.PutUint64(response, n*n)
		return 8, nil
	}

	runDir, _ := os.MkdirTemp("", "netipc")
	defer os.RemoveAll(runDir)
	// The best shared memory that both sides have; without a configuration it is sockets.
	config := service.Config{
		SupportedProfiles: protocol.ProfilesSharedMemory,
		PreferredProfiles: protocol.ProfilesSharedMemory,
	}
	server := service.NewServer(method, runDir, "square", config, respond, 2)
	go server.Run()
	defer server.Drain(5 * time.Second)

	client := service.NewClient(square, runDir, "square", config)
	defer client.Close()
	for client.Refresh(); !client.Ready(); client.Refresh() {
		time.Sleep(10 * time.Millisecond)
	}
	answer, err := client.CallWithTimeout(65536, 5000)
	fmt.Println(*answer, err)
	// Output: 4294967296 <nil>
}
