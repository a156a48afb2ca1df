//! One direction of a shared-memory session: a slot for one message, and a bell.
//!
//! The writer fills the slot, stores the length, then advances the sequence number. The number is
//! what publishes: who sees that it moved sees everything written before.
//!
//! ```text
//! writer                            reader
//! ------                            ------
//! copy message into slot
//! length    = n     (Release)
//! sequence += 1     (Release) ────▶ sequence moved?  (Acquire)
//! signal   += 1     (Release)       n = length       (Acquire)
//! wake who sleeps on signal         copy n bytes out
//! ```
//!
//! A reader that found nothing sleeps until the signal is no longer what it was before its last
//! look at the sequence. So a message that comes between that look and the sleep ends the sleep.
//!
//! Where the layout has flags in place of the signal, the reader sets one before that last look and
//! the writer asks for it after it advanced the sequence; a fence on each side makes sure that at
//! least one of the two sees what the other did.
//!
//! The peer is another process and may do anything to these words and bytes at any time. Each is
//! read once, into memory of our own, and only the copy is looked at. What a peer can spoil is its
//! own session. It cannot keep a reader from being woken by a [`Bell`], which has a word of its own.
//!
//! Every atomic that messages depend on is touched here and nowhere else; the other fields of a
//! region's header are written and read once, by who makes the region and who attaches to it.

use std::{fmt, hint, time::Instant};

use super::atomic::{
    Arc, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};

/// Where one direction lies, and how this system sleeps.
pub(crate) trait Slot {
    /// Counts messages.
    fn sequence(&self) -> &AtomicU64;

    /// Of the message in the slot, in bytes.
    fn length(&self) -> &AtomicU32;

    /// How the two ends tell each other that there is something to look at.
    fn wakeup(&self) -> Wakeup<'_>;

    /// The longest message, in bytes. Our own number, not the peer's.
    fn capacity(&self) -> usize;

    /// Copies `from` into the slot, `at` so many bytes behind its start.
    ///
    /// # Panics
    ///
    /// If it does not fit.
    fn fill(&self, at: usize, from: &[u8]);

    /// Copies bytes out of the slot, from `at` on, until `into` is full.
    ///
    /// # Panics
    ///
    /// If the slot has not so many.
    fn copy(&self, at: usize, into: &mut [u8]);

    /// Sleeps while the signal, if there is one, and `rung` both are what `armed` says, but not
    /// past `until`. May return early for no reason.
    fn sleep(&self, rung: &AtomicU32, armed: Armed, until: Option<Instant>);

    /// Wakes the peer's reader.
    fn wake_peer(&self);

    /// Wakes our own reader, whose `rung` has moved.
    fn wake_own(&self, rung: &AtomicU32);
}

/// How a layout lets a writer wake a reader.
#[allow(dead_code, reason = "the layout of a system has one of the two")]
pub(crate) enum Wakeup<'a> {
    /// Counts rings. Readers sleep while it stands still; nothing says whether one does.
    Signal(&'a AtomicU32),
    /// Readers sleep on something of the system's; the layout says whether one does.
    Flags {
        /// Not 0 while the reader sleeps or is about to.
        waiting: &'a AtomicU32,
        /// Not 0 when the writer has left.
        closed: &'a AtomicU32,
    },
}

/// What a reader found before its last look at the sequence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Armed {
    #[allow(dead_code, reason = "of no use to systems that have no signal")]
    pub(crate) signal: u32,
    pub(crate) rung: u32,
}

/// Why a message could not be put into a lane or taken out of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneError {
    /// A message of no bytes, which cannot be sent.
    Empty,
    /// The message has `length` bytes, and no more than `most` can be had.
    TooLarge { length: usize, most: usize },
    /// The peer announced a message of no bytes.
    NoLength,
}

impl fmt::Display for LaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LaneError::Empty => f.write_str("message is empty"),
            LaneError::TooLarge { length, most } => {
                write!(f, "message of {length} bytes, of {most} possible")
            }
            LaneError::NoLength => f.write_str("shared memory announces a message of no bytes"),
        }
    }
}

impl std::error::Error for LaneError {}

/// The end that puts messages in.
#[derive(Debug)]
pub(crate) struct Writer<S: Slot> {
    slot: S,
    written: u64,
}

