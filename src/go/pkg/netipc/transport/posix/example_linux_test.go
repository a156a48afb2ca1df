package posix_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/transport/posix"
)

// Over rings, and over sockets, many requests may be in flight. They are told apart by
// their ids.
func ExampleLink_pipeline() {
	runDir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(runDir)
	config := posix.ServerConfig{SupportedProfiles: protocol.ProfilesSharedMemory}
	listener, err := posix.Listen(runDir, "echo", config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go func() {
		pending, err := listener.AcceptPending()
		if err != nil {
			return
		}
		link, err := pending.Accept(context.Background(), config)
		if err != nil {
			return
		}
		defer link.Close()
		for {
			h, payload, err := link.Receive(time.Time{})
			if err != nil {
				return // the client has hung up
			}
			reply := protocol.Header{Kind: protocol.KindResponse, Code: h.Code, ItemCount: 1, MessageID: h.MessageID}
			if link.Send(&reply, payload, time.Now().Add(time.Second)) != nil {
				return
			}
		}
	}()

	link, err := posix.Dial(context.Background(), runDir, "echo", &posix.ClientConfig{SupportedProfiles: protocol.ProfilesSharedMemory})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer link.Close()
	fmt.Println("over rings:", link.Session().SelectedProfile == protocol.ProfileRing)
	deadline := time.Now().Add(time.Second) // for all of them
	asked := map[uint64]string{1: "one", 2: "two", 3: "three"}
	for id, word := range asked {
		h := protocol.Header{Kind: protocol.KindRequest, Code: protocol.MethodStringReverse, ItemCount: 1, MessageID: id}
		if err := link.Send(&h, []byte(word), deadline); err != nil {
			fmt.Println(err)
			return
		}
	}
	for range asked {
		h, answer, err := link.Receive(deadline)
		if err != nil {
			fmt.Println(err)
			return
		}
		if asked[h.MessageID] == string(answer) {
			fmt.Println("as asked")
		}
	}
	// Output:
	// over rings: true
	// as asked
	// as asked
	// as asked
}
