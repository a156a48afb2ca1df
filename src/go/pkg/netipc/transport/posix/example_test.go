//go:build unix

package posix_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/transport/posix"
)

// A server that adds one to what it is asked, and a client, over sockets.
func Example() {
	runDir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(runDir)
	listener, err := posix.Listen(runDir, "adder", posix.ServerConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go func() {
		session, err := listener.Accept()
		if err != nil {
			return
		}
		defer session.Close()
		buf := make([]byte, 4096)
		for {
			h, payload, err := session.Receive(buf)
			if err != nil {
				return // the client has hung up
			}
			value, err := protocol.IncrementDecode(payload)
			if err != nil {
				return
			}
			reply := make([]byte, protocol.IncrementPayloadSize)
			protocol.IncrementEncode(value+1, reply)
			h = protocol.Header{Kind: protocol.KindResponse, Code: h.Code, ItemCount: 1, MessageID: h.MessageID}
			if session.Send(&h, reply) != nil {
				return
			}
		}
	}()

	session, err := posix.Connect(runDir, "adder", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	question := make([]byte, protocol.IncrementPayloadSize)
	protocol.IncrementEncode(41, question)
	h := protocol.Header{Kind: protocol.KindRequest, Code: protocol.MethodIncrement, ItemCount: 1, MessageID: 1}
	if err := session.Send(&h, question); err != nil {
		fmt.Println(err)
		return
	}
	_, answer, err := session.ReceiveTimeout(nil, 1000, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	value, err := protocol.IncrementDecode(answer)
	fmt.Println(value, err)
	// Output: 42 <nil>
}

// Whoever connects finds out what is wrong: for people in the text, for programs by
// errors.Is.
func ExampleConnect_nobodyThere() {
	_, err := posix.Connect("/nonexistent", "adder", nil)
	fmt.Println(err)
	fmt.Println(errors.Is(err, posix.ErrConnect), errors.Is(err, os.ErrNotExist))
	// Output:
	// connect to /nonexistent/adder.sock: no such file or directory
	// true true
}

// A server that shakes hands with each client in a goroutine of its own, so that a
// silent one keeps nobody waiting, and a client that uses whatever they agree on.
func ExampleDial() {
	runDir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(runDir)
	const profiles = protocol.ProfilesSharedMemory // as far as both sides have it
	config := posix.ServerConfig{SupportedProfiles: profiles}
	listener, err := posix.Listen(runDir, "echo", config)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer listener.Close()
	go func() {
		for {
			pending, err := listener.AcceptPending()
			if err != nil {
				return
			}
			go func() {
				link, err := pending.Accept(context.Background(), config)
				if err != nil {
					return
				}
				defer link.Close()
				for {
					h, payload, err := link.Receive(time.Time{})
					if err != nil {
						return
					}
					reply := protocol.Header{Kind: protocol.KindResponse, Code: h.Code, ItemCount: 1, MessageID: h.MessageID}
					if link.Send(&reply, payload, time.Now().Add(time.Second)) != nil {
						return
					}
				}
			}()
		}
	}()

	link, err := posix.Dial(context.Background(), runDir, "echo", &posix.ClientConfig{SupportedProfiles: profiles})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer link.Close()
	deadline := time.Now().Add(time.Second) // for all of the call
	h := protocol.Header{Kind: protocol.KindRequest, Code: protocol.MethodStringReverse, ItemCount: 1, MessageID: 1}
	if err := link.Send(&h, []byte("hello"), deadline); err != nil {
		fmt.Println(err)
		return
	}
	_, answer, err := link.Receive(deadline)
	fmt.Printf("%s %v\n", answer, err)
	// Output: hello <nil>
}
