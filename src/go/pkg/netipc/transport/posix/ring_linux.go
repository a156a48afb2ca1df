package posix

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/carrier"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/ring"
	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
)

// A ringEnd is one end of a session over rings: what is sent and taken, and who wakes
// whom (PROTOCOL.md, section 27). See [carrier.SharedMemory].
type ringEnd struct {
	bell  *bell
	given int // the descriptor of the memory, until the client has it; -1

	// mu is held by whoever uses the memory, also in its sleep.
	mu        sync.Mutex
	mem       []byte // nil once unmapped
	in        ring.Reader
	out       ring.Writer
	own, peer ring.Sleep // words that say what either side sleeps for

	stopped atomic.Bool           // no records are taken any more
	ended   atomic.Pointer[error] // why nobody is to wait any more

	spinner spin.Spinner
	found   int // the length of the next record
	longest uint32
	left    int   // how much of a message there is to be room for
	broken  error // how the peer broke the rules
	// Made once so that waiting allocates nothing.
	hasRecord, hasRoom func() bool
	look               func() bool // for a record, some times
	sleeper            sleeper
}

// looksAtOnce are what a spinner takes for one look: here one is so cheap that the clock,
// which the spinner asks now and then, would take as long as several and hold up the answer
// to a prompt peer.
const looksAtOnce = 3

// A sleeper is what a ringEnd sleeps for, step by step as its bell rings.
type sleeper struct {
	what    uint64
	isThere func() bool
	asleep  bool  // the peer is told so
	failed  error // why there is no sleep
	attempt func(uintptr) bool
}

func newRingEnd(role Role, mem []byte, l ring.Lengths, b *bell, most time.Duration) *ringEnd {
	m := l.On(mem)
	e := &ringEnd{bell: b, given: -1, mem: mem, spinner: spin.New(most)}
	if role == RoleServer {
		e.in, e.out, e.own, e.peer = ring.NewReader(m.Requests), ring.NewWriter(m.Responses), m.ServerSleeps, m.ClientSleeps
	} else {
		e.in, e.out, e.own, e.peer = ring.NewReader(m.Responses), ring.NewWriter(m.Requests), m.ClientSleeps, m.ServerSleeps
	}
	e.longest = uint32(e.in.Longest())
	e.hasRecord = func() bool {
		e.found, e.broken = e.in.Open()
		return e.found > 0 || e.broken != nil
	}
	e.look = func() bool {
		for range looksAtOnce {
			if e.hasRecord() {
				return true
			}
			spin.Pause()
		}
		return false
	}
	e.hasRoom = func() bool {
		var ok bool
		ok, e.broken = e.out.HasRoomFor(e.left)
		return ok || e.broken != nil
	}
	e.sleeper.attempt = e.attempt
	return e
}

func (e *ringEnd) Traits() carrier.Traits {
	return carrier.Traits{LongestRecord: e.longest, WaitsOnConn: e.bell.isSocket()}
}

func (e *ringEnd) Send(head, body []byte, deadline time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mem == nil {
		return carrier.ErrClosed
	}
	for len(head)+len(body) > 0 {
		put, err := e.out.Push(head, body)
		if err != nil {
			return blameRing(err)
		}
		if put == 0 {
			e.left = len(head) + len(body)
			if err := e.sleep(ring.Room, e.hasRoom, deadline); err != nil {
				return err
			}
			continue
		}
		if err := e.did(ring.Records); err != nil {
			return err
		}
		// Only the first record has the head, and all of it.
		head, body = nil, body[put-len(head):]
	}
	return nil
}

func (e *ringEnd) Next(deadline time.Time) (uint32, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.mem == nil:
		return 0, carrier.ErrClosed
	case e.stopped.Load():
		return 0, ErrAborted
	case !e.spinner.Look(e.look):
		e.spinner.LieDown(time.Now())
		if err := e.sleep(ring.Records, e.hasRecord, deadline); err != nil {
			return 0, err
		}
		e.spinner.Wake()
	}
	return uint32(e.found), blameRing(e.broken)
}

