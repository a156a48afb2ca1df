package ring

import "sync/atomic"

// What a side sleeps for; both can be.
const (
	Records uint64 = 1 // the next record
	Room    uint64 = 2 // room for a record of its own
)

// A Sleep is the word that says what one side sleeps for: 0 if it is awake.
type Sleep struct{ word *uint64 }

// FallAsleep says that this side is about to sleep for what. To look for it once more
// afterwards is up to the caller, and to say that it is awake. Pairs with MustWake:
// either the peer sees that we sleep, or our last look sees what it did.
func (s Sleep) FallAsleep(what uint64) { atomic.StoreUint64(s.word, what) }

// WakeUp says that this side is awake. The peer may miss it, and then wakes for nothing.
func (s Sleep) WakeUp() { atomic.StoreUint64(s.word, 0) }

// MustWake tells whether the side whose word this is sleeps for what, which the other has
// just done and published by an atomic store, and must be woken; once for each time it
// fell asleep.
func (s Sleep) MustWake(what uint64) bool {
	// Whatever it sleeps for when it is marked as awake: who marks it has to wake it.
	return atomic.LoadUint64(s.word)&what != 0 && atomic.SwapUint64(s.word, 0) != 0
}
