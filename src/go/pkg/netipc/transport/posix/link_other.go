//go:build unix && !linux

package posix

import (
	"errors"
	"fmt"
)

// sharedProfiles: there is no shared memory on these systems, so it is never offered
// and never agreed on.
const sharedProfiles = 0

func (endpoint) sweepRegions() {}

func (endpoint) makeRegion(sessionID uint64, _, _ uint32) (sharedMemory, error) {
	return nil, fmt.Errorf("shared memory of session %d: %w", sessionID, errors.ErrUnsupported)
}

func (e endpoint) openRegion(sessionID uint64) (sharedMemory, error) {
	return e.makeRegion(sessionID, 0, 0)
}

func regionIsTaken(error) bool { return false }