impl<S: Slot> Writer<S> {
    /// The only writer of `slot`.
    pub(crate) fn new(slot: S) -> Self {
        let written = slot.sequence().load(Acquire);
        Writer { slot, written }
    }

    /// Puts one message of two parts into the slot and rings.
    ///
    /// The peer must have taken the message before: a request is followed by its response before
    /// the next request. Otherwise the slot is overwritten while the peer may read it.
    ///
    /// # Errors
    ///
    /// [`LaneError::Empty`], [`LaneError::TooLarge`]: nothing was done.
    pub(crate) fn publish(&mut self, head: &[u8], body: &[u8]) -> Result<(), LaneError> {
        let most = self.slot.capacity();
        let length = head.len().saturating_add(body.len());
        let stored = match u32::try_from(length) {
            Ok(0) => return Err(LaneError::Empty),
            Ok(stored) if length <= most => stored,
            _ => return Err(LaneError::TooLarge { length, most }),
        };
        self.slot.fill(0, head);
        self.slot.fill(head.len(), body);
        // Pairs with the Acquire of the length in `Reader::poll`.
        self.slot.length().store(stored, Release);
        // Publishes the message; pairs with the Acquire of the sequence in `Reader::poll`.
        self.slot.sequence().fetch_add(1, Release);
        self.written = self.written.wrapping_add(1);
        match self.slot.wakeup() {
            Wakeup::Signal(signal) => {
                // Pairs with the Acquire of the signal in `Reader::arm`: who arms with this value
                // sees the sequence above.
                signal.fetch_add(1, Release);
                // Always: nothing in the region says whether somebody sleeps.
                self.slot.wake_peer();
            }
            Wakeup::Flags { waiting, .. } => {
                // Pairs with the fence in `Reader::arm`: either that reader sees the sequence above,
                // or the flag is seen here.
                fence(SeqCst);
                if waiting.load(Relaxed) != 0 {
                    self.slot.wake_peer();
                }
            }
        }
        Ok(())
    }

    /// How many messages this end has put in, counted from what it found.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }
}

impl<S: Slot> Drop for Writer<S> {
    fn drop(&mut self) {
        if let Wakeup::Flags { closed, .. } = self.slot.wakeup() {
            // Pairs with the Acquire in `Reader::take`: what was sent before is seen there.
            closed.store(1, Release);
            self.slot.wake_peer();
        }
    }
}

/// The end that takes messages out.
#[derive(Debug)]
pub(crate) struct Reader<S> {
    lane: Arc<Watched<S>>,
    taken: u64,
    heard: u32,
    spins: u32,
}

/// A slot, and a word of our own that ends a sleep on it.
#[derive(Debug)]
struct Watched<S> {
    slot: S,
    rung: AtomicU32,
}

/// What a wait for a message came back with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A message of so many bytes.
    Message(usize),
    /// A [`Bell`] was rung since the last time this was said.
    Rung,
    /// The peer has left, and all it sent was taken.
    Closed,
    /// The time is over.
    TimedOut,
}

impl<S: Slot> Reader<S> {
    /// The only reader of `slot`. What is in it now is not taken for a message.
    pub(crate) fn new(slot: S, spins: u32) -> Self {
        let taken = slot.sequence().load(Acquire);
        let lane = Arc::new(Watched { slot, rung: AtomicU32::new(0) });
        Reader { lane, taken, heard: 0, spins }
    }

    /// Looks for the next message and tells its length, which is neither 0 nor above `limit`.
    ///
    /// # Errors
    ///
    /// [`LaneError::TooLarge`], [`LaneError::NoLength`]: the message is passed over.
    pub(crate) fn poll(&mut self, limit: usize) -> Result<Option<usize>, LaneError> {
        let slot = &self.lane.slot;
        // Pairs with the Release in `Writer::publish`: the message is there.
        if slot.sequence().load(Acquire) <= self.taken {
            return Ok(None);
        }
        self.taken += 1;
        let length = slot.length().load(Acquire) as usize;
        let most = limit.min(slot.capacity());
        match length {
            0 => Err(LaneError::NoLength),
            _ if length > most => Err(LaneError::TooLarge { length, most }),
            _ => Ok(Some(length)),
        }
    }

