package service_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_snapshot"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/raw"
)

// snapshotServer serves what build builds.
func snapshotServer(dir string, config raw.ServerConfig, build raw.SnapshotHandler) *service.Server {
	return raw.NewServer(dir, "snapshot", config, protocol.MethodCgroupsSnapshot, raw.SnapshotDispatch(build, 0))
}

// fill refreshes a cache until it has a snapshot.
func fill(t *testing.T, cache *raw.Cache) {
	t.Helper()
	t.Cleanup(cache.Close)
	eventually(t, "the cache has a snapshot", cache.Refresh)
}

func buildOf(items ...raw.CacheItem) raw.SnapshotHandler {
	return func(_ *protocol.CgroupsRequest, b *protocol.CgroupsBuilder) bool {
		b.SetHeader(1, uint64(len(items)))
		for _, item := range items {
			if b.Add(item.Hash, item.Options, item.Enabled, []byte(item.Name), []byte(item.Path)) != nil {
				return false
			}
		}
		return true
	}
}

func TestTheCacheFindsItemsByHashAndName(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		first := raw.CacheItem{Hash: 1, Options: 2, Enabled: 3, Name: "a", Path: "/a"}
		notUTF8 := raw.CacheItem{Hash: 2, Name: "\xff\xfe", Path: ""}
		start(t, snapshotServer(dir, c.server(), buildOf(first, notUTF8,
			raw.CacheItem{Hash: 1, Name: "a", Path: "/second of its name"}, raw.CacheItem{Hash: 1, Name: "b", Path: "/b"})))
		cache := raw.NewCache(dir, "snapshot", c.client())
		fill(t, cache)
		for _, expected := range []raw.CacheItem{first, notUTF8, {Hash: 1, Name: "b", Path: "/b"}} {
			if got, ok := cache.Lookup(expected.Hash, expected.Name); !ok || got != expected {
				t.Fatalf("got %+v, expected %+v", got, expected)
			}
		}
		for name, hash := range map[string]uint32{"a": 2, "c": 1, "": 1} {
			if got, ok := cache.Lookup(hash, name); ok {
				t.Fatalf("found %+v for %d %q", got, hash, name)
			}
		}
		var names []string
		for item := range cache.All() {
			names = append(names, item.Name)
		}
		if fmt.Sprintf("%q", names) != `["a" "\xff\xfe" "a" "b"]` {
			t.Fatalf("all items: %q", names)
		}
		s := cache.Status()
		if !s.Populated || s.ItemCount != 4 || s.SystemdEnabled != 1 || s.Generation != 4 || s.RefreshSuccessCount != 1 || s.ConnectionState != service.StateReady {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestAFailedRefreshKeepsTheSnapshot(t *testing.T) {
	eachCarrier(t, func(t *testing.T, c carrier) {
		dir := runDir(t)
		cache := raw.NewCache(dir, "snapshot", c.client())
		defer cache.Close()
		if cache.Refresh() || cache.Ready() || cache.LastError() == nil {
			t.Fatal("refreshed from nothing")
		}
		mustFail(t, cache.LastError(), protocol.ErrNotReady)
		if _, ok := cache.Lookup(1, "a"); ok {
			t.Fatal("found something in an empty cache")
		}
		server := snapshotServer(dir, c.server(), buildOf(raw.CacheItem{Hash: 1, Name: "a"}))
		ran := start(t, server)
		fill(t, cache)
		failures := cache.Status().RefreshFailureCount
		server.Stop()
		await(t, "Run returns", ran)
		if cache.Refresh() {
			t.Fatal("refreshed without a server")
		}
		if _, ok := cache.Lookup(1, "a"); !ok || !cache.Ready() {
			t.Fatal("the snapshot is gone")
		}
		if s := cache.Status(); s.RefreshFailureCount != failures+1 || s.RefreshSuccessCount != 1 || s.ItemCount != 1 {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestAnEmptySnapshotIsASnapshot(t *testing.T) {
	dir := runDir(t)
	start(t, snapshotServer(dir, raw.ServerConfig{}, buildOf()))
	cache := raw.NewCache(dir, "snapshot", raw.ClientConfig{})
	fill(t, cache)
	if s := cache.Status(); !cache.Ready() || !s.Populated || s.ItemCount != 0 {
		t.Fatalf("status %+v", s)
	}
}

func TestAMalformedItemFailsTheRefreshAndBreaksTheSession(t *testing.T) {
	dir := runDir(t)
	var damaged atomic.Bool
	build := raw.SnapshotDispatch(buildOf(raw.CacheItem{Hash: 1, Name: "a"}), 0)
	start(t, raw.NewServer(dir, "snapshot", raw.ServerConfig{}, protocol.MethodCgroupsSnapshot, func(request, response []byte) (int, error) {
		n, err := build(request, response)
		if damaged.Load() {
			response[n-1] = 'x' // in place of the NUL of the last string
		}
		return n, err
	}))
	cache := raw.NewCache(dir, "snapshot", raw.ClientConfig{})
	fill(t, cache)
	damaged.Store(true)
	if cache.Refresh() {
		t.Fatal("took a damaged snapshot")
	}
	mustFail(t, cache.LastError(), protocol.ErrMissingNul)
	if s := cache.Status(); s.ConnectionState != service.StateBroken {
		t.Fatalf("status %+v", s)
	}
	if _, ok := cache.Lookup(1, "a"); !ok {
		t.Fatal("the snapshot is gone")
	}
	damaged.Store(false)
	if !cache.Refresh() {
		t.Fatalf("does not recover: %v", cache.LastError())
	}
}

func TestReadersWaitForNothing(t *testing.T) {
	dir := runDir(t)
	held, entered := make(chan struct{}), make(chan struct{}, 10)
	var hold atomic.Bool
	start(t, snapshotServer(dir, raw.ServerConfig{}, func(r *protocol.CgroupsRequest, b *protocol.CgroupsBuilder) bool {
		if hold.Load() {
			entered <- struct{}{}
			<-held
		}
		return buildOf(raw.CacheItem{Hash: 1, Name: "a", Path: "/old"})(r, b)
	}))
	cache := raw.NewCache(dir, "snapshot", raw.ClientConfig{})
	fill(t, cache)
	guard := cache.ReadLock()
	item := guard.Get(1, "a")
	hold.Store(true)
	refreshed := make(chan bool, 1)
	go func() { refreshed <- cache.Refresh() }()
	<-entered
	within(t, time.Second, "readers during a refresh", func() {
		if s := cache.Status(); !s.Populated {
			t.Errorf("status %+v", s)
		}
		if _, ok := cache.Lookup(1, "a"); !ok || !cache.Ready() {
			t.Error("nothing to be read")
		}
		other := cache.ReadLock()
		if other.Get(1, "a") == nil {
			t.Error("nothing under a second guard")
		}
		other.Unlock()
	})
	close(held)
	if !await(t, "Refresh returns", refreshed) { // with a guard held
		t.Fatal(cache.LastError())
	}
	if item.Path != "/old" || guard.Get(1, "a") != item {
		t.Fatal("the guard does not hold its snapshot")
	}
	kept := guard.Dup(item)
	guard.Unlock()
	guard.Unlock()
	if guard.Get(1, "a") != nil || kept.Path != "/old" || new(cgroups_snapshot.CacheReadGuard).Get(1, "a") != nil {
		t.Fatal("an unlocked guard holds something")
	}
}

func TestACacheCanBeAbortedAndClosedAndUsedAgain(t *testing.T) {
	dir := runDir(t)
	entered := make(chan struct{}, 10)
	var hold atomic.Bool
	held := make(chan struct{})
	start(t, snapshotServer(dir, raw.ServerConfig{}, func(r *protocol.CgroupsRequest, b *protocol.CgroupsBuilder) bool {
		if hold.Load() {
			entered <- struct{}{}
			<-held
		}
		return buildOf(raw.CacheItem{Hash: 1, Name: "a"})(r, b)
	}))
	defer close(held)
	cache := raw.NewCache(dir, "snapshot", raw.ClientConfig{})
	fill(t, cache)
	hold.Store(true)
	go func() {
		<-entered
		cache.Abort()
	}()
	if cache.Refresh() {
		t.Fatal("refreshed in spite of an abort")
	}
	mustFail(t, cache.LastError(), protocol.ErrAborted)
	if cache.Refresh() || !cache.Ready() {
		t.Fatal("the abort is not sticky, or the snapshot is gone")
	}
	cache.SetCallTimeout(30)
	cache.ClearAbort()
	if cache.Refresh() {
		t.Fatal("refreshed in spite of the timeout")
	}
	mustFail(t, cache.LastError(), protocol.ErrTimeout)
	cache.SetCallTimeout(0)
	hold.Store(false)
	cache.Close()
	cache.Close()
	if _, ok := cache.Lookup(1, "a"); ok || cache.Ready() || cache.Status().ItemCount != 0 {
		t.Fatal("a closed cache has a snapshot")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := cache.RefreshContext(ctx); err == nil {
		t.Fatal("refreshed under a context that was cancelled")
	}
	fill(t, cache)
}

func TestACacheIsReadWhileItIsRefreshedAndClosed(t *testing.T) {
	dir := runDir(t)
	items := make([]raw.CacheItem, 200)
	for i := range items {
		items[i] = raw.CacheItem{Hash: uint32(i), Name: fmt.Sprint("cgroup-", i), Path: "/"}
	}
	start(t, snapshotServer(dir, raw.ServerConfig{}, buildOf(items...)))
	cache := raw.NewCache(dir, "snapshot", raw.ClientConfig{})
	fill(t, cache)
	var readers sync.WaitGroup
	ended := make(chan struct{})
	for range 8 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			for i := uint32(0); ; i = (i + 1) % 200 {
				select {
				case <-ended:
					return
				default:
				}
				guard := cache.ReadLock()
				if item := guard.Get(i, items[i].Name); item != nil && item.Name != items[i].Name {
					t.Errorf("found %+v for %s", item, items[i].Name)
				}
				guard.Unlock()
				if item, ok := cache.Lookup(i, items[i].Name); ok && item != items[i] {
					t.Errorf("found %+v for %s", item, items[i].Name)
				}
				_ = cache.Status()
				runtime.Gosched() // the refresh has to get a turn, too
			}
		}()
	}
	for i := range 50 {
		cache.Refresh()
		if i%10 == 9 {
			cache.Close()
		}
	}
	close(ended)
	readers.Wait()
}

func TestLookupTakesTheSameTimeWhateverTheHashes(t *testing.T) {
	const n = 100_000
	items := make([]raw.CacheItem, n)
	for i := range items {
		items[i] = raw.CacheItem{Hash: 7, Name: fmt.Sprint(i)} // all with one hash
	}
	cache := raw.NewCache("", "snapshot", raw.ClientConfig{})
	cache.SeedForTests(0, 1, items)
	within(t, patience, "a lookup of each", func() {
		for _, item := range items {
			if _, ok := cache.Lookup(7, item.Name); !ok {
				t.Errorf("%s not found", item.Name)
				return
			}
		}
	})
	if allocs := testing.AllocsPerRun(100, func() { cache.Lookup(7, "5000") }); allocs != 0 {
		t.Fatalf("%v allocations per lookup", allocs)
	}
}
