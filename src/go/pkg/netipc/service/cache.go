package service

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Cache keeps the last good copy of a service's whole table: a T, made from the
// response to one request and not changed afterwards.
//
// All methods may be called by any goroutine. Readers wait for nothing, neither for a
// refresh nor for each other, and no refresh waits for them. Refreshes wait for each
// other, and Close for a refresh under way.
type Cache[Request, T any] struct {
	request Request
	refresh sync.Mutex
	client  *Client[Request, T]
	created time.Time

	table               atomic.Pointer[T]
	successes, failures atomic.Uint32
	lastRefresh         atomic.Int64
	lastError           atomic.Pointer[error]
}

// A CacheStatus is what a cache did so far. The counters wrap.
type CacheStatus struct {
	Populated           bool // whether there is a table, be it empty
	RefreshSuccessCount uint32
	RefreshFailureCount uint32
	ConnectionState     State
	LastRefreshTs       int64 // of the last success, in milliseconds since the cache was made
}

// NewCache makes a cache of the service in runDir, which it asks with request. The
// kind's Decode makes the table; what it fails with breaks the session. It does not
// connect: see Refresh.
func NewCache[Request, T any](kind Kind[Request, T], request Request, runDir, serviceName string, config Config) *Cache[Request, T] {
	return &Cache[Request, T]{
		request: request,
		client:  NewClient(kind, runDir, serviceName, config),
		created: time.Now(),
	}
}

// Refresh fetches the table, connecting first if there is no session, and tells whether
// it did. If not the last good table stays, and LastError says why. It takes as long as
// a call may take.
func (c *Cache[Request, T]) Refresh() bool {
	return c.RefreshContext(context.Background()) == nil
}

// RefreshContext is Refresh under a context. It fails like [Client.CallContext].
func (c *Cache[Request, T]) RefreshContext(ctx context.Context) error {
	c.refresh.Lock()
	defer c.refresh.Unlock()
	table, err := c.fetch(ctx)
	if err != nil {
		c.failures.Add(1)
		c.lastError.Store(&err)
		return err
	}
	c.table.Store(table)
	c.successes.Add(1)
	c.lastRefresh.Store(time.Since(c.created).Milliseconds())
	c.lastError.Store(nil)
	return nil
}

func (c *Cache[Request, T]) fetch(ctx context.Context) (*T, error) {
	connecting := c.client.ensure(ctx)
	fetched, err := c.client.CallContext(ctx, c.request)
	if connecting != nil {
		// The call has found that there is no session; this is why.
		return nil, fmt.Errorf("refresh: %w: %w", protocol.ErrNotReady, connecting)
	}
	if err != nil {
		return nil, fmt.Errorf("refresh: %w", err)
	}
	table := *fetched
	return &table, nil
}

// Table returns the last good table, nil if there was none. It stays as it is for as
// long as the caller keeps it.
func (c *Cache[Request, T]) Table() *T { return c.table.Load() }

// Ready tells whether there is a table, be it empty.
func (c *Cache[Request, T]) Ready() bool { return c.table.Load() != nil }

// Status returns what the cache did so far.
func (c *Cache[Request, T]) Status() CacheStatus {
	return CacheStatus{
		Populated:           c.Ready(),
		RefreshSuccessCount: c.successes.Load(),
		RefreshFailureCount: c.failures.Load(),
		ConnectionState:     c.client.State(),
		LastRefreshTs:       c.lastRefresh.Load(),
	}
}

// LastError returns why the last refresh failed, nil if it did not.
func (c *Cache[Request, T]) LastError() error {
	if err := c.lastError.Load(); err != nil {
		return *err
	}
	return nil
}

// SetCallTimeout sets how long refreshes may take from now on, in milliseconds; 0 means
// 30 seconds.
func (c *Cache[Request, T]) SetCallTimeout(ms uint32) { c.client.SetCallTimeout(ms) }

// Abort calls off a refresh under way and all later ones, until ClearAbort or Close.
func (c *Cache[Request, T]) Abort() { c.client.Abort() }

// ClearAbort takes Abort back.
func (c *Cache[Request, T]) ClearAbort() { c.client.ClearAbort() }

// Close hangs up and forgets the table; tables that callers have stay as they are. The
// cache can be refreshed again. Closing twice does no harm.
func (c *Cache[Request, T]) Close() {
	c.refresh.Lock()
	defer c.refresh.Unlock()
	c.table.Store(nil)
	c.client.Close()
}

// SeedForTests puts a table in place as if a refresh had fetched it.
func (c *Cache[Request, T]) SeedForTests(table *T) { c.table.Store(table) }
