package service_test

import (
	"errors"
	"math/bits"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

// patience is how long a test waits for what must happen; only failing tests take it.
const patience = 10 * time.Second

// runDir returns a directory whose name leaves room for that of a socket.
func runDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "netipc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start runs a server until the end of the test, or until the test stops it. The
// channel it returns brings what Run returned.
func start(t testing.TB, server *service.Server) <-chan error {
	t.Helper()
	ran := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		ran <- server.Run()
		close(ended)
	}()
	t.Cleanup(func() {
		server.Stop()
		select {
		case <-ended:
		case <-time.After(patience):
			t.Error("Run has not returned")
		}
	})
	return ran
}

// A refresher is a client of any kind.
type refresher interface {
	Refresh() bool
	Ready() bool
	LastError() error
	Close()
}

// connect refreshes a client until it is ready, as a program does from time to time.
func connect(t testing.TB, client refresher) {
	t.Helper()
	t.Cleanup(client.Close)
	eventually(t, "client is ready", func() bool {
		client.Refresh()
		return client.Ready()
	})
}

// eventually waits until something has happened that nothing signals.
func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !happened() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

// within fails the test unless f returns in time.
func within(t testing.TB, most time.Duration, what string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(most):
		t.Fatalf("%s: not within %v", what, most)
	}
}

// await returns what a channel brings, in time.
func await[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		t.Fatalf("%s: not within %v", what, patience)
		panic("unreachable")
	}
}

// A carrier is a way messages can travel, as configured on both sides.
type carrier struct {
	name     string
	profiles uint32
}

// eachCarrier runs f once for every carrier this system has.
func eachCarrier(t *testing.T, f func(t *testing.T, c carrier)) {
	for _, c := range carriers {
		t.Run(c.name, func(t *testing.T) { f(t, c) })
	}
}

// selected returns the profile that must be agreed on.
func (c carrier) selected() uint32 {
	return 1 << (bits.Len32(c.profiles) - 1)
}

func (c carrier) client() raw.ClientConfig {
	return raw.ClientConfig{SupportedProfiles: c.profiles, PreferredProfiles: c.profiles}
}

func (c carrier) server() raw.ServerConfig {
	return raw.ServerConfig{SupportedProfiles: c.profiles, PreferredProfiles: c.profiles}
}

func mustFail(t testing.TB, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("got %v, expected %v", err, kind)
	}
}

func reverse(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

func increment(n uint64) (uint64, bool) { return n + 1, true }

// incrementServer answers n with n+1, in the given number of workers.
func incrementServer(dir string, config raw.ServerConfig, workers int) *service.Server {
	return raw.NewServerWithWorkers(dir, "increment", config, protocol.MethodIncrement, raw.IncrementDispatch(increment), workers)
}

func long(c string, n int) string { return strings.Repeat(c, n) }
