package windows_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/transport/windows"
)

// A server that adds one to what it is asked, and a client, over a pipe. The directory
// need not exist: it is a part of the pipe's name.
func Example() {
	listener, err := windows.Listen(`C:\Example`, "adder", windows.ServerConfig{})
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

	session, err := windows.Connect(`C:\Example`, "adder", nil)
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

// Whoever connects finds out what is wrong by errors.Is.
func ExampleConnect_nobodyThere() {
	_, err := windows.Connect(`C:\Nowhere`, "adder", nil)
	fmt.Println(errors.Is(err, windows.ErrConnect), errors.Is(err, os.ErrNotExist))
	// Output: true true
}

// A server that shakes hands with each client in a goroutine of its own, so that a
// silent one keeps nobody waiting, and a client that uses whatever they agree on.
func ExampleDial() {
	const profiles = protocol.ProfileBaseline | windows.WinShmProfileHybrid
	config := windows.ServerConfig{SupportedProfiles: profiles}
	listener, err := windows.Listen(`C:\Example`, "echo", config)
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

	link, err := windows.Dial(context.Background(), `C:\Example`, "echo", &windows.ClientConfig{SupportedProfiles: profiles})
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
	fmt.Printf("%s over shared memory: %v, %v\n", answer, link.UsesSharedMemory(), err)
	// Output: hello over shared memory: true, <nil>
}

// Shared memory by itself, for who has negotiated it on a session of their own.
func ExampleWinShmClientAttach() {
	const token, sessionID = 42, 1
	server, err := windows.WinShmServerCreate(`C:\Example`, "shared", token, sessionID, windows.WinShmProfileHybrid, 4096, 65536)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.WinShmDestroy()
	client, err := windows.WinShmClientAttach(`C:\Example`, "shared", token, sessionID, windows.WinShmProfileHybrid)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.WinShmClose()
	if err := client.WinShmSend([]byte("a message, envelope and all")); err != nil {
		fmt.Println(err)
		return
	}
	buf := make([]byte, 4096)
	n, err := server.WinShmReceive(buf, 1000)
	fmt.Printf("%s, %v\n", buf[:n], err)
	// Output: a message, envelope and all, <nil>
}
