package carrier

import (
	"context"
	"errors"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// Regions are the shared memory of one endpoint's sessions.
type Regions interface {
	// Profiles are the profiles of shared memory this system has.
	Profiles() uint32
	// Make makes the shared memory of a session: room for what was agreed, not for what
	// the server would have allowed, which may be much more.
	Make(*session.Agreement) (SharedMemory, error)
	// Taken tells whether what Make failed with is that the session's name is in use.
	Taken(error) bool
	// Open opens what the server has made for a session.
	Open(*session.Agreement) (SharedMemory, error)
}

// Dial makes a link with connect, which is given the profiles to offer: of those
// configured, the ones this system has. If shared memory is agreed on and cannot be
// opened, Dial connects a second time without it: a server that has agreed waits for
// messages there and nowhere else.
//
// It fails like connect, and with session.ErrNoProfile if nothing is left to offer.
func Dial(name string, profiles uint32, regions Regions, connect func(profiles uint32) (*Session, error)) (*Link, error) {
	var without error
	for offer := usable(profiles, regions); offer != 0; offer &^= regions.Profiles() {
		s, err := connect(offer)
		if err != nil {
			return nil, err
		}
		if s.SelectedProfile&regions.Profiles() == 0 {
			return newLink(s, nil, without), nil
		}
		shared, err := regions.Open(&s.agreed)
		if err == nil {
			return newLink(s, shared, nil), nil
		}
		s.Close()
		without = err
	}
	if without == nil {
		without = errNothingUsable
	}
	return nil, Fail(session.ErrNoProfile, without, "connect to %s", name)
}

// errNothingUsable is why a configuration of nothing but foreign profiles fails.
var errNothingUsable = errors.New("no profile that this system has is configured")

// usable leaves of configured profiles those this system has. 0 is the default.
func usable(profiles uint32, regions Regions) uint32 {
	if profiles == 0 {
		profiles = protocol.ProfileBaseline
	}
	return profiles & (protocol.ProfileBaseline | regions.Profiles())
}

// Accept agrees on a link with a client of the endpoint at name. If that is to have
// shared memory it is made before the client is told; if that fails they agree on
// something else. Profiles this system does not have are not granted.
//
// It fails like Answer, and with session.ErrNoProfile. The connection is closed then.
func Accept(ctx context.Context, c Conn, name string, terms session.Terms, regions Regions, nextID func() uint64) (*Link, error) {
	terms.SupportedProfiles = usable(terms.SupportedProfiles, regions)
	if terms.SupportedProfiles == 0 {
		c.Close()
		return nil, Fail(session.ErrNoProfile, errNothingUsable, "accept on %s", name)
	}
	var shared SharedMemory
	var without error
	agreement, err := Answer(ctx, c, name, func(hello []byte) ([]byte, session.Agreement, error) {
		id := nextID()
		reply, agreed, err := terms.Answer(hello, id)
		if err != nil || !agreed.UsesSharedMemory() {
			return reply, agreed, err
		}
		if shared, without = makeRegion(regions, &agreed, nextID); without == nil {
			return terms.Answer(hello, agreed.SessionID)
		}
		terms.SupportedProfiles &^= regions.Profiles()
		if terms.SupportedProfiles == 0 {
			return nil, agreed, without
		}
		return terms.Answer(hello, agreed.SessionID)
	})
	if err != nil {
		if shared != nil {
			shared.Close()
		}
		return nil, err
	}
	return newLink(NewSession(RoleServer, name, c, &agreement), shared, without), nil
}

// makeRegion makes the shared memory of a session, with a later id if that of the
// session is in use: a server before us may have left it.
func makeRegion(regions Regions, agreed *session.Agreement, nextID func() uint64) (SharedMemory, error) {
	const tries = 64
	for try := 1; ; try++ {
		shared, err := regions.Make(agreed)
		if err == nil || !regions.Taken(err) || try == tries {
			return shared, err
		}
		agreed.SessionID = nextID()
	}
}
