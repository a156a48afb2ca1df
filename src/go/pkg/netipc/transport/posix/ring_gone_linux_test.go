package posix

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
)

// socketPair makes a connection, of which the other end is a descriptor.
func socketPair(t *testing.T) (*conn, int) {
	t.Helper()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	noError(t, err)
	c, err := newConn(ends[0], "test")
	noError(t, err)
	t.Cleanup(c.Close)
	return c, ends[1]
}

// What was sent before is still to be taken, so neither is more than the end.
func TestWhoHasGoneNeedNotBeWokenAndIsHeardNoMore(t *testing.T) {
	c, peer := socketPair(t)
	b, err := newKnockBell(c)
	noError(t, err)
	noError(t, b.ring()) // which the peer does not hear: that resets the connection
	noError(t, syscall.Close(peer))
	wantError(t, b.hear(), carrier.ErrPeerClosed)
	noError(t, b.ring())
}

func TestDescriptorsCameAlongOrNoneOfThem(t *testing.T) {
	child := startChild(t, "receive with little room", t.TempDir())
	for room := range mostHanded + 1 {
		child.expect(fmt.Sprint(room / mostHanded * mostHanded))
	}
}

func init() {
	// Says how many of three descriptors it gets where there is room for 0, 1, 2 and all.
	children["receive with little room"] = func(dir string, _ []string) error {
		ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET, 0)
		if err != nil {
			return err
		}
		for room := range mostHanded + 1 {
			rights := syscall.UnixRights(ends[0], ends[0], ends[0])
			if err := syscall.Sendmsg(ends[0], []byte{1}, rights, nil, 0); err != nil {
				return err
			}
			var limit syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
				return err
			}
			next, err := syscall.Dup(ends[0]) // the lowest that is free
			if err != nil {
				return err
			}
			syscall.Close(next)
			few := syscall.Rlimit{Cur: uint64(next + room), Max: limit.Max}
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
				return err
			}
			_, handed, err := receiveRights(ends[1], make([]byte, 16))
			if err != nil {
				return err
			}
			fmt.Println(len(handed))
			closeAll(handed)
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
				return err
			}
		}
		return nil
	}
}
