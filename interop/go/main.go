// Command netipc-interop-go is the interop peer in Go:
// server|client DIR SERVICE [KEY=VALUE]..., see interop/README.md.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

// A meeting is where two peers meet, and what for.
type meeting struct {
	dir, service string
	task
}

// A scenario is what each of the two does.
type scenario struct {
	serve, call func(*meeting) error
}

var scenarios = map[string]scenario{
	"codec":          {writeMessages, writeMessagesAgain},
	"echo":           {serveEcho, echo},
	"pipeline":       {serveEcho, pipeline},
	"snapshot":       {serveSnapshots, askSnapshot},
	"cache":          {serveSnapshots, keepSnapshot},
	"retry":          {serveSnapshots, surviveRestart},
	"fallback":       {serveSnapshots, askSnapshot},
	"lookup-cgroups": {serveCgroups, askCgroups},
	"lookup-apps":    {serveApps, askApps},
}

func main() {
	if err := play(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func play(words []string) error {
	if len(words) < 3 {
		return errors.New("usage: netipc-interop-go server|client DIR SERVICE [KEY=VALUE]")
	}
	task, ok := parseTask(words[3:])
	do, known := scenarios[task.scenario]
	switch {
	case !ok, !known,
		// Where endpoints are no files there is no way to part one from its shared memory.
		task.scenario == "fallback" && runtime.GOOS == "windows",
		task.transport.selected == protocol.ProfileRing && runtime.GOOS != "linux":
		fmt.Println("UNSUPPORTED")
		return nil
	}
	m := &meeting{dir: words[1], service: words[2], task: task}
	switch words[0] {
	case "server":
		return do.serve(m)
	case "client":
		if err := do.call(m); err != nil {
			fmt.Println("FAIL", err)
			return errors.New("the scenario failed")
		}
		fmt.Println("PASS")
		return nil
	}
	return fmt.Errorf("%s: neither server nor client", words[0])
}

// run serves until standard input is closed.
func run(m *meeting, server *service.Server) error {
	ended := make(chan error, 1)
	go func() { ended <- server.Run() }()
	if err := m.awaitServer(ended); err != nil {
		return err
	}
	fmt.Println("READY")
	if err := waitForTheEnd(); err != nil {
		return err
	}
	server.Stop()
	return <-ended
}

// awaitServer returns once clients can connect. Nothing tells when a server that runs has begun to
// listen, so this tries.
func (m *meeting) awaitServer(ended <-chan error) error {
	client := raw.NewIncrementClient(m.dir, m.service, raw.ClientConfig{})
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

// waitForTheEnd returns when standard input is closed.
func waitForTheEnd() error {
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// config configures clients, and servers that have what they serve.
func (m *meeting) config() service.Config {
	return service.Config{SupportedProfiles: m.transport.profiles, PreferredProfiles: m.transport.profiles}
}

// connect makes a session, over the carrier that was asked for.
func (m *meeting) connect(c *service.Connection) error {
	c.Refresh()
	if !c.Ready() {
		return fmt.Errorf("no session: %w", c.LastError())
	}
	wanted := m.transport.selected
	if m.scenario == "fallback" { // shared memory cannot be had
		wanted = protocol.ProfileBaseline
	}
	if c.SelectedProfile()&wanted == 0 {
		return fmt.Errorf("the session has profile %#x", c.SelectedProfile())
	}
	return nil
}
