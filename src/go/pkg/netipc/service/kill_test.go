package service_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

// Tests that kill a process run the test binary again, as this part.
const partVariable = "NETIPC_TEST_PART"

func TestMain(m *testing.M) {
	if part := os.Getenv(partVariable); part != "" {
		play(part)
		return
	}
	os.Exit(m.Run())
}

// play does as another process what the test wants, tells on its output that it has
// begun, and goes on until it is killed.
func play(part string) {
	dir, profiles := os.Args[1], must(strconv.ParseUint(os.Args[2], 10, 32))
	c := carrier{profiles: uint32(profiles)}
	switch part {
	case "server": // answers n with n+1, but only tells that it was asked 13
		server := raw.NewServer(dir, "increment", c.server(), protocol.MethodIncrement, raw.IncrementDispatch(func(n uint64) (uint64, bool) {
			if n == 13 {
				fmt.Println("asked")
				select {}
			}
			return n + 1, true
		}))
		fmt.Println("begun")
		fail(server.Run())
	case "client": // connects and stays
		client := raw.NewIncrementClient(dir, "increment", c.client())
		for !client.Ready() {
			client.Refresh()
		}
		must(client.CallIncrement(1))
		fmt.Println("begun")
		select {}
	case "idle": // has a server, a client and a cache, and no more work for them
		server := raw.NewServer(dir, "increment", c.server(), protocol.MethodIncrement, raw.IncrementDispatch(increment))
		provider := snapshotServer(dir, c.server(), buildOf(raw.CacheItem{Hash: 1, Name: "a", Path: "/a"}))
		for _, s := range []*service.Server{server, provider} {
			go func() { fail(s.Run()) }()
		}
		client := raw.NewIncrementClient(dir, "increment", c.client())
		for !client.Ready() {
			client.Refresh()
		}
		for n := range uint64(1000) {
			must(client.CallIncrement(n))
		}
		cache := raw.NewCache(dir, "snapshot", c.client())
		for !cache.Refresh() {
		}
		fmt.Println("begun")
		time.Sleep(time.Hour)
		runtime.KeepAlive(client)
		runtime.KeepAlive(cache)
	case "bystander": // has nothing to do with it
		fmt.Println("begun")
		time.Sleep(time.Hour)
	}
}

func must[T any](value T, err error) T {
	fail(err)
	return value
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A process plays a part.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	output *bufio.Scanner
}

func spawn(t *testing.T, part, dir string, c carrier) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], dir, strconv.FormatUint(uint64(c.profiles), 10))
	cmd.Env = append(os.Environ(), partVariable+"="+part)
	cmd.Stderr = os.Stderr
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t, cmd, bufio.NewScanner(output)}
	t.Cleanup(p.kill)
	p.expect("begun")
	return p
}

// expect waits for a line of the process's output.
func (p *process) expect(line string) {
	p.t.Helper()
	if !p.output.Scan() || p.output.Text() != line {
		p.t.Fatalf("the other process said %q (%v), expected %q", p.output.Text(), p.output.Err(), line)
	}
}

// kill kills the process, as SIGKILL does, and waits until it is gone.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		p.cmd.Process.Kill()
		p.cmd.Wait() // its error is that it was killed
	}
}

func TestAKilledServerIsNoticedAtOnceAndItsSuccessorAnswers(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		server := spawn(t, "server", dir, c)
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		if n, err := client.CallIncrement(1); err != nil || n != 2 {
			t.Fatalf("got %d, %v", n, err)
		}
		server.kill()
		spawned := make(chan struct{})
		go func() {
			defer close(spawned)
			spawn(t, "server", dir, c)
		}()
		<-spawned
		// The new one may not listen yet: then the call fails, and a refresh helps.
		began := time.Now()
		for {
			n, err := client.CallIncrement(1)
			if err == nil && n == 2 {
				break
			}
			if time.Since(began) > patience {
				t.Fatalf("got %d, %v", n, err)
			}
			client.Refresh()
		}
	})
}

func TestACallFailsAtOnceWhenItsServerIsKilled(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		server := spawn(t, "server", dir, c)
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		go func() {
			if server.output.Scan() && server.output.Text() == "asked" {
				server.cmd.Process.Kill()
			}
		}()
		began := time.Now()
		_, err := client.CallIncrementWithTimeout(13, uint32(patience.Milliseconds()))
		mustFail(t, err, protocol.ErrTruncated)
		if took := time.Since(began); took > patience/2 {
			t.Fatalf("took %v", took)
		}
		if s := client.Status(); s.State != service.StateNotFound {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestKilledClientsLeaveNothingBehind(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		server := incrementServer(dir, c.server(), 2)
		server.SetMaxSessions(4)
		start(t, server)
		for range 3 {
			var clients []*process
			for range 4 {
				clients = append(clients, spawn(t, "client", dir, c))
			}
			for _, client := range clients {
				client.kill()
			}
		}
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		if n, err := client.CallIncrement(1); err != nil || n != 2 {
			t.Fatalf("got %d, %v", n, err)
		}
		client.Close()
		eventually(t, "regions are gone", func() bool {
			regions, err := filepath.Glob(filepath.Join(dir, "*.ipcshm"))
			return err == nil && len(regions) == 0
		})
	})
}

func TestTheEndpointEndsWithTheServerAlthoughAChildLivesOn(t *testing.T) {
	dir := runDir(t)
	server := incrementServer(dir, raw.ServerConfig{}, 1)
	ran := start(t, server)
	client := raw.NewIncrementClient(dir, "increment", raw.ClientConfig{})
	connect(t, client)
	spawn(t, "bystander", dir, carrier{})
	server.Stop()
	await(t, "Run returns", ran)
	_, err := client.CallIncrement(1)
	mustFail(t, err, protocol.ErrTruncated)
}
