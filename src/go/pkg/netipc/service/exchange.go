package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A wait is how long a call may wait, for everything it does.
type wait struct {
	begun    time.Time
	deadline time.Time
	ctx      context.Context
}

// startCall begins a call under ctx, of at most the given length. The function it
// returns ends it.
func (c *Connection) startCall(ctx context.Context, most time.Duration) (wait, func() bool) {
	call := c.stop.startCall()
	now := time.Now()
	w := wait{begun: now, deadline: now.Add(most), ctx: ctx}
	if own, ok := ctx.Deadline(); ok && own.Before(w.deadline) {
		w.deadline = own
	}
	if ctx.Done() == nil {
		return w, nothingToStop
	}
	if ctx.Err() != nil {
		// AfterFunc would tell as well, but from a goroutine that may come too late.
		c.stop.cancel(call)
		return w, nothingToStop
	}
	return w, context.AfterFunc(ctx, func() { c.stop.cancel(call) })
}

func nothingToStop() bool { return true }

// over returns ErrTimeout or ErrAborted if the call has no more time or was called off.
func (c *Connection) over(w wait) error { return c.overAt(w, time.Now()) }

func (c *Connection) overAt(w wait, now time.Time) error {
	if err := c.stop.stopped(); err != nil {
		return err
	}
	if !now.Before(w.deadline) {
		return protocol.ErrTimeout
	}
	return nil
}

// call runs one call: one deadline, one error to count and to remember. It fails with
// ErrNotReady, without doing anything, if there is no session.
func (c *Connection) call(ctx context.Context, ms uint32, run func(wait) error) error {
	if !c.Ready() {
		return c.failed(ctx, &callError{"call " + c.name, protocol.ErrNotReady, c.whyNotReady()})
	}
	w, stop := c.startCall(ctx, c.timeout(ms))
	defer stop()
	err := c.overAt(w, w.begun) // asking the clock once more would take as long as all of this
	if err != nil {
		err = c.explain(err)
	} else {
		err = run(w)
	}
	if err != nil {
		return c.failed(ctx, err)
	}
	c.remember(nil)
	return nil
}

// whyNotReady tells it to people only: for programs the kind of failure is that nothing
// was tried.
func (c *Connection) whyNotReady() error {
	if c.missing != nil {
		return fmt.Errorf("client is not ready: %v", c.missing)
	}
	return fmt.Errorf("client is not ready: %v", c.State())
}

// failed counts and remembers the error of a call. If its context ended it, that is
// told as well.
func (c *Connection) failed(ctx context.Context, err error) error {
	if isOver(err) {
		err = c.blame(ctx, err)
	}
	c.failures.Add(1)
	c.remember(err)
	return err
}

// blame tells of a call that ended by itself if it was its context that ended it.
func (c *Connection) blame(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	deadline, limited := ctx.Deadline()
	switch {
	case cause == nil && limited && !time.Now().Before(deadline):
		cause = context.DeadlineExceeded // the context is about to notice
	case cause == nil:
		return err
	}
	kind := protocol.ErrAborted
	if errors.Is(cause, context.DeadlineExceeded) {
		kind = protocol.ErrTimeout
	}
	return &callError{"call " + c.name, kind, cause}
}

// exchange sends the request in c.request and has its response accepted, in as many
// sessions as that takes. On failure the state says what is left; after ErrOverflow
// there may still be a session.
func (c *Connection) exchange(w wait) error {
	var tried retry
	for {
		failure := c.attempt(w)
		if failure == nil {
			c.calls.Add(1)
			return nil
		}
		switch tried.after(failure) {
		case again:
			if err := c.reconnect(w); err != nil {
				return c.firstOf(w, failure, err)
			}
		case grow:
			if grown, err := c.enlarge(w); err != nil || !grown {
				return c.firstOf(w, failure, err)
			}
		default:
			if !isRefusal(failure) {
				c.drop(StateBroken)
			}
			return failure
		}
	}
}

// firstOf returns what failed first; but the end of the call before anything else.
func (c *Connection) firstOf(w wait, failure, later error) error {
	if later != nil && c.over(w) != nil {
		return later
	}
	return failure
}

