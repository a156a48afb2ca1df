package service

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/session"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/protocol"
)

// A State is what became of a client's connection.
type State int

const (
	StateDisconnected State = 0 // no session: none was tried, or the last try failed halfway
	StateConnecting   State = 1 // never seen by callers
	StateReady        State = 2 // there is a session
	StateNotFound     State = 3 // nobody listens at the endpoint
	StateAuthFailed   State = 4 // the server expects another token
	StateIncompatible State = 5 // no version, profile or limit in common
	StateBroken       State = 6 // the session broke
)

func (s State) String() string {
	names := [...]string{"disconnected", "connecting", "ready", "not found", "authentication failed", "incompatible", "broken"}
	if s < 0 || int(s) >= len(names) {
		return fmt.Sprintf("state %d", int(s))
	}
	return names[s]
}

// A Status is what a client did so far. The counters wrap.
type Status struct {
	State          State
	ConnectCount   uint32 // sessions made where there was none before
	ReconnectCount uint32 // sessions made in place of one that broke
	CallCount      uint32 // requests that were answered
	ErrorCount     uint32 // calls that failed
}

// A Connection is what clients of all kinds have in common: a session that is made when
// needed, and made again when it breaks. It belongs to one goroutine at a time, except
// where a method says otherwise.
type Connection struct {
	name   string // of the service, for errors
	method uint16
	dial   dialFunc
	codec  codec
	config Config
	wish   limits // to propose for the next session

	link    link
	missing error // why there is no link, if known
	stop    stopper

	// The request of the call under way. It outlives the sessions that carry it.
	request []byte
	items   uint32          // 0: a single request
	header  protocol.Header // of the request
	got     protocol.Header // of the response

	state                                 atomic.Int32
	connects, reconnects, calls, failures atomic.Uint32
	timeoutMs                             atomic.Uint32
	lastError                             atomic.Pointer[error]
}

// A codec is what a connection does not know about its service.
type codec interface {
	// accept reads the response to the request; what it fails with breaks the session.
	accept(payload []byte) error
}

func (c *Connection) init(name string, method uint16, config Config, dial dialFunc, codec codec) {
	c.name, c.method, c.config, c.dial, c.codec = name, method, config, dial, codec
	c.wish = limits{
		orDefault(config.MaxRequestPayloadBytes, requestDefault),
		orDefault(config.MaxResponsePayloadBytes, responseDefault),
	}
	c.timeoutMs.Store(config.CallTimeoutMs)
}

// Refresh connects if there is no session, and tells whether the state has changed. It
// is cheap when there is one: it does not ask whether the server still lives. It takes
// 5 seconds at most, does nothing while an abort is set, and tries again whatever the
// last try failed with. LastError says why it failed.
func (c *Connection) Refresh() bool { return c.RefreshContext(context.Background()) }

// RefreshContext is Refresh, given up when ctx is done.
func (c *Connection) RefreshContext(ctx context.Context) bool {
	before := c.State()
	if before != StateReady && !c.stop.isAborted() {
		c.remember(c.ensure(ctx))
	}
	return c.State() != before
}

// ensure makes a session unless there is one.
func (c *Connection) ensure(ctx context.Context) error {
	before := c.State()
	if before == StateReady {
		return nil
	}
	w, stop := c.startCall(ctx, min(c.timeout(0), connectPatience))
	defer stop()
	if err := c.connect(w); err != nil {
		return err
	}
	c.count(before)
	return nil
}

// count counts a session made when the state was before.
func (c *Connection) count(before State) {
	if before == StateBroken {
		c.reconnects.Add(1)
	} else {
		c.connects.Add(1)
	}
}

// Ready tells whether there is a session, without looking at it. Any goroutine may call it.
func (c *Connection) Ready() bool { return c.State() == StateReady }

// State returns what became of the connection. Any goroutine may call it.
func (c *Connection) State() State { return State(c.state.Load()) }

// Status returns what the client did so far. Any goroutine may call it.
func (c *Connection) Status() Status {
	return Status{c.State(), c.connects.Load(), c.reconnects.Load(), c.calls.Load(), c.failures.Load()}
}

