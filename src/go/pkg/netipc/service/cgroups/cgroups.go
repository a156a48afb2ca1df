// Package cgroups is the former name of package cgroups_snapshot, and the same thing.
package cgroups

import "github.com/netdata/plugin-ipc/go/pkg/netipc/service/cgroups_snapshot"

type (
	ClientState     = cgroups_snapshot.ClientState
	ClientStatus    = cgroups_snapshot.ClientStatus
	ClientConfig    = cgroups_snapshot.ClientConfig
	ServerConfig    = cgroups_snapshot.ServerConfig
	SnapshotHandler = cgroups_snapshot.SnapshotHandler
	Handler         = cgroups_snapshot.Handler
	Client          = cgroups_snapshot.Client
	Server          = cgroups_snapshot.Server
	Cache           = cgroups_snapshot.Cache
	CacheItem       = cgroups_snapshot.CacheItem
	CacheItemView   = cgroups_snapshot.CacheItemView
	CacheReadGuard  = cgroups_snapshot.CacheReadGuard
	CacheStatus     = cgroups_snapshot.CacheStatus
)

const (
	StateDisconnected = cgroups_snapshot.StateDisconnected
	StateConnecting   = cgroups_snapshot.StateConnecting
	StateReady        = cgroups_snapshot.StateReady
	StateNotFound     = cgroups_snapshot.StateNotFound
	StateAuthFailed   = cgroups_snapshot.StateAuthFailed
	StateIncompatible = cgroups_snapshot.StateIncompatible
	StateBroken       = cgroups_snapshot.StateBroken
)

var (
	// NewClient is [cgroups_snapshot.NewClient].
	NewClient = cgroups_snapshot.NewClient
	// NewServer is [cgroups_snapshot.NewServer].
	NewServer = cgroups_snapshot.NewServer
	// NewServerWithWorkers is [cgroups_snapshot.NewServerWithWorkers].
	NewServerWithWorkers = cgroups_snapshot.NewServerWithWorkers
	// NewCache is [cgroups_snapshot.NewCache].
	NewCache = cgroups_snapshot.NewCache
)
