package posix

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/ring"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// rings make the memory of sessions over rings, in which messages are waited for as spin
// says: see [carrier.Medium]. What a client needs of it travels with the HELLO_ACK.
type rings struct{ spin time.Duration }

func (rings) Profiles() uint32 { return protocol.ProfileRing }

// Taken is never so: nothing here has a name.
func (rings) Taken(error) bool { return false }

// Make makes the memory, and bells for a client of the same user. They go along with the
// next packet that is sent.
func (r rings) Make(on carrier.Conn, a *session.Agreement) (carrier.SharedMemory, error) {
	c := on.(*conn)
	lengths := ring.LengthsFor(a.MaxRequestPayloadBytes, a.MaxResponsePayloadBytes)
	fd, mem, err := createRingMemory(lengths)
	if err != nil {
		return nil, fmt.Errorf("make the memory of a session: %w", err)
	}
	b, bells, err := makeBell(c)
	if err != nil {
		syscall.Close(fd)
		_ = syscall.Munmap(mem) // fails only for what is not mapped
		return nil, fmt.Errorf("make a bell: %w", err)
	}
	e := newRingEnd(RoleServer, mem, lengths, b, r.spin)
	e.given = fd
	c.giveAlong(append([]int{fd}, bells...), e.closeGiven)
	return e, nil
}

// makeBell makes the server's bell, and returns what to give to the client of it: the
// server's eventfd, then the client's. There are none for strangers, nor where
// descriptors are scarce, since a session with bells takes three of them instead of one.
func makeBell(c *conn) (*bell, []int, error) {
	same, err := isSameUser(c)
	if err != nil {
		return nil, nil, err
	}
	knock := func() (*bell, []int, error) {
		b, err := newKnockBell(c)
		return b, nil, err
	}
	if !same {
		return knock()
	}
	own, err := newEventfd()
	if err != nil {
		return nil, nil, err
	}
	if isScarce(own) {
		syscall.Close(own)
		return knock()
	}
	peer, err := newEventfd()
	if err != nil {
		syscall.Close(own)
		return nil, nil, err
	}
	b, err := newEventBell(c, own, peer)
	return b, []int{own, peer}, err
}

// isScarce tells from the latest descriptor whether half of those there may be are in use.
func isScarce(latest int) bool {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return err == nil && uint64(latest) > uint64(limit.Cur)/2
}

// Open maps what came along with the HELLO_ACK.
func (r rings) Open(on carrier.Conn, _ *session.Agreement) (carrier.SharedMemory, error) {
	c := on.(*conn)
	handed := c.takeHanded()
	switch len(handed) {
	case 1, mostHanded:
	default: // RM0
		closeAll(handed)
		return nil, fmt.Errorf("join a session over rings: %w: %d descriptors came along", ErrProtocol, len(handed))
	}
	b, err := joinBell(c, handed[1:])
	if err != nil {
		syscall.Close(handed[0])
		return nil, fmt.Errorf("join a session over rings: %w", err)
	}
	mem, lengths, err := attachRingMemory(handed[0])
	syscall.Close(handed[0])
	if err != nil {
		b.close()
		return nil, fmt.Errorf("join a session over rings: %w", err)
	}
	return newRingEnd(RoleClient, mem, lengths, b, r.spin), nil
}

// joinBell makes the client's bell of what came along, of which it takes ownership.
func joinBell(c *conn, bells []int) (*bell, error) {
	if len(bells) == 0 {
		return newKnockBell(c)
	}
	same, err := isSameUser(c)
	if err == nil && !same { // RM7: what a stranger gives can be made to block
		err = fmt.Errorf("%w: bells of another user", ErrProtocol)
	}
	if err != nil {
		closeAll(bells)
		return nil, err
	}
	return newEventBell(c, bells[1], bells[0])
}

func isSameUser(c *conn) (bool, error) {
	who, err := c.credentials()
	return err == nil && int(who.UID) == os.Geteuid(), err
}