// LastError returns why the last refresh or call failed, nil if it did not. Any
// goroutine may call it.
func (c *Connection) LastError() error {
	if err := c.lastError.Load(); err != nil {
		return *err
	}
	return nil
}

// SelectedProfile returns the carrier of the session, one of protocol.Profile…, or 0
// if there is none.
func (c *Connection) SelectedProfile() uint32 {
	if c.link == nil {
		return 0
	}
	return c.link.Agreement().SelectedProfile
}

// SetCallTimeout sets how long calls may take from now on, in milliseconds; 0 means 30
// seconds. Any goroutine may call it.
func (c *Connection) SetCallTimeout(ms uint32) { c.timeoutMs.Store(ms) }

// Abort calls off what the client does, from any goroutine: a call under way fails at
// once with ErrAborted, and so do later ones until ClearAbort or Close.
func (c *Connection) Abort() { c.stop.abort() }

// ClearAbort takes Abort back. Any goroutine may call it.
func (c *Connection) ClearAbort() { c.stop.clear() }

// Close hangs up, clears an abort and frees buffers. The client can be used again. Views
// it returned are no longer valid. Closing twice does no harm.
func (c *Connection) Close() {
	c.drop(StateDisconnected)
	c.request, c.missing = nil, nil
	c.stop.clear()
}

// timeout returns how long a call may take that was given ms.
func (c *Connection) timeout(ms uint32) time.Duration {
	ms = orDefault(ms, orDefault(c.timeoutMs.Load(), CallTimeoutDefaultMs))
	return time.Duration(ms) * time.Millisecond
}

// remember keeps the reason of a failure for LastError.
func (c *Connection) remember(err error) {
	if err == nil {
		c.lastError.Store(nil)
		return
	}
	kept := err // so that only a failure allocates
	c.lastError.Store(&kept)
}

// drop ends the session, if there is one.
func (c *Connection) drop(state State) {
	if c.link != nil {
		c.link.Close()
		c.link = nil
	}
	c.state.Store(int32(state))
}

// canceller lets a context be interrupted.
type canceller context.CancelFunc

func (c canceller) Interrupt() { c() }

// connect makes a session in place of the one there is. After a failure the state says
// what kind it was; an abort leaves it as it was.
func (c *Connection) connect(w wait) error {
	before := c.State()
	if before == StateReady {
		before = StateBroken
	}
	c.drop(before)
	deadline := time.Now().Add(connectPatience)
	if w.deadline.Before(deadline) {
		deadline = w.deadline
	}
	ctx, cancel := context.WithDeadline(w.ctx, deadline)
	defer cancel()
	link, err := c.dialUntil(ctx, cancel)
	if err != nil {
		if !errors.Is(err, protocol.ErrAborted) {
			c.state.Store(int32(stateAfter(err)))
		}
		c.missing = &callError{c.name, kindOf(err), err}
		return c.missing
	}
	c.link, c.missing = link, nil
	c.state.Store(int32(StateReady))
	return nil
}

// dialUntil dials until ctx is done; an abort calls cancel.
func (c *Connection) dialUntil(ctx context.Context, cancel context.CancelFunc) (link, error) {
	if err := c.stop.begin(canceller(cancel)); err != nil {
		return nil, err
	}
	defer c.stop.end()
	return c.dial(ctx, c.wish)
}

// stateAfter is what an attempt to connect that failed leaves.
func stateAfter(err error) State {
	for _, outcome := range [...]struct {
		err   error
		state State
	}{
		{protocol.ErrTimeout, StateDisconnected},
		{session.ErrAuthFailed, StateAuthFailed},
		{session.ErrNoProfile, StateIncompatible},
		{session.ErrIncompatible, StateIncompatible},
		{session.ErrLimitExceeded, StateIncompatible},
	} {
		if errors.Is(err, outcome.err) {
			return outcome.state
		}
	}
	if notFound(err) {
		return StateNotFound
	}
	return StateDisconnected
}

// explain says what failed, with the kind of failure that is for a call.
func (c *Connection) explain(err error) error {
	return &callError{"call " + c.name, kindOf(err), err}
}
