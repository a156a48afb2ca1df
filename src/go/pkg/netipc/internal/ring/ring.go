// Package ring is one direction of a session over rings: many records in flight, and
// words that say who sleeps (PROTOCOL.md, section 27). It is arithmetic on memory that
// somebody else maps; it asks the system for nothing.
//
// A record starts in a slot, which is one cache line: a word that announces it, and its
// first 56 bytes. The announcement has the record's number in one half and its length in
// the other, so one load tells that it is there and how long it is, and the line that
// brings this brings a small message as well. What is longer lies in the bulk, a ring of
// bytes. Where, both sides know by counting: nothing the peer writes is ever used as an
// offset.
//
//	writer                                  reader
//	------                                  ------
//	room left by taken?           ◀─────┐
//	copy the record                     │
//	announcement = n, length      ──────┼─▶ announced n?
//	does the reader sleep               │   copy the record out
//	for records?                        └── taken = n, now and then
//	                                        does the writer sleep for room?
//
// Who is about to sleep says so first, then looks a last time. Who did something looks
// afterwards whether somebody sleeps for it. All of these are atomic, and Go's atomics
// have one order for all who see them, so at least one of the two sees the other.
//
// The peer is another process and may do anything to these words and bytes at any time.
// Each is read once, into memory of our own, and only the copy is looked at. What a peer
// can spoil is its own session.
package ring

import (
	"fmt"
	"sync/atomic"
)

const (
	// lineSize is what bulk is used in, so that two records never share a cache line.
	lineSize = 64
	// startLen is what of a record lies in its slot, in bytes.
	startLen = lineSize - 8
	// A reader says what it took each time it has taken the ring's share of this.
	share = 4
)

// longest is the longest record.
func (t *Track) longest() int { return startLen + len(t.bulk)/share }

// bulkOf is how many bytes of bulk a record takes.
func bulkOf(length int) uint64 {
	if length <= startLen {
		return 0
	}
	return uint64(length-startLen+lineSize-1) &^ (lineSize - 1)
}

// announcement announces a record. No slot has it before: what is left there from the
// turn before is another one, and memory is zero at first.
func announcement(number uint64, length uint32) uint64 {
	return uint64(length)<<32 | uint64(uint32(number)+1)
}

// A Writer is the only end that puts records into its track.
type Writer struct {
	track    Track
	sent     uint64
	bulkSent uint64
	// What the reader is known to have taken.
	taken     uint64
	bulkTaken uint64
	// Up to where the bulk is used once the record in a slot was sent. Our own note: the
	// peer says how many records it has taken, and never how many bytes.
	ends []uint64
}

// NewWriter makes the writer of a track in which nothing was ever written.
func NewWriter(t Track) Writer { return Writer{track: t, ends: make([]uint64, len(t.slots))} }

// Push puts in one record: head, of at most 56 bytes, and body, or the beginning of that.
// It returns how many bytes it took, 0 if there is no room. It fails if the reader breaks
// the rules.
func (w *Writer) Push(head, body []byte) (int, error) {
	t := &w.track
	length := min(len(head)+len(body), t.longest())
	if ok, err := w.HasRoomFor(length); !ok || length == 0 {
		return 0, err
	}
	at := w.sent & uint64(len(t.slots)-1)
	s := &t.slots[at]
	body = body[:length-len(head)]
	n := copy(s.start[:], head)
	body = body[copy(s.start[n:], body):]
	if len(body) > 0 {
		n := copy(t.bulk[w.bulkSent&uint64(len(t.bulk)-1):], body)
		copy(t.bulk, body[n:])
	}
	// Publishes the record; pairs with the load in Open.
	atomic.StoreUint64(&s.announcement, announcement(w.sent, uint32(length)))
	w.sent++
	w.bulkSent += bulkOf(length)
	w.ends[at] = w.bulkSent
	return length, nil
}

// HasRoomFor tells whether the next record of a message finds room, of which length bytes
// are still to be put in. It fails if the reader breaks the rules.
func (w *Writer) HasRoomFor(length int) (bool, error) {
	bulk := bulkOf(min(length, w.track.longest()))
	if w.fits(bulk) {
		return true, nil
	}
	// Pairs with the store in Settle: what was taken was copied out before.
	claimed := atomic.LoadUint64(w.track.taken)
	if claimed < w.taken || claimed > w.sent {
		return false, fmt.Errorf("peer claims to have taken %d records of %d", claimed, w.sent)
	}
	if claimed > w.taken {
		w.taken = claimed
		w.bulkTaken = w.ends[(claimed-1)&uint64(len(w.ends)-1)]
	}
	return w.fits(bulk), nil
}

func (w *Writer) fits(bulk uint64) bool {
	return w.sent-w.taken < uint64(len(w.track.slots)) && w.bulkSent+bulk-w.bulkTaken <= uint64(len(w.track.bulk))
}

// A Reader is the only end that takes records out of its track.
type Reader struct {
	track     Track
	taken     uint64
	bulkTaken uint64
	// What the writer was told.
	settled     uint64
	bulkSettled uint64
}

// NewReader makes the reader of a track from which nothing was ever read.
func NewReader(t Track) Reader { return Reader{track: t} }

// Open looks for the next record and returns its length, 0 if there is none. It is to be
// copied out and closed before the next look that matters. It fails if the writer breaks
// the rules.
func (r *Reader) Open() (int, error) {
	t := &r.track
	// Pairs with the store in Push: the record is there. Looked at once.
	announced := atomic.LoadUint64(&t.slots[r.taken&uint64(len(t.slots)-1)].announcement)
	if uint32(announced) != uint32(r.taken)+1 {
		return 0, nil
	}
	length := uint32(announced >> 32)
	if length == 0 || uint64(length) > uint64(t.longest()) {
		return 0, fmt.Errorf("record of %d bytes, of %d possible", length, t.longest())
	}
	return int(length), nil
}

// Longest is the longest record there can be, in bytes.
func (r *Reader) Longest() int { return r.track.longest() }

// CopyOut copies the start of the record that was found. What into asks for beyond it is
// some bytes of the ring.
func (r *Reader) CopyOut(into []byte) {
	t := &r.track
	into = into[copy(into, t.slots[r.taken&uint64(len(t.slots)-1)].start[:]):]
	if len(into) > 0 {
		n := copy(into, t.bulk[r.bulkTaken&uint64(len(t.bulk)-1):])
		copy(into[n:], t.bulk)
	}
}

// Close goes on behind the record that was found, of so many bytes. It tells whether the
// writer was told, as it is now and then: it may sleep for that.
func (r *Reader) Close(length int) bool {
	r.taken++
	r.bulkTaken += bulkOf(length)
	// Rarely, because each time the line has to travel. Often enough: while less than a
	// share is unsettled a writer finds room for a record, or the ring still has records to
	// be taken.
	due := r.taken-r.settled >= uint64(len(r.track.slots)/share) ||
		r.bulkTaken-r.bulkSettled >= uint64(len(r.track.bulk)/share)
	return due && r.Settle()
}

// Settle tells the writer what was taken, and whether there was anything to tell.
func (r *Reader) Settle() bool {
	if r.settled == r.taken {
		return false
	}
	r.settled, r.bulkSettled = r.taken, r.bulkTaken
	// Pairs with the load in HasRoomFor: the records were copied out.
	atomic.StoreUint64(r.track.taken, r.taken)
	return true
}
