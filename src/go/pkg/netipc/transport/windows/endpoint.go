package windows

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
)

// ErrPipeName: the name of the pipe would be too long for the system.
var ErrPipeName = errors.New("name of the pipe is too long")

// longestName is how many characters a name may have (PROTOCOL.md, section 25.1).
const longestName = 255

// FNV1a64 returns the hash that names of pipes and of shared memory are made with:
// 64-bit FNV-1a.
func FNV1a64(data []byte) uint64 {
	h := uint64(0xCBF29CE484222325)
	for _, b := range data {
		h = (h ^ uint64(b)) * 0x100000001B3
	}
	return h
}

// BuildPipeName returns the name of a service's pipe, in UTF-16 and with a NUL at the
// end. It fails with ErrBadParam for a service name that is not allowed, and also with
// ErrPipeName for one that is too long.
func BuildPipeName(runDir, serviceName string) ([]uint16, error) {
	e, err := newEndpoint(runDir, serviceName)
	if err != nil {
		return nil, err
	}
	return wide(e.pipeName()), nil
}

// An endpoint is a service of a directory, and names what belongs to it. The directory
// only tells services apart: nothing is looked for in it.
type endpoint struct{ dir, service string }

// newEndpoint fails with ErrBadParam for names that cannot be used, and also with
// ErrPipeName if they are too long.
func newEndpoint(runDir, service string) (endpoint, error) {
	e := endpoint{runDir, service}
	if err := carrier.CheckServiceName(service); err != nil {
		return e, err
	}
	if n := len(e.pipeName()); n > longestName {
		return e, fmt.Errorf("%w: %w: %d characters, %d are possible", session.ErrBadParam, ErrPipeName, n, longestName)
	}
	return e, nil
}

func (e endpoint) pipeName() string {
	return fmt.Sprintf(`\\.\pipe\netipc-%016x-%s`, FNV1a64([]byte(e.dir)), e.service)
}

// objectNames are the names of what a session's shared memory consists of.
type objectNames struct{ mapping, requestEvent, responseEvent string }

// objects fails with ErrBadParam for names that are too long.
func (e endpoint) objects(token, sessionID uint64, profile uint32) (objectNames, error) {
	hash := FNV1a64([]byte(e.dir + "\n" + e.service + "\n" + strconv.FormatUint(token, 10)))
	prefix := fmt.Sprintf(`Local\netipc-%016x-%s-p%d-s%016x-`, hash, e.service, profile, sessionID)
	names := objectNames{prefix + "mapping", prefix + "req_event", prefix + "resp_event"}
	if n := len(names.responseEvent); n > longestName {
		return names, fmt.Errorf("%w: name of the shared memory has %d characters, %d are possible", session.ErrBadParam, n, longestName)
	}
	return names, nil
}

// wide returns a name as the system wants it. Names are ASCII.
func wide(name string) []uint16 { return append(utf16.Encode([]rune(name)), 0) }
