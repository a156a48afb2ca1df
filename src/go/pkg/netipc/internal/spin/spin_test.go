package spin

import (
	"math"
	"testing"
	"time"
)

const (
	// Waking a sleeper on another CPU, and on the same.
	far  = 15 * time.Microsecond
	near = 2500 * time.Nanosecond
	// work is what a side does between two messages, if it is awake.
	work = time.Microsecond
)

// A load is how much both sides do for a message, and what it takes to wake one.
type load struct{ work, far time.Duration }

// loads are of sides that do much for a message, and of more than one machine.
var loads = []load{
	{work, far}, {work, 2 * far},
	{10 * work, far}, {10 * work, 2 * far},
	{35 * work, far}, {35 * work, 2 * far},
}

// wait is one wait for a message that comes after a time, and wake later if the waiter
// sleeps. It returns how long was looked.
func (s *Spinner) wait(after, wake time.Duration) time.Duration {
	if !s.Pays() {
		s.slept(after + wake)
		return 0
	}
	looked := min(after, s.longest)
	s.looked(looked, after <= s.longest)
	return looked
}

// waits waits n times, and returns how long was looked in all.
func (s *Spinner) waits(n int, after, wake time.Duration) (looked time.Duration) {
	for range n {
		looked += s.wait(after, wake)
	}
	return looked
}

// callAcross is one call between two CPUs: who sleeps is late.
func callAcross(client, server *Spinner) { load{work, far}.exchange(client, server) }

// exchange is a call between two CPUs with so much to do.
func (l load) exchange(client, server *Spinner) {
	late := func(other *Spinner) time.Duration {
		if other.Pays() {
			return l.work
		}
		return l.work + l.far
	}
	answer, request := late(server), late(client)
	client.wait(answer, l.far)
	server.wait(request, l.far)
	client.wasAway(l.work)
	server.wasAway(l.work)
}

// staysAwake makes many calls, after which both sides must look all the time.
func (l load) staysAwake(t *testing.T, client, server *Spinner) {
	t.Helper()
	for range 10_000 {
		l.exchange(client, server)
		if !client.Pays() || !server.Pays() {
			t.Fatalf("%v: client %v, server %v", l, client.Pays(), server.Pays())
		}
	}
}

func callsAcross(n int, client, server *Spinner) {
	for range n {
		callAcross(client, server)
	}
}

// waitOnOneCPU is one wait for somebody who cannot run while this side looks.
func (s *Spinner) waitOnOneCPU() time.Duration {
	if s.Pays() {
		return s.wait(s.longest+work, near)
	}
	return s.wait(work, near)
}

func spinners() (client, server *Spinner) {
	a, b := New(0), New(0)
	return &a, &b
}

func TestBothSidesFindOutThatLookingPaysBetweenTwoCPUs(t *testing.T) {
	for _, load := range loads {
		client, server := spinners()
		for range firstPause {
			load.exchange(client, server)
		}
		load.staysAwake(t, client, server)
	}
}

func TestASideThatHadGivenUpNoticesThatTheOtherLooks(t *testing.T) {
	for _, load := range loads {
		client, server := spinners()
		// One side after the other waits for somebody on its own CPU, and grows tired.
		for range 100_000 {
			client.waitOnOneCPU()
			server.waitOnOneCPU()
			client.wasAway(load.work)
			server.wasAway(load.work)
		}
		if client.pause != longestPause || server.pause != longestPause {
			t.Errorf("pauses of %d and %d", client.pause, server.pause)
		}
		// Their attempts fall far apart.
		for range 500 {
			other := New(-1)
			load.exchange(client, &other)
		}
		for calls := 0; !client.Pays() || !server.Pays(); calls++ {
			load.exchange(client, server)
			if calls > 2*longestPause {
				t.Fatalf("%v: they never met", load)
			}
		}
		load.staysAwake(t, client, server)
	}
}

func TestCallsAtAPaceAreSleptFor(t *testing.T) {
	const calls, period = 100_000, 100 * time.Microsecond
	client, server := spinners()
	var looked time.Duration
	for range calls {
		answer := work
		if !server.Pays() {
			answer += far
		}
		looked += client.wait(answer, far)
		client.wasAway(period - answer)
		looked += server.wait(period-work, 0)
		server.wasAway(work)
	}
	if looked == 0 || looked >= calls*period/200 {
		t.Errorf("%v of looking", looked)
	}
}

func TestOneSleepOfOneSideDoesNotEndIt(t *testing.T) {
	client, server := spinners()
	callsAcross(1000, client, server)
	for range 1000 {
		// The server was held up once: longer than anybody looks.
		client.wait(longestLook+far, far)
		server.wait(work+far, far)
		callsAcross(50, client, server)
		if !client.Pays() || !server.Pays() {
			t.Fatalf("client %v, server %v", client.Pays(), server.Pays())
		}
	}
}

func TestOnOneCPUNextToNothingIsLost(t *testing.T) {
	s, _ := spinners()
	var looked time.Duration
	for range 100_000 {
		looked += s.waitOnOneCPU()
	}
	if slept := 100_000 * (work + near); looked == 0 || looked*100 >= slept {
		t.Errorf("%v of looking", looked)
	}
}

func TestStopsAtOnceWhenTheOtherSideMovesToThisCPU(t *testing.T) {
	client, server := spinners()
	callsAcross(10_000, client, server)
	var looked time.Duration
	for range shortPause {
		looked += client.waitOnOneCPU()
	}
	if looked != enoughInVain*longestLook {
		t.Errorf("%v of looking", looked)
	}
}

func TestWhoWaitsLongNeverLooks(t *testing.T) {
	s, _ := spinners()
	if looked := s.waits(100_000, 10*longWait, far); looked != 0 {
		t.Errorf("%v of looking", looked)
	}
}

