package service_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

func TestCallsAreAnswered(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		start(t, incrementServer(dir, c.server(), 4))
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		if got := client.SelectedProfile(); got != c.selected() {
			t.Fatalf("agreed on profile %#x, expected %#x", got, c.selected())
		}
		for n := range uint64(100) {
			if got, err := client.CallIncrement(n); err != nil || got != n+1 {
				t.Fatalf("%d: got %d, %v", n, got, err)
			}
		}
		if s := client.Status(); s != (service.Status{State: service.StateReady, ConnectCount: 1, CallCount: 100}) {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestClientWorksWithoutAService(t *testing.T) {
	client := raw.NewIncrementClient(runDir(t)+"/none", "increment", raw.ClientConfig{})
	defer client.Close()
	if client.Status().State != service.StateDisconnected || client.Ready() {
		t.Fatal("new client is not disconnected")
	}
	if !client.Refresh() || client.Status().State != service.StateNotFound {
		t.Fatalf("state %v", client.Status().State)
	}
	if client.Refresh() {
		t.Fatal("the same state counts as a change")
	}
	_, err := client.CallIncrement(1)
	mustFail(t, err, protocol.ErrNotReady)
	mustFail(t, err, protocol.ErrBadLayout)
	if !strings.Contains(err.Error(), endpointOf("increment")) {
		t.Errorf("the error does not say what is missing: %v", err)
	}
	if s := client.Status(); s.ErrorCount != 1 || s.CallCount != 0 {
		t.Fatalf("status %+v", s)
	}
}

func TestRefreshOfAReadyClientDoesNothing(t *testing.T) {
	dir := runDir(t)
	server := incrementServer(dir, raw.ServerConfig{}, 1)
	ran := start(t, server)
	client := raw.NewIncrementClient(dir, "increment", raw.ClientConfig{})
	connect(t, client)
	server.Stop()
	await(t, "Run returns", ran)
	if client.Refresh() || !client.Ready() {
		t.Fatal("refresh looked at the server")
	}
}

func TestClientSurvivesARestartOfTheService(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		server := incrementServer(dir, c.server(), 2)
		ran := start(t, server)
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		server.Stop()
		await(t, "Run returns", ran)

		start(t, incrementServer(dir, c.server(), 2))
		probe := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, probe)
		if n, err := client.CallIncrement(41); err != nil || n != 42 {
			t.Fatalf("got %d, %v", n, err)
		}
		if s := client.Status(); s.ReconnectCount != 1 || s.ErrorCount != 0 || s.State != service.StateReady {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestCallFailsWhenTheServiceIsGone(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		server := incrementServer(dir, c.server(), 2)
		ran := start(t, server)
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		server.Stop()
		await(t, "Run returns", ran)
		_, err := client.CallIncrement(1)
		mustFail(t, err, protocol.ErrTruncated)
		if s := client.Status(); s.State != service.StateNotFound || s.ErrorCount != 1 {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestAStateOfRefusalIsLeftOnceTheServerTakesTheClient(t *testing.T) {
	for name, c := range map[string]struct {
		client       raw.ClientConfig
		wrong, right raw.ServerConfig
		state        service.State
	}{
		"token": {raw.ClientConfig{AuthToken: 7}, raw.ServerConfig{AuthToken: 1}, raw.ServerConfig{AuthToken: 7}, service.StateAuthFailed},
		"limit": {raw.ClientConfig{}, raw.ServerConfig{MaxRequestPayloadBytes: 100}, raw.ServerConfig{}, service.StateIncompatible},
		"profile": {
			raw.ClientConfig{SupportedProfiles: carriers[len(carriers)-1].selected()}, raw.ServerConfig{},
			carriers[len(carriers)-1].server(), service.StateIncompatible,
		},
	} {
		if name == "profile" && len(carriers) == 1 {
			continue // there is no other
		}
		t.Run(name, func(t *testing.T) {
			dir := runDir(t)
			server := incrementServer(dir, c.wrong, 1)
			ran := start(t, server)
			client := raw.NewIncrementClient(dir, "increment", c.client)
			defer client.Close()
			eventually(t, "the server refuses", func() bool {
				client.Refresh()
				return client.Status().State == c.state
			})
			if client.Refresh() {
				t.Fatal("refused again, and that counts as a change")
			}
			server.Stop()
			await(t, "Run returns", ran)
			start(t, incrementServer(dir, c.right, 1))
			connect(t, client)
			if s := client.Status(); s.ConnectCount != 1 || s.ReconnectCount != 0 {
				t.Fatalf("status %+v", s)
			}
		})
	}
}

func TestAFailingHandlerIsAskedOnce(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		var asked atomic.Int32
		fail := func(uint64) (uint64, bool) {
			asked.Add(1)
			return 0, false
		}
		start(t, raw.NewServer(dir, "increment", c.server(), protocol.MethodIncrement, raw.IncrementDispatch(fail)))
		client := raw.NewIncrementClient(dir, "increment", c.client())
		connect(t, client)
		_, err := client.CallIncrement(1)
		mustFail(t, err, protocol.ErrHandlerFailed)
		mustFail(t, err, protocol.ErrBadLayout)
		if s := client.Status(); asked.Load() != 1 || s.State != service.StateBroken {
			t.Fatalf("asked %d times, status %+v", asked.Load(), s)
		}
	})
}

func TestAnotherKindOfServiceIsUnsupportedAndTheSessionGoesOn(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		start(t, incrementServer(dir, c.server(), 1))
		client := raw.NewStringReverseClient(dir, "increment", c.client())
		connect(t, client)
		for range 2 {
			_, err := client.CallStringReverse("x")
			mustFail(t, err, protocol.StatusError(protocol.StatusUnsupported))
		}
		if s := client.Status(); s.State != service.StateReady || s.ErrorCount != 2 || s.ReconnectCount != 0 {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestCloseMakesTheClientAsGoodAsNew(t *testing.T) {
	dir := runDir(t)
	start(t, incrementServer(dir, raw.ServerConfig{}, 1))
	client := raw.NewIncrementClient(dir, "increment", raw.ClientConfig{})
	client.Close()
	connect(t, client)
	client.Abort()
	client.Close()
	client.Close()
	if client.Status().State != service.StateDisconnected {
		t.Fatal("closed client is not disconnected")
	}
	connect(t, client)
	if n, err := client.CallIncrement(1); err != nil || n != 2 {
		t.Fatal(n, err)
	}
}

func TestBatchesAreAnsweredInOrder(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		server, client := c.server(), c.client()
		server.MaxRequestBatchItems, client.MaxRequestBatchItems = 20, 20
		start(t, incrementServer(dir, server, 2))
		calls := raw.NewIncrementClient(dir, "increment", client)
		connect(t, calls)
		for n := range 21 {
			values := make([]uint64, n)
			for i := range values {
				values[i] = uint64(100 * i)
			}
			got, err := calls.CallIncrementBatch(values)
			if err != nil || len(got) != n {
				t.Fatalf("%d items: %v, %v", n, got, err)
			}
			for i := range got {
				if got[i] != values[i]+1 {
					t.Fatalf("item %d of %d: %d", i, n, got[i])
				}
			}
		}
		_, err := calls.CallIncrementBatch(make([]uint64, 21))
		mustFail(t, err, protocol.ErrOverflow)
	})
}

func TestABadNameIsRefusedWithoutATry(t *testing.T) {
	client := raw.NewIncrementClient(runDir(t), "../increment", raw.ClientConfig{})
	defer client.Close()
	client.Refresh()
	if client.Ready() || client.LastError() == nil {
		t.Fatal("connected outside of the directory")
	}
	if err := incrementServerNamed(runDir(t), "a/b").Run(); err == nil {
		t.Fatal("listened outside of the directory")
	}
}

func incrementServerNamed(dir, name string) *service.Server {
	return raw.NewServer(dir, name, raw.ServerConfig{}, protocol.MethodIncrement, raw.IncrementDispatch(increment))
}

func TestTheViewStaysUntilTheNextCall(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		handler := func(_ *protocol.CgroupsRequest, b *protocol.CgroupsBuilder) bool {
			b.SetHeader(1, 5)
			return b.Add(1, 2, 3, []byte("name"), []byte("/path")) == nil
		}
		start(t, raw.NewServer(dir, "snapshot", c.server(), protocol.MethodCgroupsSnapshot, raw.SnapshotDispatch(handler, 0)))
		client, other := raw.NewSnapshotClient(dir, "snapshot", c.client()), raw.NewSnapshotClient(dir, "snapshot", c.client())
		connect(t, client)
		connect(t, other)
		view, err := client.CallSnapshot()
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := other.CallSnapshot(); err != nil {
				t.Fatal(err)
			}
		}
		item, err := view.Item(0)
		if err != nil || view.Generation != 5 || view.SystemdEnabled != 1 || !bytes.Equal(item.Name.Bytes(), []byte("name")) || item.Path.String() != "/path" {
			t.Fatalf("%+v %+v %v", view, item, err)
		}
	})
}

func TestSteadyCallsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	name := []byte("name")
	labels := []protocol.LookupLabel{{Key: name, Value: name}}
	snapshot := func(_ *protocol.CgroupsRequest, b *protocol.CgroupsBuilder) bool {
		return b.Add(1, 2, 3, name, name) == nil
	}
	cgroups := func(req *protocol.CgroupsLookupRequestView, b *protocol.CgroupsLookupBuilder) bool {
		for i := range req.ItemCount {
			if b.AddRequestItem(req, i, protocol.CgroupLookupKnown, 1, name, labels) != nil {
				return false
			}
		}
		return true
	}
	apps := func(req *protocol.AppsLookupRequestView, b *protocol.AppsLookupBuilder) bool {
		for i := range req.ItemCount {
			pid, err := req.Item(i)
			if err != nil || b.Add(protocol.PidLookupKnown, protocol.AppsCgroupHostRoot, 0, pid, 1, 2, 3, name, nil, nil, nil) != nil {
				return false
			}
		}
		return true
	}
	keys, pids := paths(10), make([]uint32, 100) // of the pids, several requests
	eachCarrier(t, func(t *testing.T, c carrier) {
		for kind, k := range map[string]struct {
			method  uint16
			handler raw.DispatchHandler
			client  func(dir, name string, config raw.ClientConfig) *raw.Client
			call    func(*raw.Client) error
		}{
			"increment": {protocol.MethodIncrement, raw.IncrementDispatch(increment), raw.NewIncrementClient, func(c *raw.Client) error {
				_, err := c.CallIncrement(1)
				return err
			}},
			"snapshot": {protocol.MethodCgroupsSnapshot, raw.SnapshotDispatch(snapshot, 0), raw.NewSnapshotClient, func(c *raw.Client) error {
				view, err := c.CallSnapshot()
				if err == nil {
					_, err = view.Item(0)
				}
				return err
			}},
			"cgroups lookup": {protocol.MethodCgroupsLookup, raw.CgroupsLookupDispatch(cgroups), raw.NewCgroupsLookupClient, func(c *raw.Client) error {
				view, err := c.CallCgroupsLookup(keys)
				if err == nil {
					_, err = view.Item(9)
				}
				return err
			}},
			"apps lookup": {protocol.MethodAppsLookup, raw.AppsLookupDispatch(apps), raw.NewAppsLookupClient, func(c *raw.Client) error {
				_, err := c.CallAppsLookup(pids)
				return err
			}},
		} {
			t.Run(kind, func(t *testing.T) {
				dir := runDir(t)
				start(t, raw.NewServerWithWorkers(dir, "service", c.server(), k.method, k.handler, 1))
				client := k.client(dir, "service", c.client())
				connect(t, client)
				var failed error
				allocs := testing.AllocsPerRun(300, func() {
					if err := k.call(client); err != nil {
						failed = err
					}
				})
				// Client and server are both in this process.
				if failed != nil || allocs != 0 {
					t.Fatalf("%v allocations per call, %v", allocs, failed)
				}
			})
		}
	})
}
