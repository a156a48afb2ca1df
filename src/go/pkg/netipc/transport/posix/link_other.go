//go:build unix && !linux

package posix

import (
	"errors"
	"fmt"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
)

// There is no shared memory on these systems, so it is never offered and never agreed
// on. See [carrier.Regions].
const sharedProfiles = 0

func (endpoint) sweepRegions() {}

func (regions) Profiles() uint32 { return sharedProfiles }

func (regions) Make(a *session.Agreement) (carrier.SharedMemory, error) {
	return nil, fmt.Errorf("shared memory of session %d: %w", a.SessionID, errors.ErrUnsupported)
}

func (r regions) Open(a *session.Agreement) (carrier.SharedMemory, error) { return r.Make(a) }

func (regions) Taken(error) bool { return false }
