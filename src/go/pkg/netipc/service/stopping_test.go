package service_test

import (
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

func TestAServerStoppedBeforeItRunsDoesNotRun(t *testing.T) {
	dir := runDir(t)
	server := incrementServer(dir, raw.ServerConfig{}, 1)
	server.Stop()
	within(t, patience, "Run returns", func() {
		if err := server.Run(); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	server.Stop()
}

func TestStopRightAfterStartEndsTheServer(t *testing.T) {
	for range 50 {
		server := incrementServer(runDir(t), raw.ServerConfig{}, 1)
		ran := start(t, server)
		server.Stop()
		if err := await(t, "Run returns", ran); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDrainRightAfterStartCutsNobodyOff(t *testing.T) {
	for range 50 {
		server := incrementServer(runDir(t), raw.ServerConfig{}, 1)
		ran := start(t, server)
		if !server.Drain(patience) {
			t.Fatal("there was nobody to cut off")
		}
		if err := await(t, "Run returns", ran); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAServerRunsOnce(t *testing.T) {
	dir := runDir(t)
	server := incrementServer(dir, raw.ServerConfig{}, 1)
	ran := start(t, server)
	client := raw.NewIncrementClient(dir, "increment", raw.ClientConfig{})
	connect(t, client)
	if err := server.Run(); err == nil {
		t.Fatal("ran twice")
	}
	if n, err := client.CallIncrement(1); err != nil || n != 2 {
		t.Fatalf("afterwards: %d, %v", n, err)
	}
	server.Stop()
	if err := await(t, "Run returns", ran); err != nil {
		t.Fatal(err)
	}
	if err := server.Run(); err != nil {
		t.Fatalf("run after stop: %v", err)
	}
}

func TestStopEndsIdleSessionsAtOnce(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		server := incrementServer(dir, c.server(), 2)
		ran := start(t, server)
		for range 5 {
			connect(t, raw.NewIncrementClient(dir, "increment", c.client()))
		}
		server.Stop()
		within(t, time.Second, "Run returns", func() {
			if err := <-ran; err != nil {
				t.Error(err)
			}
		})
	})
}

func TestARequestBeingAnsweredIsFinishedWhenTheServerStops(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		entered, held := make(chan struct{}), make(chan struct{})
		handler := func(n uint64) (uint64, bool) {
			close(entered)
			<-held
			return n + 1, true
		}
		server := raw.NewServer(dir, "increment", c.server(), protocol.MethodIncrement, raw.IncrementDispatch(handler))
		start(t, server)
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		go func() {
			<-entered
			server.Stop()
			close(held)
		}()
		if n, err := client.CallIncrement(1); err != nil || n != 2 {
			t.Fatalf("got %d, %v", n, err)
		}
	})
}

func TestDrainWaitsForWhatIsBeingAnswered(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		release, asked := stuckServerOf(t, dir, c.server())
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		answered := make(chan error, 1)
		go func() {
			_, err := client.CallIncrement(1)
			answered <- err
		}()
		<-asked
		drained := make(chan bool, 1)
		go func() { drained <- release.server.Drain(patience) }()
		release.now()
		if !await(t, "Drain returns", drained) {
			t.Fatal("cut sessions off")
		}
		if err := await(t, "the call returns", answered); err != nil {
			t.Fatalf("the call: %v", err)
		}
		if !release.server.Drain(0) {
			t.Fatal("second drain")
		}
	})
}

func TestDrainCutsOffAHandlerThatDoesNotReturn(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		stuck, asked := stuckServerOf(t, dir, c.server())
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		called := make(chan error, 1)
		go func() {
			_, err := client.CallIncrement(1)
			called <- err
		}()
		<-asked
		within(t, 5*time.Second, "Drain returns", func() {
			if stuck.server.Drain(10 * time.Millisecond) {
				t.Error("nothing was cut off")
			}
		})
		within(t, time.Second, "Run returns", func() { <-stuck.ran })
		mustFail(t, await(t, "the call fails", called), protocol.ErrTruncated)
		within(t, time.Second, "second Drain returns", func() {
			if stuck.server.Drain(time.Hour) {
				t.Error("second drain: nothing was cut off")
			}
		})
	})
}

type stuck struct {
	server *service.Server
	ran    <-chan error
	held   chan struct{}
	once   sync.Once
}

func (s *stuck) now() { s.once.Do(func() { close(s.held) }) }

func stuckServerOf(t *testing.T, dir string, config raw.ServerConfig) (*stuck, <-chan struct{}) {
	s := &stuck{held: make(chan struct{})}
	entered := make(chan struct{}, 100)
	handler := func(n uint64) (uint64, bool) {
		entered <- struct{}{}
		<-s.held
		return n + 1, true
	}
	s.server = raw.NewServer(dir, "increment", config, protocol.MethodIncrement, raw.IncrementDispatch(handler))
	s.ran = start(t, s.server)
	t.Cleanup(s.now)
	return s, entered
}

