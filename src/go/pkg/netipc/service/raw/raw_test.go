package raw_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

// serve runs a server of one method and connects a client to it.
func serve(t *testing.T, method uint16, handler raw.DispatchHandler, connect func(dir, name string, config raw.ClientConfig) *raw.Client) *raw.Client {
	t.Helper()
	dir, err := os.MkdirTemp("", "netipc")
	if err != nil {
		t.Fatal(err)
	}
	server := raw.NewServer(dir, "service", raw.ServerConfig{}, method, handler)
	ended := make(chan error, 1)
	go func() { ended <- server.Run() }()
	client := connect(dir, "service", raw.ClientConfig{})
	t.Cleanup(func() {
		client.Close()
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		os.RemoveAll(dir)
	})
	for deadline := time.Now().Add(10 * time.Second); !client.Ready(); client.Refresh() {
		if time.Now().After(deadline) {
			t.Fatal(client.LastError())
		}
		time.Sleep(time.Millisecond)
	}
	return client
}

func TestEveryKindIsServed(t *testing.T) {
	increment := serve(t, protocol.MethodIncrement, raw.IncrementDispatch(func(n uint64) (uint64, bool) { return n + 1, true }), raw.NewIncrementClient)
	if n, err := increment.CallIncrement(41); err != nil || n != 42 {
		t.Errorf("increment: %d, %v", n, err)
	}
	if values, err := increment.CallIncrementBatch([]uint64{7}); err != nil || len(values) != 1 || values[0] != 8 {
		t.Errorf("batch of one: %v, %v", values, err)
	}

	reverse := serve(t, protocol.MethodStringReverse, raw.StringReverseDispatch(func(s string) (string, bool) { return s + s, true }), raw.NewStringReverseClient)
	if view, err := reverse.CallStringReverse("ab"); err != nil || view.Str != "abab" || view.StrLen != 4 {
		t.Errorf("string reverse: %+v, %v", view, err)
	}

	snapshot := serve(t, protocol.MethodCgroupsSnapshot, raw.SnapshotDispatch(func(_ *protocol.CgroupsRequest, b *protocol.CgroupsBuilder) bool {
		return b.Add(1, 2, 3, []byte("n"), []byte("p")) == nil
	}, 5), raw.NewSnapshotClient)
	if view, err := snapshot.CallSnapshot(); err != nil || view.ItemCount != 1 {
		t.Errorf("snapshot: %+v, %v", view, err)
	}

	cgroups := serve(t, protocol.MethodCgroupsLookup, raw.CgroupsLookupDispatch(func(req *protocol.CgroupsLookupRequestView, b *protocol.CgroupsLookupBuilder) bool {
		return b.AddRequestItem(req, 0, protocol.CgroupLookupKnown, 0, []byte("n"), nil) == nil
	}), raw.NewCgroupsLookupClient)
	if view, err := cgroups.CallCgroupsLookup([][]byte{[]byte("/a")}); err != nil || view.ItemCount != 1 {
		t.Errorf("cgroups lookup: %+v, %v", view, err)
	}

	apps := serve(t, protocol.MethodAppsLookup, raw.AppsLookupDispatch(func(req *protocol.AppsLookupRequestView, b *protocol.AppsLookupBuilder) bool {
		return b.Add(protocol.PidLookupUnknown, 0, 0, 5, 0, protocol.NipcUIDUnset, 0, nil, nil, nil, nil) == nil
	}), raw.NewAppsLookupClient)
	if view, err := apps.CallAppsLookup([]uint32{5}); err != nil || view.ItemCount != 1 {
		t.Errorf("apps lookup: %+v, %v", view, err)
	}
	apps.SetLookupLogicalConfig(raw.LookupLogicalConfig{MaxItems: 1})
	if _, err := apps.CallAppsLookup([]uint32{5, 6}); !errors.Is(err, protocol.ErrOverflow) {
		t.Errorf("two keys where one is allowed: %v", err)
	}
	cgroups.SetLookupLogicalConfig(raw.LookupLogicalConfig{MaxItems: 1})
	if _, err := cgroups.CallCgroupsLookup([][]byte{[]byte("/a"), []byte("/b")}); !errors.Is(err, protocol.ErrOverflow) {
		t.Errorf("two keys where one is allowed: %v", err)
	}
}

func TestAClientIsOfOneKind(t *testing.T) {
	increment := raw.NewIncrementClient("", "service", raw.ClientConfig{})
	reverse := raw.NewStringReverseClient("", "service", raw.ClientConfig{})
	for call, f := range map[string]func() error{
		"increment":      func() error { _, err := reverse.CallIncrement(1); return err },
		"batch":          func() error { _, err := reverse.CallIncrementBatch(nil); return err },
		"string reverse": func() error { _, err := increment.CallStringReverse(""); return err },
		"snapshot":       func() error { _, err := increment.CallSnapshot(); return err },
		"cgroups lookup": func() error { _, err := increment.CallCgroupsLookup(nil); return err },
		"apps lookup":    func() error { _, err := increment.CallAppsLookup(nil); return err },
	} {
		if err := f(); !errors.Is(err, protocol.ErrBadLayout) {
			t.Errorf("%s: %v", call, err)
		}
	}
}

func TestTheNumberOfItemsIsEstimatedUnlessItIsGiven(t *testing.T) {
	if got := raw.SnapshotMaxItems(24+48*10, 0); got != 10 {
		t.Error(got)
	}
	if got := raw.SnapshotMaxItems(100, 7); got != 7 {
		t.Error(got)
	}
}
