// Package raw has every kind of service in one place, the two test methods INCREMENT
// and STRING_REVERSE among them, for tests and benchmarks. Programs use the packages of
// the services.
package raw

import (
	"fmt"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/apps_lookup"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_lookup"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_snapshot"
)

// What a zero in a configuration means.
const (
	LookupLogicalItemsDefault         = service.LookupLogicalItemsDefault
	LookupLogicalSubcallsDefault      = service.LookupLogicalSubcallsDefault
	LookupLogicalResponseBytesDefault = service.LookupLogicalResponseBytesDefault
	ClientCallTimeoutDefaultMs        = service.CallTimeoutDefaultMs
)

const (
	StateDisconnected = service.StateDisconnected
	StateConnecting   = service.StateConnecting
	StateReady        = service.StateReady
	StateNotFound     = service.StateNotFound
	StateAuthFailed   = service.StateAuthFailed
	StateIncompatible = service.StateIncompatible
	StateBroken       = service.StateBroken
)

type (
	// ClientState is what became of a client's connection.
	ClientState = service.State
	// ClientStatus is what a client did so far.
	ClientStatus = service.Status
	// ClientConfig configures a client; the zero value works.
	ClientConfig service.Config
	// Cache keeps the last good snapshot of cgroups.
	Cache = cgroups_snapshot.Cache
	// CacheStatus is what a cache did so far.
	CacheStatus = cgroups_snapshot.CacheStatus
	// CacheItem is a cgroup in a cache.
	CacheItem = cgroups_snapshot.CacheItem
)

// NewCache makes a cache of the snapshot service in runDir.
func NewCache(runDir, serviceName string, config ClientConfig) *Cache {
	return cgroups_snapshot.NewCache(runDir, serviceName, cgroups_snapshot.ClientConfig(config))
}

// IncrementKind describes the test method INCREMENT, which answers n with n+1.
var IncrementKind = service.Kind[uint64, uint64]{
	Name:   "increment",
	Method: protocol.MethodIncrement,
	Size:   func(uint64) int { return protocol.IncrementPayloadSize },
	Encode: func(n uint64, b []byte) (int, error) { return protocol.IncrementEncode(n, b), nil },
	Decode: func(b []byte, n *uint64) (err error) {
		*n, err = protocol.IncrementDecode(b)
		return err
	},
}

// StringReverseKind describes the test method STRING_REVERSE, which answers a string
// with its bytes in reverse order.
var StringReverseKind = service.Kind[string, protocol.StringReverseView]{
	Name:   "string-reverse",
	Method: protocol.MethodStringReverse,
	Size:   func(s string) int { return protocol.StringReverseHdrSize + len(s) + 1 },
	Encode: func(s string, b []byte) (int, error) { return protocol.StringReverseEncode(s, b), nil },
	Decode: func(b []byte, view *protocol.StringReverseView) (err error) {
		*view, err = protocol.StringReverseDecode(b)
		return err
	},
}

// A Client asks one service, of the kind its constructor names.
type Client struct {
	connection
	increment     *service.Client[uint64, uint64]
	stringReverse *service.Client[string, protocol.StringReverseView]
	snapshot      *cgroups_snapshot.Client
	cgroupsLookup *cgroups_lookup.Client
	appsLookup    *apps_lookup.Client
}

// connection is what clients of all kinds can do.
type connection interface {
	Refresh() bool
	Ready() bool
	Status() ClientStatus
	LastError() error
	SelectedProfile() uint32
	SetCallTimeout(ms uint32)
	Abort()
	ClearAbort()
	Close()
}

// NewIncrementClient makes a client of an INCREMENT service.
func NewIncrementClient(runDir, serviceName string, config ClientConfig) *Client {
	c := service.NewClient(IncrementKind, runDir, serviceName, service.Config(config))
	return &Client{connection: c, increment: c}
}

// NewStringReverseClient makes a client of a STRING_REVERSE service.
func NewStringReverseClient(runDir, serviceName string, config ClientConfig) *Client {
	c := service.NewClient(StringReverseKind, runDir, serviceName, service.Config(config))
	return &Client{connection: c, stringReverse: c}
}

// NewSnapshotClient makes a client of a cgroups snapshot service.
func NewSnapshotClient(runDir, serviceName string, config ClientConfig) *Client {
	c := cgroups_snapshot.NewClient(runDir, serviceName, cgroups_snapshot.ClientConfig(config))
	return &Client{connection: c, snapshot: c}
}

// NewCgroupsLookupClient makes a client of a cgroups lookup service.
func NewCgroupsLookupClient(runDir, serviceName string, config ClientConfig) *Client {
	c := cgroups_lookup.NewClient(runDir, serviceName, cgroups_lookup.ClientConfig(config))
	return &Client{connection: c, cgroupsLookup: c}
}

