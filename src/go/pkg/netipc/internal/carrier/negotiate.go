package carrier

import (
	"context"
	"errors"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Medium is a kind of shared memory this system has for the sessions of one endpoint.
type Medium interface {
	// Profiles are the profiles that mean it.
	Profiles() uint32
	// Make makes the shared memory of a session with the client of a connection: room for
	// what was agreed, not for what the server would have allowed, which may be much more.
	Make(Conn, *session.Agreement) (SharedMemory, error)
	// Taken tells whether what Make failed with is that the session's name is in use.
	Taken(error) bool
	// Open opens what the server at the other end of a connection has made for a session.
	Open(Conn, *session.Agreement) (SharedMemory, error)
}

// Media are all kinds of shared memory a system has.
type Media []Medium

// Profiles are the profiles that mean any of them.
func (m Media) Profiles() uint32 {
	var all uint32
	for _, medium := range m {
		all |= medium.Profiles()
	}
	return all
}

// of returns what a profile means; nil is the connection.
func (m Media) of(profile uint32) Medium {
	for _, medium := range m {
		if profile&medium.Profiles() != 0 {
			return medium
		}
	}
	return nil
}

// Dial makes a link with connect, which is given the profiles to offer: of those
// configured, the ones this system has. If shared memory is agreed on and cannot be
// opened, Dial connects again without that kind: a server that has agreed waits for
// messages there and nowhere else.
//
// It fails like connect, and with session.ErrNoProfile if nothing is left to offer.
func Dial(name string, profiles uint32, media Media, connect func(profiles uint32) (*Session, error)) (*Link, error) {
	var without error
	for offer := usable(profiles, media); offer != 0; {
		s, err := connect(offer)
		if err != nil {
			return nil, err
		}
		medium := media.of(s.SelectedProfile)
		if medium == nil {
			return newLink(s, nil, without), nil
		}
		shared, err := medium.Open(s.conn, &s.agreed)
		if err == nil {
			return newLink(s, shared, without), nil
		}
		s.Close()
		offer &^= medium.Profiles()
		if without == nil {
			without = err
		}
	}
	if without == nil {
		without = errNothingUsable
	}
	return nil, Fail(session.ErrNoProfile, without, "connect to %s", name)
}

// errNothingUsable is why a configuration of nothing but foreign profiles fails.
var errNothingUsable = errors.New("no profile that this system has is configured")

// usable leaves of configured profiles those this system has. 0 is the default.
func usable(profiles uint32, media Media) uint32 {
	if profiles == 0 {
		profiles = protocol.ProfileBaseline
	}
	return profiles & (protocol.ProfileBaseline | media.Profiles())
}

// Accept agrees on a link with a client of the endpoint at name. If that is to have
// shared memory it is made before the client is told; if that fails they agree on
// something else. Profiles this system does not have are not granted.
//
// It fails like Answer, and with session.ErrNoProfile. The connection is closed then.
func Accept(ctx context.Context, c Conn, name string, terms session.Terms, media Media, nextID func() uint64) (*Link, error) {
	terms.SupportedProfiles = usable(terms.SupportedProfiles, media)
	if terms.SupportedProfiles == 0 {
		c.Close()
		return nil, Fail(session.ErrNoProfile, errNothingUsable, "accept on %s", name)
	}
	o := offer{conn: c, terms: terms, media: media, nextID: nextID}
	agreement, err := Answer(ctx, c, name, o.decide, o.giveUp)
	if err != nil {
		if o.shared != nil {
			o.shared.Close()
		}
		return nil, err
	}
	return newLink(NewSession(RoleServer, name, c, &agreement), o.shared, o.without), nil
}

// An offer is what a server can do for one client.
type offer struct {
	conn    Conn
	terms   session.Terms
	media   Media
	nextID  func() uint64
	id      uint64
	medium  Medium       // what was chosen last
	shared  SharedMemory // what was made of it
	without error        // why the first that was chosen is not to be had
}

// decide answers a HELLO. The shared memory that is agreed on exists when it returns.
func (o *offer) decide(hello []byte) ([]byte, session.Agreement, error) {
	if o.id == 0 {
		o.id = o.nextID()
	}
	for {
		reply, agreed, err := o.terms.Answer(hello, o.id)
		if o.medium = o.media.of(agreed.SelectedProfile); err != nil || o.medium == nil {
			return reply, agreed, err
		}
		o.shared, err = makeShared(o.medium, o.conn, &agreed, o.nextID)
		if o.id = agreed.SessionID; err == nil {
			return o.terms.Answer(hello, o.id)
		}
		if !o.giveUp(err) {
			return nil, agreed, o.without
		}
	}
}

// giveUp does without what was chosen last. False if nothing else is left.
func (o *offer) giveUp(why error) bool {
	if o.medium == nil {
		return false
	}
	if o.shared != nil {
		o.shared.Close()
		o.shared = nil
	}
	if o.without == nil {
		o.without = why
	}
	o.terms.SupportedProfiles &^= o.medium.Profiles()
	return o.terms.SupportedProfiles != 0
}

// makeShared makes the shared memory of a session, with a later id if that of the session
// is in use: a server before us may have left it.
func makeShared(medium Medium, c Conn, agreed *session.Agreement, nextID func() uint64) (SharedMemory, error) {
	const tries = 64
	for try := 1; ; try++ {
		shared, err := medium.Make(c, agreed)
		if err == nil || !medium.Taken(err) || try == tries {
			return shared, err
		}
		agreed.SessionID = nextID()
	}
}