    /// Waits for the next message as [`poll`](Self::poll) finds it, until a bell or `until`. The
    /// message is to be copied out before the next call.
    ///
    /// # Errors
    ///
    /// As [`poll`](Self::poll).
    pub(crate) fn take(
        &mut self,
        limit: usize,
        until: Option<Instant>,
    ) -> Result<Taken, LaneError> {
        loop {
            for _ in 0..self.spins {
                if let Some(length) = self.poll(limit)? {
                    return Ok(Taken::Message(length));
                }
                hint::spin_loop();
            }
            let armed = self.arm();
            let found = self.look(limit, armed, until);
            if let Ok(None) = found {
                self.lane.slot.sleep(&self.lane.rung, armed, until);
            }
            self.disarm();
            if let Some(taken) = found? {
                return Ok(taken);
            }
        }
    }

    /// Makes the peer wake this reader if it does something from now on. To be followed by a look
    /// at what it did before.
    fn arm(&self) -> Armed {
        let signal = match self.lane.slot.wakeup() {
            // Pairs with the Releases in `Writer::publish` and `Bell::ring`: what was done before
            // the value read is seen by who looks now.
            Wakeup::Signal(signal) => signal.load(Acquire),
            Wakeup::Flags { waiting, .. } => {
                waiting.store(1, Relaxed);
                // Pairs with the fence in `Writer::publish`.
                fence(SeqCst);
                0
            }
        };
        // Pairs with the Release in `Bell::ring`.
        Armed { signal, rung: self.lane.rung.load(Acquire) }
    }

    fn disarm(&self) {
        if let Wakeup::Flags { waiting, .. } = self.lane.slot.wakeup() {
            // It stands for itself: one who sees it too late wakes nobody.
            waiting.store(0, Relaxed);
        }
    }

    /// The last look before a sleep: what there is instead of sleeping.
    fn look(
        &mut self,
        limit: usize,
        armed: Armed,
        until: Option<Instant>,
    ) -> Result<Option<Taken>, LaneError> {
        if let Some(length) = self.poll(limit)? {
            return Ok(Some(Taken::Message(length)));
        }
        if let Wakeup::Flags { closed, .. } = self.lane.slot.wakeup()
            // Pairs with the Release in the drop of the writer.
            && closed.load(Acquire) != 0
        {
            // It may have sent something just before it left.
            return Ok(Some(self.poll(limit)?.map_or(Taken::Closed, Taken::Message)));
        }
        if armed.rung != self.heard {
            self.heard = armed.rung;
            return Ok(Some(Taken::Rung));
        }
        Ok(until.is_some_and(|until| until <= Instant::now()).then_some(Taken::TimedOut))
    }

    /// Copies bytes of the message in the slot, from `at` on, until `into` is full.
    pub(crate) fn copy(&self, at: usize, into: &mut [u8]) {
        self.lane.slot.copy(at, into);
    }

    /// What wakes this reader from other threads of this process.
    pub(crate) fn bell(&self) -> Bell<S> {
        Bell(Arc::clone(&self.lane))
    }

    /// How often a wait looks before it sleeps.
    pub(crate) fn set_spins(&mut self, spins: u32) {
        self.spins = spins;
    }

    /// How many messages were taken, counted from what was there at first.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }
}

/// Ends the wait of one reader, from any thread of the reader's process.
#[derive(Debug)]
pub(crate) struct Bell<S>(Arc<Watched<S>>);

impl<S: Slot> Bell<S> {
    /// Makes the reader's wait end, or the next one if it does not wait now. A message that is
    /// there is still delivered first.
    pub(crate) fn ring(&self) {
        let Watched { slot, rung } = &*self.0;
        // Both pair with the Acquires in `Reader::arm`. The signal moves second: a reader that
        // arms with its new value sees the ring.
        rung.fetch_add(1, Release);
        if let Wakeup::Signal(signal) = slot.wakeup() {
            // To the peer this is a wake-up without a message, which it must expect anyway.
            signal.fetch_add(1, Release);
        }
        slot.wake_own(rung);
    }
}

impl<S> Clone for Bell<S> {
    fn clone(&self) -> Self {
        Bell(Arc::clone(&self.0))
    }
}
