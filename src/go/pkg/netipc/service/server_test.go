package service_test

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

// A stuck server has a handler that does not return before it is told.
func TestAPanicEndsTheSessionOfItsRequestAndNothingElse(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		handler := func(n uint64) (uint64, bool) {
			if n == 13 {
				panic("thirteen")
			}
			return n + 1, true
		}
		server := raw.NewServerWithWorkers(dir, "increment", c.server(), protocol.MethodIncrement, raw.IncrementDispatch(handler), 1)
		told := make(chan error, 10)
		server.OnError(func(err error) { told <- err })
		start(t, server)
		client, other := raw.NewIncrementClient(dir, "increment", c.client()), raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		connect(t, other)
		_, err := client.CallIncrement(13)
		mustFail(t, err, protocol.ErrHandlerFailed)
		var panicked *service.PanicError
		if err := await(t, "the panic is told", told); !errors.As(err, &panicked) || panicked.Value != "thirteen" || !strings.Contains(string(panicked.Stack), "server_test.go") {
			t.Fatalf("told %v", err)
		}
		if n, err := other.CallIncrement(1); err != nil || n != 2 {
			t.Fatalf("another session: %d, %v", n, err)
		}
		connect(t, client)
		if n, err := client.CallIncrement(1); err != nil || n != 2 {
			t.Fatalf("afterwards: %d, %v", n, err)
		}
	})
}

func TestAThousandClientsAreServedByFourWorkers(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		clients := 1000
		if c.selected() != protocol.ProfileBaseline {
			clients = 200 // each side of each session has a thread
		}
		if most := mostDescriptors(); most < uint64(3*clients) {
			t.Skipf("a process may have %d descriptors only", most)
		}
		serveMany(t, c, clients, 4)
	})
}

// serveMany serves clients that are all connected before the first is served.
func serveMany(t *testing.T, c carrier, clients, workers int) {
	dir := runDir(t)
	var now, most atomic.Int32
	handler := func(n uint64) (uint64, bool) {
		if at := now.Add(1); at > most.Load() {
			most.Store(at)
		}
		defer now.Add(-1)
		return n + 1, true
	}
	start(t, raw.NewServerWithWorkers(dir, "increment", c.server(), protocol.MethodIncrement, raw.IncrementDispatch(handler), workers))
	var all sync.WaitGroup
	connected := make(chan struct{})
	var ready sync.WaitGroup
	ready.Add(clients)
	for range clients {
		all.Add(1)
		go func() {
			defer all.Done()
			client := raw.NewIncrementClient(dir, "increment", c.client())
			defer client.Close()
			for !client.Ready() {
				client.Refresh()
			}
			ready.Done()
			<-connected // all of them, before the first is served
			for n := range uint64(5) {
				if got, err := client.CallIncrement(n); err != nil || got != n+1 {
					t.Errorf("got %d, %v", got, err)
					return
				}
			}
		}()
	}
	within(t, 2*time.Minute, "all clients are connected", ready.Wait)
	close(connected)
	within(t, 2*time.Minute, "all clients are served", all.Wait)
	if int(most.Load()) > workers {
		t.Fatalf("%d requests were answered at once", most.Load())
	}
}

func TestOneServerServesAllCarriersAtOnce(t *testing.T) {
	dir := runDir(t)
	all := carrier{}
	for _, c := range carriers {
		all.profiles |= c.profiles
	}
	start(t, incrementServer(dir, all.server(), 2))
	clients := make([]*raw.Client, len(carriers))
	for i, c := range carriers {
		clients[i] = raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, clients[i])
		if got := clients[i].SelectedProfile(); got != c.selected() {
			t.Fatalf("%s: profile %#x", c.name, got)
		}
	}
	for n := range uint64(100) {
		for i, client := range clients {
			if got, err := client.CallIncrement(n); err != nil || got != n+1 {
				t.Fatalf("%s: got %d (%v)", carriers[i].name, got, err)
			}
		}
	}
}

func TestClientsBeyondTheMaximumFindTheyCannotConnect(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		server := incrementServer(dir, c.server(), 1)
		server.SetMaxSessions(2)
		start(t, server)
		first, second, third := raw.NewIncrementClient(dir, "increment", c.client()), raw.NewIncrementClient(dir, "increment", c.client()), raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, first)
		connect(t, second)
		for range 3 {
			if third.Refresh(); third.Ready() {
				t.Fatal("a third client is ready")
			}
		}
		if n, err := first.CallIncrement(1); err != nil || n != 2 {
			t.Fatalf("the first client: %d, %v", n, err)
		}
		second.Close()
		connect(t, third)
		if n, err := third.CallIncrement(1); err != nil || n != 2 {
			t.Fatalf("the third client, later: %d, %v", n, err)
		}
	})
}

