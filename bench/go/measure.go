package main

import (
	"fmt"
	"math/bits"
	"time"
)

// measure warms step up, waits for GO, measures it and reports. Two thirds of the time give the mean,
// with no clock read between calls; in the last third each call is timed.
func (b *bench) measure(step func() error) error {
	perMs, err := b.warmUp(step)
	if err != nil {
		return err
	}
	fmt.Println("READY")
	if err := waitForGo(); err != nil {
		return err
	}
	calls, took, err := b.flatOut(perMs, step)
	if err != nil {
		return err
	}
	var times histogram
	if err := b.timed(&times, step); err != nil {
		return err
	}
	fmt.Printf("calls=%d\nns_per_call=%.3f\np50_ns=%d\np99_ns=%d\nmax_ns=%d\nDONE\n",
		calls+times.total, float64(took)/float64(calls), times.quantile(50), times.quantile(99), times.max)
	return waitUntilTheDriverLeaves()
}

// most returns how many calls each part makes at most.
func (b *bench) most() uint64 {
	if b.count == 0 {
		return 1 << 63
	}
	return b.count
}

// warmUp returns how many steps fit a millisecond.
func (b *bench) warmUp(step func() error) (uint64, error) {
	start, done := time.Now(), uint64(0)
	for done < min(10000, b.most()) && time.Since(start) < b.duration/10 {
		if err := step(); err != nil {
			return 0, err
		}
		done++
	}
	return max(1, done*uint64(time.Millisecond)/uint64(max(1, time.Since(start)))), nil
}

func (b *bench) flatOut(perMs uint64, step func() error) (uint64, time.Duration, error) {
	start, calls := time.Now(), uint64(0)
	for calls < b.most() && time.Since(start) < b.duration*2/3 {
		steps := min(perMs, b.most()-calls)
		for range steps {
			if err := step(); err != nil {
				return 0, 0, err
			}
		}
		calls += steps
	}
	return max(1, calls), time.Since(start), nil
}

func (b *bench) timed(times *histogram, step func() error) error {
	for end := time.Now().Add(b.duration / 3); times.total < b.most(); {
		before := time.Now()
		if !before.Before(end) {
			return nil
		}
		if err := step(); err != nil {
			return err
		}
		times.record(uint64(time.Since(before)))
	}
	return nil
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

// quantile returns the time that so many of a hundred are not above.
func (h *histogram) quantile(percent uint64) uint64 {
	wanted := (h.total*percent + 99) / 100
	seen := uint64(0)
	for at, count := range h.counts {
		seen += count
		if seen >= wanted && count > 0 {
			shift := max(at/steps-1, 0)
			return min((uint64(at-shift*steps)+1)<<shift-1, h.max)
		}
	}
	return h.max
}
