package main

import (
	"errors"
	"fmt"
	"math/bits"
	"syscall"
	"time"
)

// measure measures one caller that makes a call a step: see measureAll.
func (b *bench) measure(step func() error) error { return b.measureAll(1, step) }

// measureAll measures a caller for each of steps, of which each makes so many calls. It warms them
// up, waits for GO, measures and reports. Two thirds of the time give the mean, with no clock read
// between calls; in the last third each step is timed. At a given rate every call is.
func (b *bench) measureAll(callsPerStep uint64, steps ...func() error) error {
	callers := make([]*caller, len(steps))
	share := uint64(1) << 62
	if all := callsPerStep * uint64(len(steps)); b.count > 0 {
		share = (b.count + all - 1) / all
	}
	for i, step := range steps {
		callers[i] = &caller{step: step, duration: b.duration, most: share}
	}
	if err := together(callers, (*caller).warmUp); err != nil {
		return err
	}
	fmt.Println("READY")
	if err := waitForGo(); err != nil {
		return err
	}
	start := time.Now()
	var err error
	if b.rate > 0 {
		err = together(callers, func(c *caller) error { return c.paced(b.rate) })
	} else {
		err = together(callers, (*caller).flatOut)
	}
	if err != nil {
		return err
	}
	callers[0].report(callsPerStep, callers[1:], start, b.rate > 0)
	return waitUntilTheDriverLeaves()
}

// A caller makes steps, in a goroutine of its own, and counts them.
type caller struct {
	step     func() error
	duration time.Duration
	most     uint64 // steps in each part
	perMs    uint64 // steps that fit a millisecond
	untimed  uint64
	end      time.Time // of those
	times    histogram
	took     time.Duration // by those that are timed
}

// together lets all callers do something at the same time.
func together(callers []*caller, do func(*caller) error) error {
	ended := make(chan error, len(callers))
	for _, c := range callers {
		go func() { ended <- do(c) }()
	}
	var failed error
	for range callers {
		failed = errors.Join(failed, <-ended)
	}
	return failed
}

func (c *caller) warmUp() error {
	start, done := time.Now(), uint64(0)
	for done < min(10000, c.most) && time.Since(start) < c.duration/10 {
		if err := c.step(); err != nil {
			return err
		}
		done++
	}
	c.perMs = max(1, done*uint64(time.Millisecond)/uint64(max(1, time.Since(start))))
	return nil
}

func (c *caller) flatOut() error {
	for start := time.Now(); c.untimed < c.most && time.Since(start) < c.duration*2/3; {
		steps := min(c.perMs, c.most-c.untimed)
		for range steps {
			if err := c.step(); err != nil {
				return err
			}
		}
		c.untimed += steps
	}
	c.end = time.Now()
	for before := c.end; c.times.total < c.most && before.Sub(c.end) < c.duration/3; before = time.Now() {
		if err := c.timed(before); err != nil {
			return err
		}
	}
	return nil
}

func (c *caller) paced(rate uint64) error {
	period := time.Second / time.Duration(rate)
	start := time.Now()
	for next := start; c.times.total < c.most && time.Since(start) < c.duration; {
		// A tick that is missed is left out.
		if next = next.Add(period); time.Since(next) >= 0 {
			next = time.Now().Add(period)
		}
		if err := sleepUntil(next); err != nil {
			return err
		}
		if err := c.timed(time.Now()); err != nil {
			return err
		}
	}
	return nil
}

// timed makes a step that begins now, and times it.
func (c *caller) timed(now time.Time) error {
	err := c.step()
	took := time.Since(now)
	c.times.record(uint64(took))
	c.took += took
	return err
}

// sleepUntil sleeps by the kernel's clock: the runtime's timers are as coarse as the poller's, which
// knows milliseconds.
func sleepUntil(end time.Time) error {
	for left := time.Until(end); left > 0; left = time.Until(end) {
		until := syscall.NsecToTimespec(int64(left))
		if err := syscall.Nanosleep(&until, nil); err != nil && err != syscall.EINTR {
			return fmt.Errorf("sleep until the next tick: %w", err)
		}
	}
	return nil
}

// report says what c and the others counted since start.
func (c *caller) report(callsPerStep uint64, others []*caller, start time.Time, paced bool) {
	for _, other := range others {
		c.untimed += other.untimed
		c.took += other.took
		c.times.add(&other.times)
		if other.end.After(c.end) {
			c.end = other.end
		}
	}
	steps, took := c.untimed, c.end.Sub(start)
	if paced {
		steps, took = c.times.total, c.took
	}
	calls := func(steps uint64) uint64 { return steps * callsPerStep }
	fmt.Printf("calls=%d\nns_per_call=%.3f\np50_ns=%d\np99_ns=%d\nmax_ns=%d\nDONE\n",
		calls(c.untimed+c.times.total), float64(took)/float64(max(1, calls(steps))),
		c.times.quantile(50)/callsPerStep, c.times.quantile(99)/callsPerStep, c.times.max/callsPerStep)
}

// A histogram counts times in nanoseconds, in steps of less than a hundredth of them.
type histogram struct {
	counts [64 * steps]uint64
	total  uint64
	max    uint64
}

const (
	stepBits = 7
	steps    = 1 << stepBits // of each power of two
)

func (h *histogram) record(ns uint64) {
	// What is below the first steps is counted exactly.
	shift := max(bits.Len64(ns), stepBits+1) - stepBits - 1
	h.counts[uint64(shift)*steps+ns>>shift]++
	h.total++
	h.max = max(h.max, ns)
}

// add takes in what another one counted.
func (h *histogram) add(other *histogram) {
	for at, count := range &other.counts {
		h.counts[at] += count
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// quantile returns the time that so many of a hundred are not above.
func (h *histogram) quantile(percent uint64) uint64 {
	wanted := (h.total*percent + 99) / 100
	seen := uint64(0)
	for at, count := range &h.counts {
		seen += count
		if seen >= wanted && count > 0 {
			shift := max(at/steps-1, 0)
			return min((uint64(at-shift*steps)+1)<<shift-1, h.max)
		}
	}
	return h.max
}
