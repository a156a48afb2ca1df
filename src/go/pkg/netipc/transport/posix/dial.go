//go:build unix

package posix

import (
	"context"
	"errors"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// Dial connects to a service in runDir and returns a link to it; a nil config is one of
// defaults. If they agree on shared memory and it cannot be opened, Dial connects a
// second time without it: a server that has agreed waits for messages there and nowhere
// else. Profiles this system does not have are not offered.
//
// It fails like [ConnectContext], and with ErrNoProfile if nothing is left to offer.
func Dial(ctx context.Context, runDir, serviceName string, config *ClientConfig) (*Link, error) {
	var offer ClientConfig
	if config != nil {
		offer = *config
	}
	offer.SupportedProfiles = usable(offer.SupportedProfiles)
	var without error
	for offer.SupportedProfiles != 0 {
		s, err := ConnectContext(ctx, runDir, serviceName, &offer)
		if err != nil {
			return nil, err
		}
		if s.SelectedProfile&sharedProfiles == 0 {
			return newLink(s, nil, without), nil
		}
		shared, err := endpoint{runDir, serviceName}.openRegion(s.SessionID)
		if err == nil {
			return newLink(s, shared, nil), nil
		}
		s.Close()
		without = err
		offer.SupportedProfiles &^= sharedProfiles
	}
	if without == nil {
		without = errNothingUsable
	}
	return nil, fail(ErrNoProfile, without, "connect to %s", serviceName)
}

// errNothingUsable is why a configuration of nothing but foreign profiles fails.
var errNothingUsable = errors.New("no profile that this system has is configured")

// usable leaves of configured profiles those this system has. 0 is the default.
func usable(profiles uint32) uint32 {
	if profiles == 0 {
		profiles = protocol.ProfileBaseline
	}
	return profiles & (protocol.ProfileBaseline | sharedProfiles)
}

// Accept is [Pending.Handshake] for a link, with the listener's next session id. If
// client and server agree on shared memory it is made before the client is told; if
// that fails they agree on something else.
//
// It fails like Handshake. Profiles this system does not have are not granted.
func (p *Pending) Accept(ctx context.Context, config ServerConfig) (*Link, error) {
	config.SupportedProfiles = usable(config.SupportedProfiles)
	if config.SupportedProfiles == 0 {
		p.Close()
		return nil, fail(ErrNoProfile, errNothingUsable, "accept on %s", p.listener.path)
	}
	terms := config.terms(p.conn)
	terms.ResponseCeiling = p.listener.responseCeiling()
	var shared sharedMemory
	var without error
	s, err := p.handshake(ctx, func(hello []byte) ([]byte, session.Agreement, error) {
		id := p.listener.nextID()
		reply, agreed, err := terms.Answer(hello, id)
		if err != nil || !agreed.UsesSharedMemory() {
			return reply, agreed, err
		}
		if shared, id, without = p.listener.makeRegion(id, &agreed); without == nil {
			return terms.Answer(hello, id)
		}
		terms.SupportedProfiles &^= sharedProfiles
		if terms.SupportedProfiles == 0 {
			return nil, agreed, without
		}
		return terms.Answer(hello, id)
	})
	if err != nil {
		if shared != nil {
			shared.close()
		}
		return nil, err
	}
	return newLink(s, shared, without), nil
}

// makeRegion makes the shared memory of session id, or of a later one if a region of
// that name is in use: a server before us with our process id may have left it. It holds
// what was agreed, not what the server would have allowed, which may be much more.
func (l *Listener) makeRegion(id uint64, agreed *session.Agreement) (sharedMemory, uint64, error) {
	const tries = 64
	for try := 1; ; try++ {
		shared, err := l.endpoint.makeRegion(id, agreed.MaxRequestPayloadBytes, agreed.MaxResponsePayloadBytes)
		if err == nil || !regionIsTaken(err) || try == tries {
			return shared, id, err
		}
		id = l.nextID()
	}
}
