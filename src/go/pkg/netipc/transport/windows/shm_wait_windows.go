package windows

import (
	"math"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/netdata/plugin-ipc/go/pkg/netipc/internal/spin"
)

const (
	// spinTries is how often a receiver looks before it waits in another way.
	spinTries = 1024
	// yieldTurns is how often a receiver without events looks between two times it lets
	// others run.
	yieldTurns = 1024
	// After spinning for patientSpin in vain, a receiver without events rests between two
	// looks, longer each time: an idle session must not cost a processor.
	patientSpin            = time.Millisecond
	firstRest, longestRest = 50 * time.Microsecond, time.Millisecond
)

// await waits until the next message is there. What the peer sent before it went is
// still found; an abort comes before everything.
func (c *WinShmContext) await(deadline time.Time) error {
	if cause := c.ended.Load(); cause != nil && *cause == ErrAborted {
		return *cause
	}
	if c.spinner.Look(c.hasNext) {
		return nil
	}
	for range c.SpinTries {
		if c.hasNext() {
			return nil
		}
		spin.Pause()
	}
	if c.in.event == 0 {
		return c.awaitIdly(deadline)
	}
	c.spinner.LieDown(time.Now())
	if err := c.sleep(deadline); err != nil {
		return err
	}
	c.spinner.Wake()
	return nil
}

// over tells why there is no point in waiting any longer, or nil. It is to be asked
// before a look: then that finds what was sent before.
func (c *WinShmContext) over() error {
	if cause := c.ended.Load(); cause != nil {
		return *cause
	}
	if atomic.LoadInt32(c.in.closed) != 0 {
		return c.failure(ErrWinShmDisconnected, ErrDisconnected)
	}
	return nil
}

func (c *WinShmContext) timeout() error { return c.failure(ErrWinShmTimeout, ErrTimeout) }

// sleep waits with the help of the lane's event.
func (c *WinShmContext) sleep(deadline time.Time) error {
	events := [2]syscall.Handle{c.in.event, c.wake}
	defer atomic.StoreInt32(c.in.waiting, 0)
	for {
		// Before the last look, see send. A peer may have turned the flag back: set it in
		// each round.
		atomic.StoreInt32(c.in.waiting, 1)
		gone := c.over()
		if c.hasNext() {
			return nil
		}
		if gone != nil {
			return gone
		}
		longest := uint32(syscall.INFINITE)
		if !deadline.IsZero() {
			left := time.Until(deadline)
			if left <= 0 {
				return c.timeout()
			}
			longest = milliseconds(left)
		}
		if err := waitForEither(&events, longest); err != nil {
			return c.failure(ErrWinShmOpenEvent, err)
		}
	}
}

// milliseconds rounds up, so that a wait does not end before its time.
func milliseconds(d time.Duration) uint32 {
	const most = math.MaxUint32 - 1 // one more would be for ever
	return uint32(min((d+time.Millisecond-1)/time.Millisecond, most))
}

// awaitIdly waits without an event, by looking again and again, ever less often.
func (c *WinShmContext) awaitIdly(deadline time.Time) error {
	rest := firstRest
	began := time.Now()
	for turn := 1; ; turn++ {
		gone := c.over()
		if c.hasNext() {
			return nil
		}
		if gone != nil {
			return gone
		}
		now := time.Now()
		switch {
		case !deadline.IsZero() && !now.Before(deadline):
			return c.timeout()
		case now.Sub(began) > patientSpin:
			time.Sleep(rest)
			rest = min(2*rest, longestRest)
		case turn%yieldTurns == 0:
			runtime.Gosched()
		default:
			spin.Pause()
		}
	}
}
