package posix

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

var carriers = map[string]carrierCase{
	"socket":            {protocol.ProfileBaseline, anywhere},
	"shared memory":     {shares, anywhere},
	"rings":             {turns, anywhere},
	"rings with knocks": {turns, whereDescriptorsAreScarce},
}

// turns offers rings and the socket.
const turns = protocol.ProfileBaseline | protocol.ProfileRing

// whereDescriptorsAreScarce makes something while more than half of the descriptors there
// may be are in use, so that a server gives no bells.
func whereDescriptorsAreScarce(t testing.TB, make func()) {
	t.Helper()
	const room = 30
	var last int
	// Until all others are in use.
	for highest := highestDescriptor(t); last <= max(2*room, highest); {
		file, err := os.Open(os.DevNull)
		noError(t, err)
		defer file.Close()
		last = int(file.Fd())
	}
	var limit syscall.Rlimit
	noError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = uint64(last) + room
	noError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
	defer func() { noError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) }()
	make()
}

func highestDescriptor(t testing.TB) int {
	t.Helper()
	highest := 0
	for _, name := range strings.Fields(namesIn(t, "/proc/self/fd")) {
		fd, err := strconv.Atoi(name)
		noError(t, err)
		highest = max(highest, fd)
	}
	return highest
}
