package service

import (
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Config configures a client or a server. Its zero value works: zero means the
// default of each field.
type Config struct {
	// Carriers this side can use and those it prefers: bits protocol.Profile…, in both
	// protocol.ProfilesSharedMemory for the best shared memory that both sides have.
	// Default: the baseline, no preference.
	SupportedProfiles uint32
	PreferredProfiles uint32

	// The longest payload of a request, in bytes. A client proposes it, 1024 by
	// default, and proposes more when a request needs it; a server refuses clients that
	// propose more than it configured, 1 MiB by default.
	MaxRequestPayloadBytes uint32
	// The most items of a batch. Default: 1.
	MaxRequestBatchItems uint32
	// The longest payload of a response, in bytes. A server grants it; by default it
	// starts at 64 KiB and grows with the responses up to 1 MiB, while a configured value
	// stays. A client's is a hint.
	MaxResponsePayloadBytes uint32

	// How long a client's call may take, in milliseconds. Default: 30000. Servers ignore it.
	CallTimeoutMs uint32

	// How long a wait for a message may look for it again and again before it sleeps. 0
	// is as long as that pays, which each side finds out by itself: if the peer runs on
	// another processor and answers within some microseconds. Less than 0 is not at all.
	// Waits on pipes and on shared memory without events, both of Windows, do not heed it.
	Spin time.Duration

	// What client and server must both know. Default: 0, which is a value like others.
	AuthToken uint64

	// How much one lookup may take: keys, requests, and bytes of the complete response.
	// Default: 65536, 4096, 64 MiB. Servers ignore them.
	MaxLogicalLookupItems         uint32
	MaxLogicalLookupSubcalls      uint32
	MaxLogicalLookupResponseBytes uint32
}

// Defaults of a Config.
const (
	CallTimeoutDefaultMs              uint32 = 30000
	LookupLogicalItemsDefault         uint32 = 65536
	LookupLogicalSubcallsDefault      uint32 = 4096
	LookupLogicalResponseBytesDefault uint32 = 64 << 20

	responseDefault uint32 = 65536
	requestDefault         = protocol.MaxPayloadDefault
	growthCeiling          = protocol.MaxPayloadCap
)

// How long making a session may take.
const connectPatience = 5 * time.Second

func orDefault(v, fallback uint32) uint32 {
	if v == 0 {
		return fallback
	}
	return v
}
