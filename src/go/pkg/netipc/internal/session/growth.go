package session

import (
	"math/bits"
	"sync/atomic"
)

// NextPow2 returns the smallest power of two that is at least n, and at least 16.
// Above 2³¹ it stays there.
func NextPow2(n uint32) uint32 {
	const least, most = 16, 1 << 31
	if n <= least {
		return least
	}
	if n > most {
		return most
	}
	return 1 << bits.Len32(n-1)
}

// A Capacity is a payload limit that only rises, up to a ceiling. What it learned
// counts for later handshakes. It may be used concurrently.
type Capacity struct {
	now     atomic.Uint32
	ceiling uint32
}

// NewCapacity starts at configured, which then is also the ceiling; or, with nothing
// configured, at start with room to grow up to ceiling.
func NewCapacity(configured, start, ceiling uint32) *Capacity {
	if configured != 0 {
		start, ceiling = configured, configured
	}
	c := &Capacity{ceiling: max(start, ceiling)}
	c.now.Store(start)
	return c
}

// Now returns the limit to propose.
func (c *Capacity) Now() uint32 { return c.now.Load() }

// Learn raises the limit to the next power of two from need, as far as the ceiling
// allows, and tells whether it rose.
func (c *Capacity) Learn(need uint32) bool {
	want := min(NextPow2(need), c.ceiling)
	for {
		now := c.now.Load()
		if want <= now {
			return false
		}
		if c.now.CompareAndSwap(now, want) {
			return true
		}
	}
}

// LearnDouble is Learn for a message of unknown size that did not fit limit.
func (c *Capacity) LearnDouble(limit uint32) bool {
	return c.Learn(limit + min(limit, ^limit))
}
