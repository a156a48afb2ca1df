package posix

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// media are the kinds of shared memory of an endpoint's sessions, in which messages are
// waited for as spin says.
func (e endpoint) media(spin time.Duration) carrier.Media {
	if !hasRings {
		return carrier.Media{regions{e, spin}}
	}
	return carrier.Media{regions{e, spin}, rings{spin}}
}

// regions are the shared memory of Netdata plugin-ipc: see [carrier.Medium].
type regions struct {
	endpoint endpoint
	spin     time.Duration
}

// A region is shared memory as a link sees it.
type region struct{ *ShmContext }

func (r regions) region(c *ShmContext) region {
	c.spinner, c.SpinTries = spin.New(r.spin), 0
	return region{c}
}

func (regions) Profiles() uint32 { return protocol.ProfileSHMHybrid | protocol.ProfileSHMFutex }

func (r regions) Make(_ carrier.Conn, a *session.Agreement) (carrier.SharedMemory, error) {
	request, response := a.MaxRequestPayloadBytes, a.MaxResponsePayloadBytes
	const largest = math.MaxUint32 - protocol.HeaderSize
	if request > largest || response > largest {
		return nil, fmt.Errorf("%w: payloads of %d and %d bytes", ErrShmBadParam, request, response)
	}
	c, err := ShmServerCreate(r.endpoint.dir, r.endpoint.service, a.SessionID, protocol.HeaderSize+request, protocol.HeaderSize+response)
	if err != nil {
		return nil, err
	}
	return r.region(c), nil
}

func (regions) Taken(err error) bool { return errors.Is(err, ErrShmAddrInUse) }

func (r regions) Open(_ carrier.Conn, a *session.Agreement) (carrier.SharedMemory, error) {
	c, err := ShmClientAttach(r.endpoint.dir, r.endpoint.service, a.SessionID)
	if err != nil {
		return nil, err
	}
	return r.region(c), nil
}

func (region) Traits() carrier.Traits { return carrier.Traits{OneMessage: true} }

func (r region) Send(head, body []byte, _ time.Time) error {
	return blame(r.ShmContext.send(head, body))
}

func (r region) Next(deadline time.Time) (uint32, error) {
	length, err := r.ShmContext.next(deadline)
	return length, blame(err)
}

func (r region) CopyOut(buf []byte) error { return blame(r.ShmContext.copyOut(buf)) }

func (r region) Stop() { r.ShmContext.end(ErrAborted) }

func (r region) End(cause error) { r.ShmContext.end(cause) }

func (r region) Close() { r.ShmDestroy() }

// blame says of an error that it is the peer's doing, if it is: who keeps to the
// protocol makes areas for what was agreed, writes true lengths, and leaves the file's
// size alone.
func blame(err error) error {
	if err == nil {
		return nil
	}
	for _, kind := range []error{ErrShmBadHeader, ErrShmMsgTooLarge, ErrShmBadSize} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
	}
	return err
}
