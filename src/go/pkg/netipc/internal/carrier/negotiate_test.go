package carrier

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

var (
	errNoMemory   = errors.New("no memory")
	errNoRoom     = errors.New("no room for descriptors")
	terms         = session.Terms{SupportedProfiles: allProfiles, MaxRequestPayloadBytes: 100, MaxResponsePayloadBytes: 100, PacketSize: 4096}.WithDefaults()
	allProfiles   = protocol.ProfilesSharedMemory
	sharedMemory  = protocol.ProfileSHMHybrid
	onlyBaseline  = protocol.ProfileBaseline
	withoutMemory = map[uint32]error{protocol.ProfileRing: errNoMemory, protocol.ProfileSHMHybrid: errNoMemory}
)

// A medium is shared memory that can be had, or not.
type medium struct {
	profile uint32
	failure error
	made    *int
}

func (m medium) Profiles() uint32 { return m.profile }
func (medium) Taken(error) bool   { return false }

func (m medium) Make(Conn, *session.Agreement) (SharedMemory, error) {
	if m.failure != nil {
		return nil, m.failure
	}
	*m.made++
	return counted{made: m.made}, nil
}

func (m medium) Open(c Conn, a *session.Agreement) (SharedMemory, error) { return m.Make(c, a) }

// A counted is shared memory that is missed.
type counted struct {
	message
	made *int
}

func (c counted) Close() { *c.made-- }

// media are rings and regions, which fail as given.
func media(failures map[uint32]error) (Media, *int) {
	made := new(int)
	return Media{
		medium{sharedMemory, failures[sharedMemory], made},
		medium{protocol.ProfileRing, failures[protocol.ProfileRing], made},
	}, made
}

// A clientConn brings a HELLO and takes the answer, but for the first ones.
type clientConn struct {
	idleConn
	hello  []byte
	unsent int
	closed *bool
}

func (c *clientConn) Receive(head, _ []byte, _ time.Time) (int, error) {
	return copy(head, c.hello), nil
}

func (c *clientConn) Send(_, _ []byte, _ time.Time) error {
	if c.unsent--; c.unsent >= 0 {
		return errNoRoom
	}
	return nil
}

func (c *clientConn) Close() { *c.closed = true }

func TestAServerDoesWithoutOneKindOfSharedMemoryAfterTheOther(t *testing.T) {
	for name, c := range map[string]struct {
		failures map[uint32]error
		unsent   int
		selected uint32
		without  error
	}{
		"all is well":                {nil, 0, protocol.ProfileRing, nil},
		"no rings":                   {map[uint32]error{protocol.ProfileRing: errNoMemory}, 0, sharedMemory, errNoMemory},
		"no regions":                 {map[uint32]error{sharedMemory: errNoMemory}, 0, protocol.ProfileRing, nil},
		"neither":                    {withoutMemory, 0, onlyBaseline, errNoMemory},
		"rings cannot be sent":       {nil, 1, sharedMemory, errNoRoom},
		"nor can what is instead":    {nil, 2, onlyBaseline, errNoRoom},
		"no regions, and not sent":   {map[uint32]error{sharedMemory: errNoMemory}, 1, onlyBaseline, errNoRoom},
		"nothing can be sent at all": {nil, 3, 0, errNoRoom},
	} {
		t.Run(name, func(t *testing.T) {
			kinds, made := media(c.failures)
			hello := terms.Hello()
			closed := false
			conn := &clientConn{idleConn{make(chan struct{})}, hello[:], c.unsent, &closed}
			link, err := Accept(context.Background(), conn, "test", terms, kinds, func() uint64 { return 1 })
			if c.selected == 0 {
				if !errors.Is(err, ErrSend) || !errors.Is(err, c.without) || *made != 0 || !closed {
					t.Errorf("%v, %d left, closed: %v", err, *made, closed)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if link.Agreement().SelectedProfile != c.selected || link.UsesSharedMemory() != (c.selected != onlyBaseline) ||
				!errors.Is(link.WithoutSharedMemory(), c.without) {
				t.Errorf("profile %#x, for %v", link.Agreement().SelectedProfile, link.WithoutSharedMemory())
			}
			link.Close()
			if *made != 0 {
				t.Errorf("%d are left", *made)
			}
		})
	}
}

func TestAClientDoesWithoutOneKindOfSharedMemoryAfterTheOther(t *testing.T) {
	for name, c := range map[string]struct {
		failures map[uint32]error
		offers   []uint32
		without  error
	}{
		"all is well": {nil, []uint32{allProfiles}, nil},
		"no rings":    {map[uint32]error{protocol.ProfileRing: errNoMemory}, []uint32{allProfiles, onlyBaseline | sharedMemory}, errNoMemory},
		"neither":     {withoutMemory, []uint32{allProfiles, onlyBaseline | sharedMemory, onlyBaseline}, errNoMemory},
	} {
		t.Run(name, func(t *testing.T) {
			kinds, made := media(c.failures)
			var offers []uint32
			link, err := Dial("test", allProfiles|protocol.ProfileSHMWaitAddr, kinds, func(profiles uint32) (*Session, error) {
				offers = append(offers, profiles)
				offer := terms
				offer.SupportedProfiles = profiles
				hello := offer.Hello()
				_, agreed, err := terms.Answer(hello[:], 1)
				return NewSession(RoleClient, "test", idleConn{make(chan struct{})}, &agreed), err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer link.Close()
			if len(offers) != len(c.offers) || offers[len(offers)-1] != c.offers[len(c.offers)-1] || !errors.Is(link.WithoutSharedMemory(), c.without) {
				t.Errorf("offered %#x, for %v", offers, link.WithoutSharedMemory())
			}
			if (*made == 1) != link.UsesSharedMemory() {
				t.Errorf("%d made", *made)
			}
		})
	}
}