func (e *ringEnd) CopyOut(buf []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mem == nil {
		return carrier.ErrClosed
	}
	e.in.CopyOut(buf)
	if told := e.in.Close(e.found); told {
		return e.did(ring.Room)
	}
	return nil
}

// did wakes the peer if it sleeps for what was just done.
func (e *ringEnd) did(what uint64) error {
	if e.peer.MustWake(what) {
		if err := e.bell.ring(); err != nil {
			return fmt.Errorf("wake the peer: %w", err)
		}
	}
	return nil
}

// sleep waits until isThere says so, without taking processor time.
func (e *ringEnd) sleep(what uint64, isThere func() bool, deadline time.Time) error {
	s := &e.sleeper
	s.what, s.isThere, s.failed = what, isThere, nil
	err := e.sleepUntil(deadline)
	if s.asleep {
		e.rise()
	}
	if e.bell.armed {
		// If it fails the bell is closed, which the next wait will tell.
		_ = e.bell.arm(time.Time{})
	}
	return err
}

func (e *ringEnd) sleepUntil(deadline time.Time) error {
	must := !deadline.IsZero()
	for {
		if must {
			if err := e.bell.arm(deadline); err != nil {
				return carrier.ErrClosed
			}
		}
		err := e.bell.wait(e.sleeper.attempt)
		switch {
		case err == nil && e.sleeper.failed != nil:
			return e.sleeper.failed
		case err == nil:
			return blameRing(e.broken)
		case errors.Is(err, os.ErrClosed):
			return carrier.ErrClosed
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		}
		if why := e.whyOver(e.sleeper.what); why != nil && !e.sleeper.isThere() {
			return why
		}
		if !deadline.IsZero() && !time.Now().Before(deadline) {
			return ErrTimeout
		}
		must = true // somebody only wanted us to look up
	}
}

// attempt tells whether there is no need to sleep, or none any more. If there is, it has
// told the peer that this side sleeps, as it does from here on.
func (e *ringEnd) attempt(uintptr) bool {
	s := &e.sleeper
	if s.asleep {
		e.rise()
	}
	if s.isThere() {
		return true
	}
	// Of the socket the poller may have told before anybody waited.
	if end := e.bell.hear(); end != nil {
		e.finish(end)
	}
	if s.failed = e.fallAsleep(); s.failed != nil {
		return true
	}
	// Before the last look: what the peer did before it went is still found.
	why := e.whyOver(s.what)
	if s.isThere() {
		return true
	}
	s.failed = why
	return why != nil
}

func (e *ringEnd) fallAsleep() error {
	if told := e.in.Settle(); told {
		if err := e.did(ring.Room); err != nil {
			return err
		}
	}
	e.sleeper.asleep = true
	e.own.FallAsleep(e.sleeper.what)
	return nil
}

func (e *ringEnd) rise() {
	e.sleeper.asleep = false
	e.own.WakeUp()
}

// whyOver returns why nobody is to wait for what any more; nil if that is not so.
func (e *ringEnd) whyOver(what uint64) error {
	if what == ring.Records && e.stopped.Load() {
		return ErrAborted
	}
	if cause := e.ended.Load(); cause != nil {
		return *cause
	}
	return nil
}

func (e *ringEnd) Stop() {
	e.stopped.Store(true)
	e.bell.lift()
}

func (e *ringEnd) End(cause error) {
	e.finish(cause)
	e.bell.lift()
}

func (e *ringEnd) finish(cause error) { e.ended.CompareAndSwap(nil, &cause) }

func (e *ringEnd) Close() {
	e.End(carrier.ErrClosed)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.mem == nil {
		return
	}
	e.closeGiven()
	e.bell.close()
	_ = syscall.Munmap(e.mem) // fails only for what is not mapped
	e.mem, e.in, e.out = nil, ring.Reader{}, ring.Writer{}
}

// closeGiven closes the descriptor of the memory.
func (e *ringEnd) closeGiven() {
	if e.given >= 0 {
		syscall.Close(e.given)
		e.given = -1
	}
}

// blameRing says of an error of a ring what it always is: the peer's doing.
func blameRing(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrProtocol, err)
}
