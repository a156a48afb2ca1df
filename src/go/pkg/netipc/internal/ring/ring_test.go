package ring

import (
	"bytes"
	"math"
	"sync/atomic"
	"testing"
	"unsafe"
)

const (
	testSlots   = 8
	testBulk    = 512
	testLongest = startLen + testBulk/share
)

var testLengths = Lengths{length{testSlots, testBulk}, length{testSlots, testBulk}}

// newMemory is ordinary memory, aligned as a mapping is.
func newMemory(l Lengths) []byte {
	words := make([]uint64, l.Size()/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), l.Size())
}

// newTrack makes both ends of a track, and the memory it lies in.
func newTrack() (*Writer, *Reader, Track) {
	t := testLengths.On(newMemory(testLengths)).Requests
	w, r := NewWriter(t), NewReader(t)
	return &w, &r, t
}

func message(seed, length int) []byte {
	m := make([]byte, length)
	for i := range m {
		m[i] = byte(i*7 + seed*13 + 1)
	}
	return m
}

// mustPush puts a message in and returns how many records it took.
func mustPush(t *testing.T, w *Writer, message []byte) int {
	t.Helper()
	records := 0
	for head, body := message[:32], message[32:]; len(head)+len(body) > 0; records++ {
		put, err := w.Push(head, body)
		if err != nil || put == 0 {
			t.Fatalf("no room after %d records (%v)", records, err)
		}
		head, body = nil, body[put-len(head):]
	}
	return records
}

// take takes a record out; nil if there is none.
func take(t *testing.T, r *Reader) []byte {
	t.Helper()
	n, err := r.Open()
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return nil
	}
	record := make([]byte, n)
	r.CopyOut(record)
	r.Close(n)
	return record
}

func TestARecordComesOutAsItWentInWhateverItsLength(t *testing.T) {
	w, r, _ := newTrack()
	if take(t, r) != nil {
		t.Error("there is one before there is any")
	}
	for length := 32; length <= testLongest; length++ {
		sent := message(length, length)
		if n := mustPush(t, w, sent); n != 1 {
			t.Fatalf("%d bytes took %d records", length, n)
		}
		if got := take(t, r); !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes: got %x", length, got)
		}
		if take(t, r) != nil {
			t.Fatalf("%d bytes came twice", length)
		}
	}
}

func TestASmallMessageStaysWithinItsLine(t *testing.T) {
	w, _, track := newTrack()
	mustPush(t, w, bytes.Repeat([]byte{0xff}, startLen))
	if bytes.ContainsFunc(track.bulk, func(b rune) bool { return b != 0 }) {
		t.Error("something lies in the bulk")
	}
	if track.slots[1] != (slot{}) || track.slots[0].start != [startLen]byte(bytes.Repeat([]byte{0xff}, startLen)) {
		t.Error("it does not lie in its slot")
	}
}

func TestAMessageLongerThanTheRingPassesInParts(t *testing.T) {
	w, r, _ := newTrack()
	sent := message(1, 10*testBulk)
	var got []byte
	for head, body := sent[:32], sent[32:]; len(got) < len(sent); {
		for len(head)+len(body) > 0 {
			put, err := w.Push(head, body)
			if err != nil {
				t.Fatal(err)
			}
			if put == 0 {
				break
			}
			head, body = nil, body[put-len(head):]
		}
		part := take(t, r)
		if part == nil || len(part) > testLongest {
			t.Fatalf("a part of %d bytes", len(part))
		}
		got = append(got, part...)
	}
	if !bytes.Equal(got, sent) {
		t.Error("another message came out")
	}
}

func TestHasRoomForAsManyRecordsAsSlotsAndAsMuchAsBulk(t *testing.T) {
	for length, most := range map[int]int{
		32:           testSlots,
		startLen:     testSlots,
		startLen + 1: testSlots, // a line of bulk each
		testLongest:  share,
	} {
		w, r, _ := newTrack()
		for range most {
			mustPush(t, w, message(0, length))
		}
		if put, err := w.Push(make([]byte, 32), make([]byte, length-32)); put != 0 || err != nil {
			t.Errorf("%d bytes: one more than %d found room (%v)", length, most, err)
		}
		for range most {
			take(t, r)
		}
		r.Settle()
		if ok, err := w.HasRoomFor(length); !ok || err != nil {
			t.Errorf("%d bytes: there is no room although all was taken (%v)", length, err)
		}
	}
}

func TestTellsWhatItTookAtTheLatestAfterAQuarter(t *testing.T) {
	for length, after := range map[int]int{32: testSlots / share, startLen + 65: 1} {
		w, r, track := newTrack()
		for n := 1; n <= after; n++ {
			mustPush(t, w, message(0, length))
			got, _ := r.Open()
			if told := r.Close(got); told != (n == after) || told != (atomic.LoadUint64(track.taken) == uint64(n)) {
				t.Errorf("%d bytes: after %d records: %v", length, n, told)
			}
		}
		if r.Settle() {
			t.Errorf("%d bytes: there is more to tell", length)
		}
	}
}

func TestAWriterFindsRoomUnlessThereIsSomethingToTake(t *testing.T) {
	// Without ever settling but when it is due, or neither side could go on.
	w, r, _ := newTrack()
	random := newRandom(t)
	for range 100_000 {
		length := 1 + random.IntN(testLongest)
		ok, err := w.HasRoomFor(length)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := r.Open(); !ok && n == 0 {
			t.Fatalf("no room for %d bytes in an empty ring", length)
		}
		if ok && random.IntN(2) == 0 {
			if put, err := w.Push(nil, make([]byte, length)); put != length || err != nil {
				t.Fatalf("put %d of %d bytes (%v)", put, length, err)
			}
		} else {
			take(t, r)
		}
	}
}

