// Package spin decides when to look again and when to sleep: the one policy of waiting,
// for every carrier, the same as in Rust.
//
// Who sleeps is woken late, by some µs on the same CPU and by tens of µs on another; who
// looks again and again is there at once, but takes a CPU, maybe the very one that the
// awaited side needs. Which of the two is better depends on where the scheduler put the
// sides and on how fast they answer. Nobody can be asked, so a [Spinner] learns it from
// what happens:
//
//   - It sleeps, until waits have been short for a while. Long ones (who waits is idle, or
//     work comes slowly) do not count: they never lead to a look.
//   - Then it tries for some waits in a row. In a row, because the other side may be
//     asleep: it takes a few prompt messages until the other side finds that looking pays
//     for it as well.
//   - It goes on looking while that takes little time on average, well below the price of
//     a sleep, counting the time of those waits that looking did not end. Where the other
//     side can be looking as well, since this one is seldom away for long, looking spares
//     both a sleep in each turn, and may take as long as being woken.
//   - When that is over it sleeps again. The longer the attempts were in vain, the longer
//     it is until the next; if sleeps become shorter than they were, the other side has
//     begun to look, and the next attempt comes soon.
//
// All of it is arithmetic on times that are handed in; only [Spinner.Look] and
// [Spinner.Wake] read a clock.
//
// What Rust does not need: a goroutine that looks keeps its processor, one of GOMAXPROCS,
// and the runtime asks whether there is something for other sessions when a processor has
// nothing to run, else every 10 ms. So who has not slept for a turn sleeps once.
package spin

import (
	"runtime"
	"time"
)

// longestLook is the longest look before a sleep. It covers the time in which a peer that
// sleeps is woken and answers, so one sleep of one side does not put the other to sleep as
// well.
const longestLook = 75 * time.Microsecond

const (
	// worth is what looking may take on average: less than a sleep and the two switches
	// of it cost.
	worth = 10 * time.Microsecond
	// mutual is what it may take if the other side can be looking as well: what a wake-up
	// from another CPU takes at most. No longer may this side be away on average, from one
	// message to the wait for the next, for that to be so: the other waits as long. Who
	// calls at a pace is away for longer.
	mutual = 40 * time.Microsecond
	// presumed is taken for the average before there is one.
	presumed = 4 * time.Microsecond
	// memory is how many waits make an average.
	memory = 16
	// enoughInVain is how many looks in vain, one after the other, are enough.
	enoughInVain = 2
	// A wait above longWait says nothing about how fast the peer answers.
	longWait = 100 * time.Microsecond
	// firstPause is how many short waits come before the first attempt: a session of a
	// few calls is not worth one.
	firstPause = 64
	// shortPause is how many come between an attempt that had success, until something
	// came in between, and the next.
	shortPause = 8
	// longestPause is the most short waits between two attempts.
	longestPause = 8192
	// leastPart of the way is the least, however much shorter sleeps have become.
	leastPart = 4
	// Who was looking for as many messages as success did so with success.
	success = 256
	// quickLooks are made without asking the clock.
	quickLooks = 16
	// A turn is how long it goes without a sleep, which costs a few hundredths of that.
	// Whether it is over is asked once in so many messages.
	turn         = 500 * time.Microsecond
	turnMessages = 32
)

// A Spinner decides for one waiting side of one session. It belongs to the goroutine that
// waits.
type Spinner struct {
	longest time.Duration // of a look; 0: never more than one

	looking bool // else it sleeps
	// While it sleeps: waits since the last attempt that were short, and how many there
	// are to be.
	shortWaits, pause uint32
	// While it looks: how long that takes on average, how many messages it found, and how
	// many looks in a row found none.
	average       time.Duration
	found, inVain uint32

	// How long short sleeps take of late, on average, and what that was at most since the
	// last attempt.
	sleeps, longestSleeps time.Duration
	// Since when it sleeps. Zero if it looked before: how long that sleep is says nothing.
	asleep    time.Time
	hasLooked bool
	lastSleep time.Time
	// How long this side is away on average between two waits, and since when it is. Zero
	// if that is not known.
	away time.Duration
	left time.Time
}