func TestSilentPeersHoldUpNobody(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		server := incrementServer(dir, c.server(), 1)
		server.SetMaxSessions(50)
		ran := start(t, server)
		connect(t, raw.NewIncrementClient(dir, "increment", c.client()))
		for range 100 {
			silence(t, dir)
		}
		client := raw.NewIncrementClient(dir, "increment", c.client())
		within(t, 3*time.Second, "a client is served", func() {
			connect(t, client)
			if n, err := client.CallIncrement(1); err != nil || n != 2 {
				t.Errorf("got %d, %v", n, err)
			}
		})
		server.Stop()
		within(t, time.Second, "Run returns", func() { <-ran })
	})
}

func TestAServerWithoutAHandlerAnswersUnsupported(t *testing.T) {
	dir := runDir(t)
	start(t, raw.NewServer(dir, "increment", raw.ServerConfig{}, protocol.MethodIncrement, nil))
	client := raw.NewIncrementClient(dir, "increment", raw.ClientConfig{})
	connect(t, client)
	_, err := client.CallIncrement(1)
	mustFail(t, err, protocol.StatusError(protocol.StatusUnsupported))
}

func TestALimitIsLearnedForLaterSessions(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		var asked atomic.Int32
		handler := func(_ *protocol.CgroupsRequest, b *protocol.CgroupsBuilder) bool {
			asked.Add(1)
			for i := range uint32(3000) {
				if b.Add(i, 0, 1, []byte(long("n", 40)), []byte(long("p", 100))) != nil {
					return false // an overflow is no failure of the handler
				}
			}
			return true
		}
		start(t, raw.NewServer(dir, "snapshot", c.server(), protocol.MethodCgroupsSnapshot, raw.SnapshotDispatch(handler, 0)))
		for i, most := range []int32{8, 1} {
			asked.Store(0)
			client := raw.NewSnapshotClient(dir, "snapshot", c.client())
			connect(t, client)
			view, err := client.CallSnapshot()
			if err != nil || view.ItemCount != 3000 {
				t.Fatalf("client %d: %+v, %v", i, view, err)
			}
			if asked.Load() > most {
				t.Fatalf("client %d: asked %d times", i, asked.Load())
			}
		}
	})
}

func TestAClientThatHintsAtLongResponsesGetsThemAtOnce(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		handler := raw.StringReverseDispatch(func(string) (string, bool) { return long("x", 300000), true })
		start(t, raw.NewServer(dir, "reverse", c.server(), protocol.MethodStringReverse, handler))
		config := c.client()
		config.MaxResponsePayloadBytes = 400000
		client := raw.NewStringReverseClient(dir, "reverse", config)
		connect(t, client)
		if view, err := client.CallStringReverse("x"); err != nil || view.StrLen != 300000 {
			t.Fatal(err)
		}
		if s := client.Status(); s.ReconnectCount != 0 {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestRequestsOfOneClientAreAnsweredInOrderAndOfSeveralAtOnce(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		meet := make(chan struct{})
		handler := func(n uint64) (uint64, bool) {
			// Returns only when another request is being answered at the same time.
			select {
			case meet <- struct{}{}:
			case <-meet:
			}
			return n + 1, true
		}
		start(t, raw.NewServerWithWorkers(dir, "increment", c.server(), protocol.MethodIncrement, raw.IncrementDispatch(handler), 2))
		var all sync.WaitGroup
		for range 2 {
			client := raw.NewIncrementClient(dir, "increment", c.client())
			connect(t, client)
			all.Add(1)
			go func() {
				defer all.Done()
				for n := range uint64(50) {
					if got, err := client.CallIncrement(n); err != nil || got != n+1 {
						t.Errorf("got %d, %v", got, err)
						return
					}
				}
			}()
		}
		within(t, patience, "both clients are served", all.Wait)
	})
}

// A shortListener fails to accept, as when there are no descriptors left.
type shortListener struct {
	failures chan struct{} // one for each try
	closed   chan struct{}
	fails    int
}

func (l *shortListener) Accept() (service.Newcomer, error) {
	if l.fails == 0 {
		<-l.closed
		return nil, errors.New("closed")
	}
	l.fails--
	select {
	case l.failures <- struct{}{}:
	case <-l.closed:
	}
	return nil, errors.New("too many open files")
}

func (l *shortListener) Close() { close(l.closed) }

func TestFailuresToAcceptArePausedAfterAndDoNotEndTheServer(t *testing.T) {
	l := &shortListener{failures: make(chan struct{}), closed: make(chan struct{}), fails: 100}
	server := incrementServer("", raw.ServerConfig{}, 1)
	server.ListenWith(func() (service.Listener, error) { return l, nil })
	var told atomic.Int32
	server.OnError(func(error) { told.Add(1) })
	ran := start(t, server)
	began := time.Now()
	for range 4 {
		await(t, "a try", l.failures)
	}
	if took := time.Since(began); took < 70*time.Millisecond { // 10, 20 and 40
		t.Fatalf("four tries took only %v", took)
	}
	server.Stop()
	if err := await(t, "Run returns", ran); err != nil || told.Load() < 3 {
		t.Fatalf("%v, told %d times", err, told.Load())
	}
}