// attempt sends the request once and waits for its response.
func (c *Connection) attempt(w wait) error {
	if err := c.stop.begin(c.link); err != nil {
		return c.explain(err)
	}
	defer c.stop.end()
	c.header = protocol.Header{
		Kind:      protocol.KindRequest,
		Code:      c.method,
		ItemCount: 1,
		MessageID: uint64(c.calls.Load() + 1),
	}
	if c.items > 0 {
		c.header.Flags, c.header.ItemCount = protocol.FlagBatch, c.items
	}
	if err := c.link.Send(&c.header, c.request, w.deadline); err != nil {
		return c.explain(err)
	}
	var payload []byte
	var err error
	if c.got, payload, err = c.link.Receive(w.deadline); err != nil {
		return c.explain(err)
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := c.codec.accept(payload); err != nil {
		return &callError{"call " + c.name, err, fmt.Errorf("malformed response: %w", err)}
	}
	return nil
}

// check tells whether the message is the response to the request, and a good one
// (PROTOCOL.md, section 12).
func (c *Connection) check() error {
	switch h := &c.got; {
	case h.Kind != protocol.KindResponse:
		return &callError{"call " + c.name, protocol.ErrBadKind, fmt.Errorf("message of kind %d", h.Kind)}
	case h.Code != c.header.Code || h.MessageID != c.header.MessageID:
		return &callError{"call " + c.name, protocol.ErrBadLayout, errors.New("response to another request")}
	case h.TransportStatus != protocol.StatusOK:
		status := protocol.StatusError(h.TransportStatus)
		return &callError{"call " + c.name, status, status}
	}
	return nil
}

// reconnect makes a session in place of the one that broke.
func (c *Connection) reconnect(w wait) error {
	c.drop(StateBroken)
	err := c.connect(w)
	switch {
	case err == nil:
		c.reconnects.Add(1)
	case c.over(w) != nil:
		c.state.Store(int32(StateBroken))
	}
	return err
}

// enlarge makes a session with larger limits, after a message did not fit this one
// (PROTOCOL.md, section 13). False if neither what is proposed nor what was agreed has grown.
func (c *Connection) enlarge(w wait) (bool, error) {
	before, wish := c.agreed(), c.wish
	if need := uint64(len(c.request)); need > uint64(before.request) {
		c.wish.request = raise(wish.request, need, c.config.MaxRequestPayloadBytes)
	} else {
		c.wish.response = raise(wish.response, 2*uint64(before.response), c.config.MaxResponsePayloadBytes)
	}
	if err := c.reconnectOr(w, wish); err != nil {
		return false, err
	}
	after := c.agreed()
	return c.wish != wish || after.request > before.request || after.response > before.response, nil
}

// reconnectOr reconnects with what is wished for now; if the server does not take that,
// with what it took before, and fails all the same (section 13).
func (c *Connection) reconnectOr(w wait, before limits) error {
	err := c.reconnect(w)
	if err != nil && errors.Is(err, session.ErrLimitExceeded) && c.wish != before {
		c.wish = before
		if again := c.reconnect(w); again != nil && c.over(w) != nil {
			return again
		}
	}
	return err
}

// raise returns the limit to propose for a message of need bytes: growing on its own it
// stays below a ceiling, but it never falls.
func raise(limit uint32, need uint64, configured uint32) uint32 {
	wanted := session.NextPow2(uint32(min(need, 1<<32-1)))
	return max(limit, min(wanted, max(growthCeiling, configured)))
}

// agreed returns the limits of the present session.
func (c *Connection) agreed() limits {
	if c.link == nil {
		return limits{}
	}
	a := c.link.Agreement()
	return limits{a.MaxRequestPayloadBytes, a.MaxResponsePayloadBytes}
}

// room returns a request buffer of size bytes.
func (c *Connection) room(size int) []byte {
	if cap(c.request) < size {
		c.request = make([]byte, size)
	}
	c.request = c.request[:size]
	return c.request
}