// New makes a spinner that looks for most before a sleep: 0 is as long as that pays, what
// is below 0 not at all.
func New(most time.Duration) Spinner {
	longest := min(max(most, 0), longestLook)
	if most == 0 {
		longest = longestLook
	}
	return Spinner{longest: longest, pause: firstPause}
}

// Pays tells whether looking again pays now.
func (s *Spinner) Pays() bool { return s.looking }

// Look looks, more than once if that pays, and tells whether look did. If not it is time
// to sleep.
func (s *Spinner) Look(look func() bool) bool {
	if look() {
		s.left = time.Time{}
		return true
	}
	if !s.Pays() {
		return false
	}
	if s.isTurnOver() {
		runtime.Gosched()
		return look()
	}
	var begun time.Time
	for {
		for range quickLooks {
			Pause()
			if look() {
				if s.left = (time.Time{}); !begun.IsZero() {
					s.left = time.Now()
				}
				s.looked(s.left.Sub(begun), true)
				return true
			}
		}
		if begun.IsZero() {
			begun = time.Now()
			s.cameBack(begun)
		} else if looked := time.Since(begun); looked >= s.longest {
			s.looked(looked, false)
			return false
		}
	}
}

func (s *Spinner) isTurnOver() bool {
	if s.found%turnMessages != 0 {
		return false
	}
	now := time.Now()
	if now.Sub(s.lastSleep) < turn {
		return false
	}
	s.lastSleep = now
	return true
}

// LieDown says that it is now, and that it sleeps.
func (s *Spinner) LieDown(now time.Time) {
	if s.longest == 0 {
		return
	}
	s.cameBack(now)
	s.lastSleep, s.asleep = now, now
	if s.hasLooked {
		s.asleep = time.Time{}
	}
	s.hasLooked = false
}

// Wake says that a message has ended the sleep, if there was one.
func (s *Spinner) Wake() {
	if s.longest == 0 {
		return
	}
	s.left = time.Now()
	if !s.asleep.IsZero() {
		s.slept(s.left.Sub(s.asleep))
		s.asleep = time.Time{}
	}
}

// cameBack says that it waits again since now.
func (s *Spinner) cameBack(now time.Time) {
	if !s.left.IsZero() {
		s.wasAway(now.Sub(s.left))
		s.left = time.Time{}
	}
}

// wasAway says how long it was before this side waited again.
func (s *Spinner) wasAway(took time.Duration) {
	s.away = mean(s.away, min(took, longWait))
}

// looked says how long looking took, and whether it found something.
func (s *Spinner) looked(took time.Duration, found bool) {
	if !s.looking {
		return
	}
	s.hasLooked = !found
	// The thread may have been held up: what it found late it did not find by looking.
	found = found && took <= s.longest
	took = min(took, s.longest)
	s.average = mean(s.average, took)
	if found {
		s.found, s.inVain = s.found+1, 0
	} else {
		s.inVain++
	}
	most := worth
	if s.away <= mutual {
		most = mutual
	}
	if s.average <= most && s.inVain < enoughInVain {
		return
	}
	if s.found >= success {
		s.pause = shortPause
	} else {
		s.pause = min(2*s.pause, longestPause)
	}
	s.sleeps, s.longestSleeps = 0, 0
	s.looking, s.shortWaits = false, 0
}

// slept says how long a sleep took until there was a message.
func (s *Spinner) slept(took time.Duration) {
	if s.looking || took > longWait {
		return
	}
	if s.sleeps == 0 {
		s.sleeps = took
	} else {
		s.sleeps = (s.sleeps*3 + took) / 4
	}
	s.longestSleeps = max(s.longestSleeps, s.sleeps)
	s.shortWaits++
	due := s.pause
	if shorter := s.sleeps < s.longestSleeps/8*7; shorter {
		due = min(due, max(s.pause/leastPart, firstPause))
	}
	if s.shortWaits >= due {
		// If the first look is in vain it is the last.
		s.looking, s.average, s.found, s.inVain = true, presumed, 0, enoughInVain-1
	}
}

// mean is an average over some waits, with one more.
func mean(average, took time.Duration) time.Duration {
	return (average*(memory-1) + took) / memory
}

// Pause takes a moment between two looks at what another processor changes.
func Pause() {
	for range pauseTurns {
	}
}

const pauseTurns = 32
