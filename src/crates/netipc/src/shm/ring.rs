//! One direction of a session over rings: many records in flight, and words that say who sleeps.
//!
//! A record starts in a slot, which is one cache line: a word that announces it, and its first 56
//! bytes. The announcement has the record's number in one half and its length in the other, so one
//! load tells that it is there and how long it is, and the line that brings this brings a small
//! message as well. What is longer lies in the bulk, a ring of bytes. Where, both sides know by
//! counting: nothing the peer writes is ever used as an offset.
//!
//! ```text
//! writer                                  reader
//! ------                                  ------
//! room left by `taken`?  (Acquire) ◀──┐
//! copy the record                     │
//! announcement = n, length (Release) ─┼─▶ announced n?  (Acquire)
//! fence, then: does the reader        │   copy the record out
//! sleep for records?                  └── taken = n, now and then (Release)
//!                                         fence, then: does the writer sleep for room?
//! ```
//!
//! Who is about to sleep says so first, then looks a last time. Who did something looks afterwards
//! whether somebody sleeps for it. A fence lies between on both sides, so at least one of the two
//! sees the other.
//!
//! The peer is another process and may do anything to these words and bytes at any time. Each is
//! read once, into memory of our own, and only the copy is looked at. What a peer can spoil is its
//! own session.

use std::fmt;

use super::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};

/// What of a record lies in its slot, in bytes.
pub(crate) const START: usize = 56;

/// Bulk is used in pieces of so many bytes, so that two records never share a cache line.
const LINE: u64 = 64;

/// A reader says what it took each time it has taken the ring's share of this.
const SHARE: u64 = 4;

/// The memory of one direction.
pub(crate) trait Track {
    /// How many slots there are: a power of two.
    fn slots(&self) -> u64;

    /// How many bytes of bulk there are: a power of two, at least 256.
    fn bulk(&self) -> u64;

    /// What announces the record in `slot`.
    fn announcement(&self, slot: usize) -> &AtomicU64;

    /// How many records the reader has taken.
    fn taken(&self) -> &AtomicU64;

    /// Copies `from` into `place`, `at` so many bytes behind its start, a multiple of 8.
    ///
    /// # Panics
    ///
    /// If it does not fit.
    fn fill(&self, place: Place, at: usize, from: &[u8]);

    /// Copies bytes out of `place`, from `at` on, a multiple of 8, until `into` is full.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    fn copy(&self, place: Place, at: usize, into: &mut [u8]);
}

/// Where bytes of records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the slot of this number.
    Slot(usize),
    /// In the bulk.
    Bulk,
}

/// How a peer broke the rules of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RingError {
    /// It announced a record of no bytes, or of more than there can be.
    Length { length: u32, most: u64 },
    /// It claims to have taken records that were never there, or puts some back.
    Taken { claimed: u64, sent: u64 },
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingError::Length { length, most } => {
                write!(f, "the ring announces a record of {length} bytes, of {most} possible")
            }
            RingError::Taken { claimed, sent } => {
                write!(f, "the peer claims to have taken {claimed} records of {sent}")
            }
        }
    }
}

impl std::error::Error for RingError {}

/// The longest record.
fn longest(track: &impl Track) -> u64 {
    START as u64 + track.bulk() / SHARE
}

/// How many bytes of bulk a record of `length` bytes takes.
fn bulk_of(length: u64) -> u64 {
    length.saturating_sub(START as u64).next_multiple_of(LINE)
}

/// What announces record number `number`. No slot has it before: what is left there from the turn
/// before is another one, and memory is zero at first.
fn announcement(number: u64, length: u32) -> u64 {
    u64::from(length) << 32 | u64::from((number as u32).wrapping_add(1))
}

/// Where in a ring of `size` something with this running number lies.
fn place(running: u64, size: u64) -> usize {
    (running & (size - 1)) as usize
}

/// The end that puts records in.
#[derive(Debug)]
pub(crate) struct Writer<T> {
    track: T,
    sent: u64,
    bulk_sent: u64,
    /// What the reader is known to have taken.
    taken: u64,
    bulk_taken: u64,
    /// Up to where the bulk is used once the record in a slot was sent. Our own note: the peer says
    /// how many records it has taken, and never how many bytes.
    ends: Box<[u64]>,
}

