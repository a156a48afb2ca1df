package windows

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A Link moves whole messages between a client and a server, over the pipe or, if
// both have it, through shared memory: with Send and Receive, until Interrupt,
// StopReceiving or Close. [Dial] and [Pending.Accept] make one.
//
// One goroutine at a time may use Send and Receive. Interrupt, StopReceiving and Close
// may be called by any goroutine at any time. After an error other than ErrBadParam,
// ErrDuplicateMsgID, and ErrLimitExceeded from Send, the link is to be closed.
type Link struct {
	*carrier.Link
	conn *conn
}

// Session tells what was agreed. Messages are not to be sent or received on it.
func (l *Link) Session() *Session { return &Session{l.Link.Session(), l.conn} }

// Dial connects to a service of runDir and returns a link to it; a nil config is one of
// defaults. If they agree on shared memory and it cannot be opened, Dial connects a
// second time without it: a server that has agreed waits for messages there and nowhere
// else. Profiles this system does not have are not offered.
//
// It fails like [ConnectContext], and with ErrNoProfile if nothing is left to offer.
func Dial(ctx context.Context, runDir, serviceName string, config *ClientConfig) (*Link, error) {
	e, err := newEndpoint(runDir, serviceName)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	var offer ClientConfig
	if config != nil {
		offer = *config
	}
	var last *conn
	link, err := carrier.Dial(e.pipeName(), offer.SupportedProfiles, carrier.Media{regions{e, offer.AuthToken, offer.Spin}}, func(profiles uint32) (*carrier.Session, error) {
		offer.SupportedProfiles = profiles
		s, err := ConnectContext(ctx, runDir, serviceName, &offer)
		if err != nil {
			return nil, err
		}
		last = s.conn
		return s.Session, nil
	})
	if err != nil {
		return nil, err
	}
	return &Link{link, last}, nil
}

// Accept is [Pending.Handshake] for a link, with the listener's next session id. If
// client and server agree on shared memory it is made before the client is told; if
// that fails they agree on something else.
//
// It fails like Handshake. Profiles this system does not have are not granted.
func (p *Pending) Accept(ctx context.Context, config ServerConfig) (*Link, error) {
	terms := config.terms(p.conn)
	terms.ResponseCeiling = p.listener.responseCeiling()
	link, err := carrier.Accept(ctx, p.conn, p.listener.name, terms, carrier.Media{regions{p.listener.endpoint, config.AuthToken, config.Spin}}, p.listener.nextID)
	if err != nil {
		return nil, err
	}
	return &Link{link, p.conn}, nil
}

// regions are the shared memory of an endpoint's sessions, which wait for messages as
// spin says: see [carrier.Medium].
type regions struct {
	endpoint endpoint
	token    uint64
	spin     time.Duration
}

// region lets a link wait in c. Without an event to sleep on it looks as often as the
// region says: there is nothing better.
func (r regions) region(c *WinShmContext) region {
	if c.in.event != 0 {
		c.spinner, c.SpinTries = spin.New(r.spin), 0
	}
	return region{c}
}

func (regions) Profiles() uint32 { return WinShmProfileHybrid | WinShmProfileBusywait }

func (r regions) Make(_ carrier.Conn, a *session.Agreement) (carrier.SharedMemory, error) {
	const largest = math.MaxUint32 - protocol.HeaderSize
	request, response := a.MaxRequestPayloadBytes, a.MaxResponsePayloadBytes
	if request > largest || response > largest {
		return nil, fmt.Errorf("%w: payloads of %d and %d bytes", ErrWinShmBadParam, request, response)
	}
	c, err := WinShmServerCreate(r.endpoint.dir, r.endpoint.service, r.token, a.SessionID, a.SelectedProfile,
		protocol.HeaderSize+request, protocol.HeaderSize+response)
	if err != nil {
		return nil, err
	}
	return r.region(c), nil
}

func (regions) Taken(err error) bool { return errors.Is(err, ErrWinShmAddrInUse) }

func (r regions) Open(_ carrier.Conn, a *session.Agreement) (carrier.SharedMemory, error) {
	c, err := WinShmClientAttach(r.endpoint.dir, r.endpoint.service, r.token, a.SessionID, a.SelectedProfile)
	if err != nil {
		return nil, err
	}
	return r.region(c), nil
}

// A region is shared memory as a link sees it.
type region struct{ *WinShmContext }

func (region) Traits() carrier.Traits { return carrier.Traits{OneMessage: true} }

func (r region) Send(head, body []byte, _ time.Time) error { return blame(r.send(head, body)) }

func (r region) Next(deadline time.Time) (uint32, error) {
	length, err := r.next(deadline)
	return length, blame(err)
}

func (r region) CopyOut(buf []byte) error { return blame(r.copyOut(buf)) }

func (r region) Stop() { r.end(ErrAborted) }

func (r region) End(cause error) { r.end(cause) }

func (r region) Close() { r.WinShmDestroy() }

// blame says of an error that it is the peer's doing, if it is: who keeps to the
// protocol makes areas for what was agreed, and writes true lengths.
func blame(err error) error {
	if err == nil {
		return nil
	}
	for _, kind := range [...]error{ErrWinShmBadHeader, ErrWinShmMsgTooLarge} {
		if errors.Is(err, kind) {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
	}
	return err
}
