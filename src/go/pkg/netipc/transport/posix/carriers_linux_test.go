package posix

import (
	"os"
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
	var last *os.File
	for last == nil || last.Fd() <= 2*room {
		file, err := os.Open(os.DevNull)
		noError(t, err)
		defer file.Close()
		last = file
	}
	var limit syscall.Rlimit
	noError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	low := limit
	low.Cur = uint64(last.Fd()) + room
	noError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low))
	defer func() { noError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)) }()
	make()
}