impl<T: Track> Writer<T> {
    /// The only writer of `track`, in which nothing was ever written.
    pub(crate) fn new(track: T) -> Self {
        let ends = vec![0; track.slots() as usize].into();
        Writer { track, sent: 0, bulk_sent: 0, taken: 0, bulk_taken: 0, ends }
    }

    /// Puts in one record with what follows the first `done` bytes of `head` and `body`, or with
    /// the beginning of that. How many bytes it took; 0 if there is no room.
    ///
    /// The length of `head` is a multiple of 8 and at most [`START`]; `done` is 0 or what was taken
    /// before.
    ///
    /// # Errors
    ///
    /// [`RingError::Taken`].
    pub(crate) fn push(
        &mut self,
        head: &[u8],
        body: &[u8],
        done: usize,
    ) -> Result<usize, RingError> {
        let left = head.len() + body.len() - done;
        let length = left.min(longest(&self.track) as usize);
        let bulk = bulk_of(length as u64);
        if length == 0 || !self.has_room(bulk)? {
            return Ok(0);
        }
        let slot = place(self.sent, self.track.slots());
        // Only the first record has the head, and all of it.
        let (head, body) = match done.checked_sub(head.len()) {
            None => (head, &body[..length - head.len()]),
            Some(from) => (&[][..], &body[from..from + length]),
        };
        let (start, rest) = body.split_at(body.len().min(START - head.len()));
        self.track.fill(Place::Slot(slot), 0, head);
        self.track.fill(Place::Slot(slot), head.len(), start);
        let at = place(self.bulk_sent, self.track.bulk());
        let (before_end, from_start) =
            rest.split_at(rest.len().min(self.track.bulk() as usize - at));
        self.track.fill(Place::Bulk, at, before_end);
        self.track.fill(Place::Bulk, 0, from_start);
        // Publishes the record; pairs with the Acquire in `Reader::open`.
        self.track.announcement(slot).store(announcement(self.sent, length as u32), Release);
        self.sent += 1;
        self.bulk_sent += bulk;
        self.ends[slot] = self.bulk_sent;
        Ok(length)
    }

    /// Whether the next record of a message finds room, of which `left` bytes are still to be put in.
    ///
    /// # Errors
    ///
    /// [`RingError::Taken`].
    pub(crate) fn has_room_for(&mut self, left: usize) -> Result<bool, RingError> {
        self.has_room(bulk_of((left as u64).min(longest(&self.track))))
    }

    fn has_room(&mut self, bulk: u64) -> Result<bool, RingError> {
        if self.fits(bulk) {
            return Ok(true);
        }
        // Pairs with the Release in `Reader::settle`: what was taken was copied out before.
        let claimed = self.track.taken().load(Acquire);
        if claimed < self.taken || claimed > self.sent {
            return Err(RingError::Taken { claimed, sent: self.sent });
        }
        if claimed > self.taken {
            self.taken = claimed;
            self.bulk_taken = self.ends[place(claimed - 1, self.track.slots())];
        }
        Ok(self.fits(bulk))
    }

    fn fits(&self, bulk: u64) -> bool {
        self.sent - self.taken < self.track.slots()
            && self.bulk_sent + bulk - self.bulk_taken <= self.track.bulk()
    }
}

/// The end that takes records out.
#[derive(Debug)]
pub(crate) struct Reader<T> {
    track: T,
    taken: u64,
    bulk_taken: u64,
    /// What the writer was told.
    settled: u64,
    bulk_settled: u64,
}

impl<T: Track> Reader<T> {
    /// The only reader of `track`, from which nothing was ever read.
    pub(crate) fn new(track: T) -> Self {
        Reader { track, taken: 0, bulk_taken: 0, settled: 0, bulk_settled: 0 }
    }

