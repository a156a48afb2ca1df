package cgroups_snapshot

import (
	"bytes"
	"context"
	"iter"
	"strings"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
)

// A CacheItem is a cgroup of a snapshot, owned by whoever has it.
type CacheItem struct {
	Hash, Options, Enabled uint32
	Name, Path             string
}

// A CacheItemView is a cgroup of a snapshot that a guard holds. It is not to be changed.
type CacheItemView CacheItem

// Dup returns a copy that outlives the guard and holds nothing of the snapshot.
func (v *CacheItemView) Dup() CacheItem {
	item := CacheItem(*v)
	item.Name, item.Path = strings.Clone(v.Name), strings.Clone(v.Path)
	return item
}

// A CacheStatus is what a cache did so far. Counters wrap; LastRefreshTs is when the
// last refresh succeeded, in milliseconds since the cache was made.
type CacheStatus struct {
	Populated           bool
	ItemCount           uint32
	SystemdEnabled      uint32
	Generation          uint64
	RefreshSuccessCount uint32
	RefreshFailureCount uint32
	ConnectionState     ClientState
	LastRefreshTs       int64
}

// A Cache keeps the last good snapshot, found by hash and name. All its methods may be
// called by any goroutine; readers wait for nothing.
type Cache struct {
	cache *service.Cache[protocol.CgroupsRequest, table]
}

// NewCache makes a cache of the service in runDir. It does not connect: see Refresh. The
// service need not exist yet.
func NewCache(runDir, serviceName string, config ClientConfig) *Cache {
	c := new(Cache)
	c.cache = service.NewCache(kind(c.table), everything, runDir, serviceName, service.Config(config))
	return c
}

// table is the present one if that was made of the same bytes.
func (c *Cache) table(b []byte, into *table) error {
	if present := c.cache.Table(); present != nil && bytes.Equal(present.message, b) {
		*into = *present
		return nil
	}
	return newTable(b, into)
}

// Refresh fetches a snapshot, connecting first if need be, and tells whether it did. If
// not, the last good snapshot stays, and LastError says why.
func (c *Cache) Refresh() bool { return c.cache.Refresh() }

// RefreshContext is Refresh under a context. It fails like [service.Client.CallContext].
func (c *Cache) RefreshContext(ctx context.Context) error { return c.cache.RefreshContext(ctx) }

// Ready tells whether there is a snapshot, be it empty.
func (c *Cache) Ready() bool { return c.cache.Ready() }

// Lookup returns a copy of the cgroup with this hash and name; false if there is none.
// Its strings keep the bytes of the whole snapshot in memory; who keeps it for long
// clones them, see [strings.Clone].
func (c *Cache) Lookup(hash uint32, name string) (CacheItem, bool) {
	item := c.cache.Table().find(hash, name)
	if item == nil {
		return CacheItem{}, false
	}
	return CacheItem(*item), true
}

// ReadLock returns a guard that holds the snapshot there is now. It locks nothing:
// refreshes go on, and the guard keeps what it has.
func (c *Cache) ReadLock() CacheReadGuard { return CacheReadGuard{c.cache.Table()} }

// All goes through the cgroups of the snapshot there is when it is called.
func (c *Cache) All() iter.Seq[*CacheItemView] { return c.cache.Table().all() }

// Status returns what the cache did so far.
func (c *Cache) Status() CacheStatus {
	s := c.cache.Status()
	status := CacheStatus{
		Populated:           s.Populated,
		RefreshSuccessCount: s.RefreshSuccessCount,
		RefreshFailureCount: s.RefreshFailureCount,
		ConnectionState:     s.ConnectionState,
		LastRefreshTs:       s.LastRefreshTs,
	}
	if t := c.cache.Table(); t != nil {
		status.ItemCount, status.SystemdEnabled, status.Generation = uint32(len(t.items)), t.systemd, t.generation
	}
	return status
}

// LastError returns why the last refresh failed, nil if it did not.
func (c *Cache) LastError() error { return c.cache.LastError() }

// SetCallTimeout sets how long refreshes may take from now on, in milliseconds; 0 means
// 30 seconds.
func (c *Cache) SetCallTimeout(ms uint32) { c.cache.SetCallTimeout(ms) }

// Abort calls off a refresh under way and all later ones, until ClearAbort or Close.
func (c *Cache) Abort() { c.cache.Abort() }

// ClearAbort takes Abort back.
func (c *Cache) ClearAbort() { c.cache.ClearAbort() }

// Close hangs up and forgets the snapshot; items and guards stay as they are. It waits
// for a refresh under way. The cache can be refreshed again.
func (c *Cache) Close() { c.cache.Close() }

// SeedForTests puts a snapshot in place as if a refresh had fetched it.
func (c *Cache) SeedForTests(systemdEnabled uint32, generation uint64, items []CacheItem) {
	t := table{systemd: systemdEnabled, generation: generation, items: make([]CacheItemView, len(items))}
	for i, item := range items {
		t.items[i] = CacheItemView(item)
	}
	t.makeIndex()
	c.cache.SeedForTests(&t)
}

// A CacheReadGuard holds a snapshot. The zero guard holds none.
type CacheReadGuard struct {
	table *table
}

// Get returns the cgroup with this hash and name, nil if there is none.
func (g *CacheReadGuard) Get(hash uint32, name string) *CacheItemView {
	return g.table.find(hash, name)
}

// All goes through the cgroups of the snapshot.
func (g *CacheReadGuard) All() iter.Seq[*CacheItemView] { return g.table.all() }

// Dup returns a copy of an item that outlives the guard.
func (g *CacheReadGuard) Dup(item *CacheItemView) CacheItem { return item.Dup() }

// Unlock lets go of the snapshot. Unlocking twice does no harm.
func (g *CacheReadGuard) Unlock() { g.table = nil }
