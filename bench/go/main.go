// Command netipc-bench-go is the benchmark peer in Go:
// server|client DIR SERVICE KEY=VALUE..., see bench/README.md.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

// A bench is one side of a case: where it meets the other, and what is measured.
type bench struct {
	dir, service string
	task
}

// A scenario has a server, and a client that makes one step a call.
type scenario struct {
	serve, call func(*bench) error
}

var scenarios = map[string]scenario{
	"increment":      {serveIncrement, callIncrement},
	"pipeline":       {serveIncrement, callPipeline},
	"sessions":       {serveIncrement, callSessions},
	"snapshot":       {serveSnapshot, callSnapshot},
	"cache":          {serveSnapshot, callCache},
	"cache-direct":   {serveSnapshot, callCache}, // nothing is kept here from one lookup to the next
	"lookup-cgroups": {serveCgroups, callCgroups},
	"lookup-apps":    {serveApps, callApps},
}

func main() {
	if err := play(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func play(words []string) error {
	if len(words) < 3 {
		return errors.New("usage: netipc-bench-go server|client DIR SERVICE [KEY=VALUE]")
	}
	task, ok := parseTask(words[3:])
	do, known := scenarios[task.scenario]
	if !ok || !known {
		fmt.Println("UNSUPPORTED")
		return nil
	}
	b := &bench{dir: words[1], service: words[2], task: task}
	switch words[0] {
	case "server":
		return do.serve(b)
	case "client":
		return do.call(b)
	}
	return fmt.Errorf("%s: neither server nor client", words[0])
}

// config configures both sides within limits that make every call one message each way.
func (b *bench) config() service.Config {
	c := service.Config{SupportedProfiles: protocol.ProfileBaseline | b.profile, PreferredProfiles: b.profile}
	switch b.scenario {
	case "snapshot", "cache", "cache-direct":
		c.MaxResponsePayloadBytes = 64 + 128*b.items
	case "lookup-cgroups", "lookup-apps":
		c.MaxRequestPayloadBytes = 64 + 64*b.items
		c.MaxResponsePayloadBytes = 64 + 256*b.items
	}
	return c
}

// run serves until standard input is closed.
func run(b *bench, server *service.Server) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Run() }()
	if err := b.awaitServer(ended); err != nil {
		return err
	}
	fmt.Println("READY")
	if err := waitUntilTheDriverLeaves(); err != nil {
		return err
	}
	server.Stop()
	return <-ended
}

// awaitServer returns once clients can connect. Nothing tells when a server that runs has begun to
// listen, so this tries.
func (b *bench) awaitServer(ended <-chan error) error {
	client := raw.NewIncrementClient(b.dir, b.service, raw.ClientConfig{})
	defer client.Close()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if client.Refresh(); client.Ready() {
			return nil
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the server does not run: %w", err)
		case <-time.After(time.Millisecond):
		}
	}
	return fmt.Errorf("the server cannot be reached: %w", client.LastError())
}

// connect makes a session, over the transport that is measured and no other.
func (b *bench) connect(c *service.Connection) error {
	c.Refresh()
	if !c.Ready() {
		return fmt.Errorf("no session: %w", c.LastError())
	}
	if c.SelectedProfile() != b.profile {
		return fmt.Errorf("the session has profile %#x", c.SelectedProfile())
	}
	return nil
}

// input is standard input, of which GO is read before the rest.
var input = bufio.NewReader(os.Stdin)

func waitForGo() error {
	line, err := input.ReadString('\n')
	if err == nil && line != "GO\n" {
		err = fmt.Errorf("the driver said %q instead of GO", line)
	}
	return err
}

func waitUntilTheDriverLeaves() error {
	_, err := io.Copy(io.Discard, input)
	return err
}