    /// Looks for the next record and tells its length. To be [copied](Self::copy) out and
    /// [closed](Self::close) before the next call.
    ///
    /// # Errors
    ///
    /// [`RingError::Length`].
    #[inline]
    pub(crate) fn open(&self) -> Result<Option<usize>, RingError> {
        let slot = place(self.taken, self.track.slots());
        // Pairs with the Release in `Writer::push`: the record is there. Looked at once.
        let announced = self.track.announcement(slot).load(Acquire);
        if announced as u32 != announcement(self.taken, 0) as u32 {
            return Ok(None);
        }
        let (length, most) = ((announced >> 32) as u32, longest(&self.track));
        if length == 0 || u64::from(length) > most {
            return Err(RingError::Length { length, most });
        }
        Ok(Some(length as usize))
    }

    /// The longest record there can be, in bytes.
    pub(crate) fn longest(&self) -> usize {
        longest(&self.track) as usize
    }

    /// Copies bytes of the record found, from `at` on, a multiple of 8, until `into` is full.
    ///
    /// Whatever `into` asks for beyond the record are some bytes of the ring.
    ///
    /// # Panics
    ///
    /// If no record can be so long.
    pub(crate) fn copy(&self, at: usize, into: &mut [u8]) {
        let (start, rest) = into.split_at_mut(into.len().min(START.saturating_sub(at)));
        if !start.is_empty() {
            let slot = place(self.taken, self.track.slots());
            self.track.copy(Place::Slot(slot), at, start);
        }
        let bulk = self.track.bulk();
        let begin = place(self.bulk_taken + at.saturating_sub(START) as u64, bulk);
        let (before_end, from_start) = rest.split_at_mut(rest.len().min(bulk as usize - begin));
        self.track.copy(Place::Bulk, begin, before_end);
        self.track.copy(Place::Bulk, 0, from_start);
    }

    /// Goes on behind the record found, which was `length` bytes long. Whether the writer was told,
    /// as it is now and then: it may sleep for that.
    #[must_use]
    pub(crate) fn close(&mut self, length: usize) -> bool {
        self.taken += 1;
        self.bulk_taken += bulk_of(length as u64);
        // Rarely, because each time the line has to travel. Often enough: while less than a share
        // is unsettled a writer finds room for a record, or the ring still has records to be taken.
        let due = self.taken - self.settled >= self.track.slots() / SHARE
            || self.bulk_taken - self.bulk_settled >= self.track.bulk() / SHARE;
        due && self.settle()
    }

    /// Tells the writer what was taken. Whether there was anything to tell.
    #[must_use]
    pub(crate) fn settle(&mut self) -> bool {
        if self.settled == self.taken {
            return false;
        }
        (self.settled, self.bulk_settled) = (self.taken, self.bulk_taken);
        // Pairs with the Acquire in `Writer::has_room`: the records were copied out.
        self.track.taken().store(self.taken, Release);
        true
    }
}

/// What a side sleeps for; 0 if it is awake.
pub(crate) mod sleep {
    /// The next record.
    pub(crate) const RECORDS: u64 = 1;
    /// Room for a record of its own.
    pub(crate) const ROOM: u64 = 2;
}

/// Says that this side is about to sleep for `what`. To look for it once more afterwards is up to
/// the caller, and to say that it is awake.
pub(crate) fn fall_asleep(own: &AtomicU64, what: u64) {
    own.store(what, Relaxed);
    // Pairs with the fence in `must_wake`: either the peer sees that we sleep, or our last look
    // sees what it did.
    fence(SeqCst);
}

/// Says that this side is awake. The peer may miss it, and then wakes for nothing.
pub(crate) fn wake_up(own: &AtomicU64) {
    own.store(0, Relaxed);
}

/// Whether the peer sleeps for `what`, which this side has just done, and must be woken. Says so
/// once for each time it fell asleep.
pub(crate) fn must_wake(peer: &AtomicU64, what: u64) -> bool {
    // Pairs with the fence in `fall_asleep`.
    fence(SeqCst);
    // Whatever it sleeps for when it is marked as awake: who marks it has to wake it.
    peer.load(Relaxed) & what != 0 && peer.swap(0, Relaxed) != 0
}