// NewAppsLookupClient makes a client of an apps lookup service.
func NewAppsLookupClient(runDir, serviceName string, config ClientConfig) *Client {
	c := apps_lookup.NewClient(runDir, serviceName, apps_lookup.ClientConfig(config))
	return &Client{connection: c, appsLookup: c}
}

func otherKind(call string) error {
	return fmt.Errorf("%s: %w: the client is of another kind", call, protocol.ErrBadLayout)
}

// CallIncrement asks for n+1.
func (c *Client) CallIncrement(n uint64) (uint64, error) { return c.CallIncrementWithTimeout(n, 0) }

// CallIncrementWithTimeout is CallIncrement, within ms milliseconds.
func (c *Client) CallIncrementWithTimeout(n uint64, ms uint32) (uint64, error) {
	if c.increment == nil {
		return 0, otherKind("increment")
	}
	answer, err := c.increment.CallWithTimeout(n, ms)
	if err != nil {
		return 0, err
	}
	return *answer, nil
}

// CallIncrementBatch asks for several at once; the result is valid until the next call.
func (c *Client) CallIncrementBatch(values []uint64) ([]uint64, error) {
	return c.CallIncrementBatchWithTimeout(values, 0)
}

// CallIncrementBatchWithTimeout is CallIncrementBatch, within ms milliseconds.
func (c *Client) CallIncrementBatchWithTimeout(values []uint64, ms uint32) ([]uint64, error) {
	if c.increment == nil {
		return nil, otherKind("increment")
	}
	return c.increment.CallBatchWithTimeout(values, ms)
}

// CallStringReverse asks for s in reverse.
func (c *Client) CallStringReverse(s string) (*protocol.StringReverseView, error) {
	return c.CallStringReverseWithTimeout(s, 0)
}

// CallStringReverseWithTimeout is CallStringReverse, within ms milliseconds.
func (c *Client) CallStringReverseWithTimeout(s string, ms uint32) (*protocol.StringReverseView, error) {
	if c.stringReverse == nil {
		return nil, otherKind("string reverse")
	}
	return c.stringReverse.CallWithTimeout(s, ms)
}

// CallSnapshot asks for a snapshot of cgroups.
func (c *Client) CallSnapshot() (*protocol.CgroupsResponseView, error) {
	return c.CallSnapshotWithTimeout(0)
}

// CallSnapshotWithTimeout is CallSnapshot, within ms milliseconds.
func (c *Client) CallSnapshotWithTimeout(ms uint32) (*protocol.CgroupsResponseView, error) {
	if c.snapshot == nil {
		return nil, otherKind("snapshot")
	}
	return c.snapshot.CallSnapshotWithTimeout(ms)
}

// CallCgroupsLookup asks for the cgroups of paths.
func (c *Client) CallCgroupsLookup(paths [][]byte) (*protocol.CgroupsLookupResponseView, error) {
	return c.CallCgroupsLookupWithTimeout(paths, 0)
}

// CallCgroupsLookupWithTimeout is CallCgroupsLookup, within ms milliseconds.
func (c *Client) CallCgroupsLookupWithTimeout(paths [][]byte, ms uint32) (*protocol.CgroupsLookupResponseView, error) {
	if c.cgroupsLookup == nil {
		return nil, otherKind("cgroups lookup")
	}
	return c.cgroupsLookup.CallWithTimeout(paths, ms)
}

// CallAppsLookup asks for the processes with pids.
func (c *Client) CallAppsLookup(pids []uint32) (*protocol.AppsLookupResponseView, error) {
	return c.CallAppsLookupWithTimeout(pids, 0)
}

// CallAppsLookupWithTimeout is CallAppsLookup, within ms milliseconds.
func (c *Client) CallAppsLookupWithTimeout(pids []uint32, ms uint32) (*protocol.AppsLookupResponseView, error) {
	if c.appsLookup == nil {
		return nil, otherKind("apps lookup")
	}
	return c.appsLookup.CallWithTimeout(pids, ms)
}

// A LookupLogicalConfig bounds one lookup; 0 means the default of each.
type LookupLogicalConfig struct {
	MaxItems, MaxSubcalls, MaxResponseBytes uint32
}

// SetLookupLogicalConfig replaces the limits of a lookup client; other clients have none.
func (c *Client) SetLookupLogicalConfig(config LookupLogicalConfig) {
	if c.cgroupsLookup != nil {
		c.cgroupsLookup.SetLimits(config.MaxItems, config.MaxSubcalls, config.MaxResponseBytes)
	}
	if c.appsLookup != nil {
		c.appsLookup.SetLimits(config.MaxItems, config.MaxSubcalls, config.MaxResponseBytes)
	}
}