func TestNothingIsLeftRunning(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		before := runtime.NumGoroutine()
		dir := runDir(t)
		server := incrementServer(dir, c.server(), 4)
		ran := make(chan error, 1)
		go func() { ran <- server.Run() }()
		for range 10 {
			client := raw.NewIncrementClient(dir, "increment", c.client())
			connect(t, client)
			if n, err := client.CallIncrement(1); err != nil || n != 2 {
				t.Fatal(n, err)
			}
			client.Close()
		}
		server.Stop()
		await(t, "Run returns", ran)
		eventually(t, "all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	})
}

func TestDrainSeesTheEndOfAServerThatIsStillTryingToListen(t *testing.T) {
	for range 20 {
		server := incrementServer("", raw.ServerConfig{}, 1)
		drained := make(chan bool, 1)
		server.ListenWith(func() (service.Listener, error) {
			go func() { drained <- server.Drain(patience) }()
			for server.Run() != nil { // it is running, until Drain has stopped it
				runtime.Gosched()
			}
			return &shortListener{closed: make(chan struct{})}, nil
		})
		start(t, server)
		if !await(t, "Drain returns", drained) {
			t.Fatal("there was nobody to cut off")
		}
	}
}

// A clientListener has one client.
type clientListener struct {
	shortListener
	client service.Newcomer
}

func (l *clientListener) Accept() (service.Newcomer, error) {
	if client := l.client; client != nil {
		l.client = nil
		return client, nil
	}
	return l.shortListener.Accept()
}

// A lateClient finishes its handshake only after the server was stopped.
type lateClient struct {
	service.Link
	greeting, stopped, closed chan struct{}
}

func (c *lateClient) Handshake(service.Limits) (service.Link, error) {
	close(c.greeting)
	<-c.stopped
	return c, nil
}

func (c *lateClient) Interrupt() { close(c.stopped) }
func (c *lateClient) Close()     { close(c.closed) }

func TestASessionMadeWhileTheServerStopsEndsAtOnce(t *testing.T) {
	client := &lateClient{greeting: make(chan struct{}), stopped: make(chan struct{}), closed: make(chan struct{})}
	l := &clientListener{shortListener{closed: make(chan struct{})}, client}
	server := incrementServer("", raw.ServerConfig{}, 1)
	server.ListenWith(func() (service.Listener, error) { return l, nil })
	ran := start(t, server)
	<-client.greeting
	server.Stop()
	if err := await(t, "Run returns", ran); err != nil {
		t.Fatal(err)
	}
	await(t, "the session is closed", client.closed)
}

// A greedyClient asks once and does not take the response, until it is cut off.
type greedyClient struct {
	service.Link
	sending, interrupted, closed chan struct{}
	once                         sync.Once
}

func (c *greedyClient) Handshake(service.Limits) (service.Link, error) { return c, nil }

func (c *greedyClient) Agreement() *session.Agreement {
	return &session.Agreement{MaxResponsePayloadBytes: 8}
}

func (c *greedyClient) Receive(time.Time) (protocol.Header, []byte, error) {
	h := protocol.Header{Kind: protocol.KindRequest, Code: protocol.MethodIncrement, ItemCount: 1}
	return h, make([]byte, 8), nil
}

func (c *greedyClient) Send(*protocol.Header, []byte, time.Time) error {
	close(c.sending)
	select {
	case <-c.interrupted:
		return protocol.ErrAborted
	case <-c.closed:
		return errors.New("closed")
	}
}

func (c *greedyClient) StopReceiving() {}
func (c *greedyClient) Interrupt()     { close(c.interrupted) }
func (c *greedyClient) Close()         { c.once.Do(func() { close(c.closed) }) }

func TestDrainInterruptsWhoDoesNotTakeAResponse(t *testing.T) {
	client := &greedyClient{sending: make(chan struct{}), interrupted: make(chan struct{}), closed: make(chan struct{})}
	server := incrementServer("", raw.ServerConfig{}, 1)
	server.ListenWith(func() (service.Listener, error) {
		return &clientListener{shortListener{closed: make(chan struct{})}, client}, nil
	})
	start(t, server)
	await(t, "the response is sent", client.sending)
	if server.Drain(time.Millisecond) {
		t.Error("there was somebody to cut off")
	}
	select {
	case <-client.interrupted:
	default:
		t.Error("the session was left waiting, and closed under it")
	}
	await(t, "the session is closed", client.closed)
}
