package carrier

import (
	"errors"
	"fmt"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// Transports export these under the same names, so that [errors.Is] works across
// packages.
var (
	ErrSend = errors.New("cannot send")
	ErrRecv = errors.New("cannot receive")
)

// A Failure is what was tried, for people, and what kind of failure it was, for
// programs: "connect to /run/x/y.sock: connection refused".
type Failure struct {
	Kind  error
	Tried string
	Cause error
}

func (f *Failure) Error() string { return f.Tried + ": " + f.Cause.Error() }

func (f *Failure) Unwrap() []error { return []error{f.Kind, f.Cause} }

// Fail makes a failure of a kind out of its cause. A wait that ended, and a peer that
// broke the protocol, are of their own kind, whatever was being tried.
func Fail(kind error, cause error, format string, args ...any) error {
	for _, own := range [...]error{protocol.ErrTimeout, protocol.ErrAborted, session.ErrProtocol} {
		if errors.Is(cause, own) {
			kind = cause
		}
	}
	return &Failure{Kind: kind, Tried: fmt.Sprintf(format, args...), Cause: cause}
}