func TestWhenMessagesStayAwayItLooksOnceMoreAndSleeps(t *testing.T) {
	client, server := spinners()
	callsAcross(1000, client, server)
	if looked := server.waits(1000, time.Millisecond, far); looked != enoughInVain*longestLook {
		t.Errorf("%v of looking", looked)
	}
}

func TestASlowAnswerIsSleptFor(t *testing.T) {
	for _, test := range []struct {
		answer, away time.Duration
		looks        bool
	}{
		{worth / 2, 2 * mutual, true},
		{worth * 2, 2 * mutual, false},
		// Where the other side can be looking as well, less is slow.
		{worth * 2, mutual / 2, true},
		{mutual * 3 / 2, mutual / 2, false},
	} {
		s, _ := spinners()
		looks := 0
		for range 100_000 {
			s.wasAway(test.away)
			if s.wait(test.answer, far) > 0 {
				looks++
			}
		}
		if test.looks && looks <= 80_000 || !test.looks && looks >= 2_000 {
			t.Errorf("%+v: %d looks", test, looks)
		}
	}
}

func TestKnowsHowLongItIsAway(t *testing.T) {
	s, _ := spinners()
	begun := time.Now()
	s.left = begun
	s.LieDown(begun.Add(32 * time.Microsecond))
	if s.away != 2*time.Microsecond {
		t.Errorf("away for %v", s.away)
	}
	// Since when it was away now is not known: nothing has ended the sleep.
	if s.LieDown(begun.Add(time.Second)); s.away != 2*time.Microsecond {
		t.Errorf("away for %v after no message", s.away)
	}
	if s.Wake(); s.left.IsZero() {
		t.Error("a message does not end the wait")
	}
	// Long is long.
	s.left = begun
	if s.LieDown(begun.Add(time.Second)); s.away != mean(2*time.Microsecond, longWait) {
		t.Errorf("away for %v after a second", s.away)
	}
	// What is there at once is found without a clock.
	s.left = begun
	if !s.Look(func() bool { return true }) || !s.left.IsZero() {
		t.Errorf("away since %v", s.left)
	}
}

func TestCanBeSwitchedOffAndCapped(t *testing.T) {
	off, capped := New(-1), New(4*time.Microsecond)
	for range 10_000 {
		if looked := off.wait(work, far); looked != 0 {
			t.Fatalf("%v of looking where that is switched off", looked)
		}
		if looked := capped.wait(work, far); looked > 4*time.Microsecond {
			t.Fatalf("%v of looking above the cap", looked)
		}
	}
	if !capped.Pays() {
		t.Error("it does not pay below the cap")
	}
	if looked := capped.waits(10_000, 5*time.Microsecond, far); looked >= 10_000*5*time.Microsecond/100 {
		t.Errorf("%v of looking for what comes above the cap", looked)
	}
	if most := New(math.MaxInt64); most.longest != longestLook {
		t.Errorf("looks for %v at most", most.longest)
	}
}

func TestWhatIsFoundLateWasNotFoundByLooking(t *testing.T) {
	s, _ := spinners()
	s.waits(firstPause, work, near)
	if !s.Pays() {
		t.Fatal("it does not look")
	}
	// The other side had its turn when this one was preempted.
	s.looked(4*time.Millisecond, true)
	s.looked(4*time.Millisecond, true)
	if s.Pays() {
		t.Error("it still looks")
	}
}

func TestASleepAfterALookDoesNotCount(t *testing.T) {
	s, _ := spinners()
	s.waits(firstPause, work, near)
	s.looked(longestLook, false)
	s.LieDown(time.Now())
	s.Wake()
	if s.Pays() || s.shortWaits != 0 {
		t.Errorf("%d short waits", s.shortWaits)
	}
	s.LieDown(time.Now().Add(-work))
	s.Wake()
	s.Wake() // from no sleep
	if took := s.sleeps; s.shortWaits > 1 || took != 0 && took < work {
		t.Errorf("%d short waits, of %v", s.shortWaits, took)
	}
}

func TestLooksOnceWhileItDoesNotPayAndAgainWhileItDoes(t *testing.T) {
	s, _ := spinners()
	looks, findAt := 0, 0
	look := func() bool {
		looks++
		return looks == findAt
	}
	if s.Look(look) || looks != 1 {
		t.Errorf("%d looks while it does not pay", looks)
	}
	s.looking = true
	s.LieDown(time.Now().Add(time.Hour)) // its turn is not over soon
	if looks, findAt = 0, 3; !s.Look(look) || looks != 3 {
		t.Errorf("%d looks for what the third finds", looks)
	}
	if looks, findAt = 0, 0; s.Look(look) || looks < 1+2*quickLooks {
		t.Errorf("%d looks for nothing", looks)
	}
	if !s.hasLooked || s.inVain != 1 {
		t.Errorf("%d looks were in vain", s.inVain)
	}
}

func TestWhoLooksSleepsOnceInATurn(t *testing.T) {
	s, _ := spinners()
	s.looking = true
	looks := 0
	look := func() bool {
		looks++
		return false
	}
	s.LieDown(time.Now().Add(-turn))
	if s.Look(look) || looks != 2 {
		t.Errorf("%d looks at the end of a turn", looks)
	}
	s.LieDown(time.Now().Add(time.Hour))
	if looks = 0; s.Look(look) || looks <= 2 {
		t.Errorf("%d looks within a turn", looks)
	}
	if s.LieDown(time.Now().Add(-turn)); s.hasLooked || !s.Pays() {
		t.Error("the sleep at the end of a turn is taken for another")
	}
}
