package posix

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// sharedProfiles are the profiles of shared memory this system has.
const sharedProfiles = protocol.ProfileSHMHybrid | protocol.ProfileSHMFutex

// A region is shared memory as a link sees it.
type region struct{ *ShmContext }

// makeRegion makes the shared memory of a session for payloads of at most the given
// sizes.
func (e endpoint) makeRegion(sessionID uint64, request, response uint32) (sharedMemory, error) {
	const largest = math.MaxUint32 - protocol.HeaderSize
	if request > largest || response > largest {
		return nil, fmt.Errorf("%w: payloads of %d and %d bytes", ErrShmBadParam, request, response)
	}
	c, err := ShmServerCreate(e.dir, e.service, sessionID, protocol.HeaderSize+request, protocol.HeaderSize+response)
	if err != nil {
		return nil, err
	}
	return region{c}, nil
}

// regionIsTaken tells whether makeRegion may work with another session id.
func regionIsTaken(err error) bool { return errors.Is(err, ErrShmAddrInUse) }

// openRegion opens the shared memory that the server has made for a session.
func (e endpoint) openRegion(sessionID uint64) (sharedMemory, error) {
	c, err := ShmClientAttach(e.dir, e.service, sessionID)
	if err != nil {
		return nil, err
	}
	return region{c}, nil
}

func (r region) send(head, body []byte) error { return blame(r.ShmContext.send(head, body)) }

func (r region) next(deadline time.Time) (uint32, error) {
	length, err := r.ShmContext.next(deadline)
	return length, blame(err)
}

func (r region) copyOut(buf []byte) error { return blame(r.ShmContext.copyOut(buf)) }

func (r region) close() { r.ShmDestroy() }

// blame says of an error that it is the peer's doing, if it is: who keeps to the
// protocol makes areas for what was agreed, writes true lengths, and leaves the file's
// size alone.
func blame(err error) error {
	for _, kind := range []error{ErrShmBadHeader, ErrShmMsgTooLarge, ErrShmBadSize} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
	}
	return err
}
