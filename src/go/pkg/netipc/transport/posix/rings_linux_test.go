package posix

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// withLimit lets f run under a soft limit of this process.
func withLimit(t *testing.T, resource int, most uint64, f func()) {
	t.Helper()
	var before syscall.Rlimit
	noError(t, syscall.Getrlimit(resource, &before))
	noError(t, syscall.Setrlimit(resource, &syscall.Rlimit{Cur: most, Max: before.Max}))
	defer func() { noError(t, syscall.Setrlimit(resource, &before)) }()
	f()
}

func TestDoesWithoutRingsIfTheirMemoryCannotBeMade(t *testing.T) {
	for name, c := range map[string]struct {
		resource int
		most     uint64
		why      error
		instead  uint32
	}{
		"no descriptors": {syscall.RLIMIT_NOFILE, 0, syscall.EMFILE, protocol.ProfileBaseline},
		"no large files": {syscall.RLIMIT_FSIZE, 4096, syscall.EFBIG, protocol.ProfileSHMHybrid},
		"no files":       {syscall.RLIMIT_FSIZE, 0, syscall.EFBIG, protocol.ProfileBaseline},
	} {
		t.Run(name, func(t *testing.T) {
			l := mustListen(t, shortDir(t), ServerConfig{SupportedProfiles: protocol.ProfilesSharedMemory})
			dialled := make(chan *Link, 1)
			go func() {
				client, err := Dial(context.Background(), l.endpoint.dir, "svc", &ClientConfig{SupportedProfiles: protocol.ProfilesSharedMemory})
				if err != nil {
					t.Error(err)
				}
				dialled <- client
			}()
			pending, err := l.AcceptPending()
			noError(t, err)
			var server *Link
			withLimit(t, c.resource, c.most, func() { server, err = pending.Accept(context.Background(), l.currentConfig()) })
			noError(t, err)
			defer server.Close()
			client := await(t, "Dial returns", dialled)
			defer client.Close()
			if client.Session().SelectedProfile != c.instead {
				t.Errorf("agreed on %#x", client.Session().SelectedProfile)
			}
			wantError(t, server.WithoutSharedMemory(), c.why)
			noError(t, client.Send(request(1), nil, soon()))
			_, _, err = server.Receive(soon())
			noError(t, err)
		})
	}
}

func TestALimitOnFilesCostsAClientNothing(t *testing.T) {
	fd, mem, err := createRingMemory(someLengths)
	noError(t, err)
	defer syscall.Close(fd)
	defer syscall.Munmap(mem)
	withLimit(t, syscall.RLIMIT_FSIZE, 4096, func() {
		other, _, err := attachRingMemory(fd)
		noError(t, err)
		syscall.Munmap(other)
	})
}

func TestRingsAreUsedOnlyWhereBothSidesOfferThem(t *testing.T) {
	for name, c := range map[string]struct{ client, server, want uint32 }{
		"both":             {protocol.ProfilesSharedMemory, protocol.ProfilesSharedMemory, protocol.ProfileRing},
		"client published": {shares, protocol.ProfilesSharedMemory, protocol.ProfileSHMHybrid},
		"server published": {protocol.ProfilesSharedMemory, shares, protocol.ProfileSHMHybrid},
		"nothing else":     {protocol.ProfileRing, protocol.ProfileRing, protocol.ProfileRing},
	} {
		t.Run(name, func(t *testing.T) {
			client, server := mustLink(t, mustListen(t, shortDir(t), ServerConfig{SupportedProfiles: c.server}), &ClientConfig{SupportedProfiles: c.client})
			if client.Session().SelectedProfile != c.want || client.WithoutSharedMemory() != nil || server.WithoutSharedMemory() != nil {
				t.Errorf("agreed on %#x", client.Session().SelectedProfile)
			}
		})
	}
	t.Run("bare sessions have no place for descriptors", func(t *testing.T) {
		l := mustListen(t, shortDir(t), ServerConfig{SupportedProfiles: protocol.ProfilesSharedMemory})
		accepted := make(chan *Session, 1)
		go func() {
			s, err := l.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- s
		}()
		client, err := Connect(l.endpoint.dir, "svc", &ClientConfig{SupportedProfiles: protocol.ProfilesSharedMemory})
		noError(t, err)
		defer client.Close()
		defer await(t, "Accept returns", accepted).Close()
		if client.SelectedProfile != protocol.ProfileSHMHybrid {
			t.Errorf("agreed on %#x", client.SelectedProfile)
		}
	})
}

// grantRings answers clients as a server does that hands over what hand says.
func grantRings(l *Listener, hand func(profile uint32) []int) (uint32, error) {
	pending, err := l.AcceptPending()
	if err != nil {
		return 0, err
	}
	c := pending.conn
	hello, err := carrier.ReceiveHandshake(c, soon())
	if err != nil {
		return 0, err
	}
	config := l.currentConfig()
	reply, agreed, err := config.terms(c).Answer(hello, 1)
	if err != nil {
		return 0, err
	}
	if descriptors := hand(agreed.SelectedProfile); len(descriptors) > 0 {
		c.giveAlong(descriptors, func() {})
	}
	if err := c.Send(reply, nil, soon()); err != nil {
		return 0, err
	}
	var one [1]byte
	_, err = c.Receive(one[:], nil, soon()) // until the client hangs up
	c.Close()
	if errors.Is(err, carrier.ErrPeerClosed) {
		err = nil
	}
	return agreed.SelectedProfile, err
}

func TestConnectsAgainIfRingsCannotBeUsed(t *testing.T) {
	good, mem, err := createRingMemory(someLengths)
	noError(t, err)
	defer syscall.Close(good)
	defer syscall.Munmap(mem)
	bad := mustMemfd(t, int64(someLengths.Size()), 0, nil)
	bell, err := newEventfd()
	noError(t, err)
	defer syscall.Close(bell)
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	noError(t, err)
	defer file.Close()
	for name, handed := range map[string][]int{
		"nothing came along":     nil,
		"one bell came along":    {good, bell},
		"too much came along":    {good, bell, bell, bell, bell, bell},
		"the size is not sealed": {bad, bell, bell},
		"no bells":               {good, int(file.Fd()), int(file.Fd())},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(strings.Fields(namesIn(t, "/proc/self/fd")))
			l, err := Listen(shortDir(t), "svc", ServerConfig{SupportedProfiles: turns})
			noError(t, err)
			profiles := make(chan uint32, 2)
			go func() {
				for range 2 {
					profile, err := grantRings(l, func(profile uint32) []int {
						if profile == protocol.ProfileRing {
							return handed
						}
						return []int{good} // not asked for
					})
					if err != nil {
						t.Error(err)
					}
					profiles <- profile
				}
			}()
			client, err := Dial(context.Background(), l.endpoint.dir, "svc", &ClientConfig{SupportedProfiles: turns, PreferredProfiles: turns})
			noError(t, err)
			if client.UsesSharedMemory() {
				t.Error("uses what it was given")
			}
			wantError(t, client.WithoutSharedMemory(), map[bool]error{true: ErrProtocol, false: os.ErrNoDeadline}[name != "no bells"])
			client.Close()
			if first, second := await(t, "the first", profiles), await(t, "the second", profiles); first != protocol.ProfileRing || second != protocol.ProfileBaseline {
				t.Errorf("profiles %#x and then %#x", first, second)
			}
			l.Close()
			if after := len(strings.Fields(namesIn(t, "/proc/self/fd"))); after != before {
				t.Errorf("%d descriptors, then %d", before, after)
			}
		})
	}
}