func TestNumbersOfRecordsWrap(t *testing.T) {
	w, r, track := newTrack()
	const before = math.MaxUint32 - 5
	w.sent, w.taken, r.taken, r.settled = before, before, before, before
	atomic.StoreUint64(track.taken, before)
	for n := range 20 {
		sent := message(n, 40)
		mustPush(t, w, sent)
		if got := take(t, r); !bytes.Equal(got, sent) {
			t.Fatalf("record %d: got %x", n, got)
		}
	}
}

func TestRefusesALengthThatCannotBe(t *testing.T) {
	for _, length := range []uint32{0, testLongest + 1, 1 << 31, math.MaxUint32} {
		_, r, track := newTrack()
		atomic.StoreUint64(&track.slots[0].announcement, announcement(0, length))
		if n, err := r.Open(); err == nil {
			t.Errorf("%d bytes: found %d", length, n)
		}
	}
}

func TestRefusesACountOfRecordsThatCannotBe(t *testing.T) {
	w, r, track := newTrack()
	for range testSlots {
		mustPush(t, w, message(0, 32))
	}
	for range 3 {
		take(t, r)
	}
	r.Settle()
	if ok, err := w.HasRoomFor(32); !ok || err != nil {
		t.Fatalf("no room (%v)", err)
	}
	for range 3 {
		mustPush(t, w, message(0, 32))
	}
	for _, claimed := range []uint64{2, testSlots + 4, math.MaxUint64} {
		atomic.StoreUint64(track.taken, claimed)
		if _, err := w.HasRoomFor(32); err == nil {
			t.Errorf("it is believed to have taken %d of %d", claimed, testSlots+3)
		}
	}
}

func TestWhatAPeerDoesToTheMemoryDoesNoHarm(t *testing.T) {
	random := newRandom(t)
	memory := newMemory(testLengths)
	buffer := make([]byte, testLongest)
	for range 2000 {
		clear(memory)
		m := testLengths.On(memory)
		w, r := NewWriter(m.Responses), NewReader(m.Requests)
		peer := NewWriter(m.Requests)
		var err error
		for step := 0; step < 200 && err == nil; step++ {
			if random.IntN(4) == 0 {
				at := random.IntN(len(memory))
				for i := range memory[at:min(at+1+random.IntN(16), len(memory))] {
					memory[at+i] = byte(random.Uint32())
				}
			}
			if random.IntN(3) == 0 { // near what is expected there
				m.Requests.slots[random.IntN(testSlots)].announcement = announcement(random.Uint64N(20), random.Uint32N(2*testLongest))
				*m.Responses.taken = random.Uint64N(20)
			}
			_, _ = peer.Push(nil, buffer[:1+random.IntN(testLongest)]) // what it fails with is its own
			m.ServerSleeps.MustWake(Records)
			if _, err = w.Push(nil, buffer[:1+random.IntN(testLongest)]); err != nil {
				break
			}
			var n int
			if n, err = r.Open(); n > 0 {
				r.CopyOut(buffer[:n])
				r.Close(n)
			}
		}
	}
}

func TestSidesThatSleepAreAlwaysWoken(t *testing.T) {
	const messages = 20_000
	m := testLengths.On(newMemory(testLengths))
	bells := map[Sleep]chan struct{}{m.ClientSleeps: make(chan struct{}, 1), m.ServerSleeps: make(chan struct{}, 1)}
	did := func(peer Sleep, what uint64) {
		if peer.MustWake(what) {
			select {
			case bells[peer] <- struct{}{}:
			default:
			}
		}
	}
	sleep := func(own Sleep, what uint64, isThere func() bool) {
		for !isThere() {
			own.FallAsleep(what)
			if !isThere() {
				<-bells[own]
			}
			own.WakeUp()
		}
	}
	random := newRandom(t)
	lengths := make([]int, messages)
	for i := range lengths {
		lengths[i] = 32 + random.IntN(testLongest)
	}
	go func() {
		w := NewWriter(m.Requests)
		for i, length := range lengths {
			sent := message(i, length)
			for head, body := sent[:32], sent[32:]; len(head)+len(body) > 0; {
				put, _ := w.Push(head, body)
				if put == 0 {
					sleep(m.ClientSleeps, Room, func() bool { ok, _ := w.HasRoomFor(len(head) + len(body)); return ok })
					continue
				}
				did(m.ServerSleeps, Records)
				head, body = nil, body[put-len(head):]
			}
		}
	}()
	r := NewReader(m.Requests)
	for i, length := range lengths {
		var got []byte
		for len(got) < length {
			n, err := r.Open()
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				if r.Settle() {
					did(m.ClientSleeps, Room)
				}
				sleep(m.ServerSleeps, Records, func() bool { n, _ := r.Open(); return n > 0 })
				continue
			}
			part := make([]byte, n)
			r.CopyOut(part)
			got = append(got, part...)
			if r.Close(n) {
				did(m.ClientSleeps, Room)
			}
		}
		if !bytes.Equal(got, message(i, length)) {
			t.Fatalf("message %d is another one", i)
		}
	}
}

func TestOneSleepIsEndedOnce(t *testing.T) {
	s := testLengths.On(newMemory(testLengths)).ClientSleeps
	if s.MustWake(Records) {
		t.Error("who is awake is woken")
	}
	s.FallAsleep(Records)
	if s.MustWake(Room) {
		t.Error("who sleeps for records is woken for room")
	}
	if !s.MustWake(Records) || s.MustWake(Records) {
		t.Error("it is not woken, or twice")
	}
	s.FallAsleep(Records | Room)
	s.WakeUp()
	if s.MustWake(Room) {
		t.Error("who woke up is woken")
	}
}
