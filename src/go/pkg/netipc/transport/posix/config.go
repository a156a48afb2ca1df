//go:build unix

package posix

import (
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
)

// A ClientConfig is what a client offers. Zero means the default of each: the
// baseline profile, 1024 bytes, 1 item, the token 0, and packets of 64 KiB. For the best
// shared memory that both sides have, put protocol.ProfilesSharedMemory into the profiles.
type ClientConfig struct {
	SupportedProfiles       uint32
	PreferredProfiles       uint32
	MaxRequestPayloadBytes  uint32 // of the requests this client will send
	MaxRequestBatchItems    uint32
	MaxResponsePayloadBytes uint32 // a hint; the server decides
	MaxResponseBatchItems   uint32 // a hint; as many as in the request
	AuthToken               uint64 // must be the server's
	PacketSize              uint32 // bytes; what the socket cannot take is lowered

	// How long a wait for a message may look for it again and again before it sleeps. 0
	// is as long as that pays, which each side finds out by itself: if the peer runs on
	// another processor and answers within some microseconds. Less than 0 is not at all.
	Spin time.Duration
}

// A ServerConfig is what a server grants. Zero means the same defaults as in
// [ClientConfig], and 16 for the backlog.
type ServerConfig struct {
	SupportedProfiles       uint32
	PreferredProfiles       uint32
	MaxRequestPayloadBytes  uint32 // a client that asks for more is refused
	MaxRequestBatchItems    uint32
	MaxResponsePayloadBytes uint32
	MaxResponseBatchItems   uint32
	AuthToken               uint64
	PacketSize              uint32
	Backlog                 int // clients that may wait to be accepted
	Spin                    time.Duration
}

// terms are what a configuration means on a connection.
func (c *ClientConfig) terms(on *conn) session.Terms {
	return session.Terms{
		SupportedProfiles:       c.SupportedProfiles,
		PreferredProfiles:       c.PreferredProfiles,
		MaxRequestPayloadBytes:  c.MaxRequestPayloadBytes,
		MaxRequestBatchItems:    c.MaxRequestBatchItems,
		MaxResponsePayloadBytes: c.MaxResponsePayloadBytes,
		MaxResponseBatchItems:   c.MaxResponseBatchItems,
		AuthToken:               c.AuthToken,
		PacketSize:              on.packetSize(c.PacketSize),
	}.WithDefaults()
}

func (c *ServerConfig) terms(on *conn) session.Terms {
	return (&ClientConfig{
		SupportedProfiles:       c.SupportedProfiles,
		PreferredProfiles:       c.PreferredProfiles,
		MaxRequestPayloadBytes:  c.MaxRequestPayloadBytes,
		MaxRequestBatchItems:    c.MaxRequestBatchItems,
		MaxResponsePayloadBytes: c.MaxResponsePayloadBytes,
		MaxResponseBatchItems:   c.MaxResponseBatchItems,
		AuthToken:               c.AuthToken,
		PacketSize:              c.PacketSize,
	}).terms(on)
}
