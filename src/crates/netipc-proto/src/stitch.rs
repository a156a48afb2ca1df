//! One lookup in several calls: which keys to ask next, and the answers put together
//! (PROTOCOL.md, section 21).

use alloc::{vec, vec::Vec};
use core::fmt;

use crate::{
    handshake::Agreement,
    layout::{Scalar, Span, Unwritable, align8},
    lookup::{Found, Lookup, LookupReplyHeader, LookupRequestHeader, Shortfall},
    pen::Pen,
    service::Service,
};

/// How much one lookup may take, however many calls it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceilings {
    /// The most keys.
    pub items: u32,
    /// The most calls.
    pub subcalls: u32,
    /// The longest reply, in bytes.
    pub response_bytes: u32,
}

impl Default for Ceilings {
    fn default() -> Self {
        Ceilings { items: 65536, subcalls: 4096, response_bytes: 64 << 20 }
    }
}

/// Why a lookup fails although every call went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// A key has no form on the wire.
    Unwritable(Unwritable),
    /// More keys than one lookup may have.
    TooManyKeys,
    /// More calls than one lookup may take.
    TooManyCalls,
    /// The answers are longer than the reply to one lookup may be.
    TooLong,
    /// A key alone is longer than a request may be.
    KeyTooLong,
    /// A reply has not one item per key.
    Count,
    /// A reply answers another key, or leaves out one but not those behind it.
    Keys,
    /// Not one key was answered, so asking again would not end.
    NoProgress,
    /// The provider changed while it was asked, twice.
    Generation,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mismatch::Unwritable(unwritable) => return unwritable.fmt(f),
            Mismatch::TooManyKeys => "more keys than one lookup may have",
            Mismatch::TooManyCalls => "more calls than one lookup may take",
            Mismatch::TooLong => "the answers are longer than the reply to one lookup may be",
            Mismatch::KeyTooLong => "a key is longer than a request may be",
            Mismatch::Count => "the reply has not one item per key",
            Mismatch::Keys => "the reply answers other keys than were asked",
            Mismatch::NoProgress => "the provider's replies have no room for a single answer",
            Mismatch::Generation => "the provider changed while it was asked",
        })
    }
}

impl core::error::Error for Mismatch {}

/// How long a value is taken to be before there was any, in bytes.
const USUAL_VALUE: usize = 64;

/// What to do next for a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send a request with the next keys; see [`Stitch::write`].
    Ask,
    /// Get a session that takes requests of this many bytes, or say that there is none with
    /// [`Stitch::no_larger_request`].
    Grow(usize),
    /// Nothing: every key has its answer.
    Done,
}

/// A lookup under way.
///
/// The answers are collected as one reply from the start, so that the end of it costs nothing.
#[derive(Debug)]
pub struct Stitch<'k, 'o, L: Lookup> {
    keys: &'k [L::Key<'k>],
    ceilings: Ceilings,
    /// The reply: a head, a directory with an entry per key, and the answers so far.
    out: &'o mut Vec<u8>,
    answered: usize,
    asked: usize,
    generation: Option<u64>,
    subcalls: u32,
    /// The most keys to ask at once; fewer after a reply did not fit.
    most: usize,
    /// How many answers came so far, and how many bytes of a reply they took.
    seen: (usize, usize),
    restarted: bool,
    /// The next key did not fit a reply together with others and is asked alone.
    alone: bool,
    no_larger_request: bool,
}

impl<'k, 'o, L: Lookup> Stitch<'k, 'o, L> {
    /// A lookup of `keys` whose reply will be put together in `out`.
    ///
    /// # Errors
    ///
    /// There are too many keys.
    pub fn new(
        keys: &'k [L::Key<'k>],
        ceilings: Ceilings,
        out: &'o mut Vec<u8>,
    ) -> Result<Self, Mismatch> {
        if keys.len() > ceilings.items as usize {
            return Err(Mismatch::TooManyKeys);
        }
        let mut stitch = Stitch {
            keys,
            ceilings,
            out,
            answered: 0,
            asked: 0,
            generation: None,
            subcalls: 0,
            most: usize::MAX,
            seen: (0, 0),
            restarted: false,
            alone: false,
            no_larger_request: false,
        };
        stitch.restart();
        Ok(stitch)
    }

    fn area(&self) -> usize {
        LookupReplyHeader::LEN + self.keys.len() * Span::SIZE
    }

    fn restart(&mut self) {
        (self.answered, self.generation, self.alone) = (0, None, false);
        self.out.clear();
        self.out.resize(self.area(), 0);
    }

    /// What to do next, in a session with these limits.
    ///
    /// # Errors
    ///
    /// The lookup cannot go on.
    pub fn next(&mut self, limits: &Agreement) -> Result<Step, Mismatch> {
        let request_limit = limits.agreed_max_request_payload_bytes as usize;
        let response_limit = limits.agreed_max_response_payload_bytes as usize;
        loop {
            let rest = &self.keys[self.answered..];
            // An empty list, or one whose keys all had to be answered here, is asked all the same:
            // the generation has to come from somewhere.
            if rest.is_empty() && self.generation.is_some() {
                return Ok(Step::Done);
            }
            let most = match rest.first() {
                Some(&first) if !self.alone => self.most.min(self.expected(first, response_limit)),
                _ => 1,
            };
            let (mut request, mut reply) = (LookupRequestHeader::LEN, LookupReplyHeader::LEN);
            let fit = rest.iter().take(most).take_while(|key| {
                request = (align8(request) + Span::SIZE).saturating_add(L::key_len(**key));
                reply = (align8(reply) + Span::SIZE).saturating_add(L::bare_len(**key));
                request <= request_limit && reply <= response_limit
            });
            self.asked = fit.count();
            if let Some(first) = rest.first().filter(|_| self.asked == 0) {
                let needed = L::request_len(core::slice::from_ref(first));
                if needed == usize::MAX {
                    let why = &"key without a form on the wire";
                    return Err(Mismatch::Unwritable(Unwritable::Invalid(why)));
                }
                if needed > request_limit {
                    if !self.no_larger_request {
                        return Ok(Step::Grow(needed));
                    }
                    self.answer_here(*first)?;
                    continue;
                }
                // It is the reply that has no room; let the server say so.
                self.asked = 1;
            }
            self.subcalls += 1;
            return match self.subcalls > self.ceilings.subcalls {
                true => Err(Mismatch::TooManyCalls),
                false => Ok(Step::Ask),
            };
        }
    }

    /// How many answers as long as those so far fit a reply. Asking for more would fill the reply
    /// with items that only say so, each in the room of an answer.
    fn expected(&self, first: L::Key<'k>, response_limit: usize) -> usize {
        let room = response_limit.saturating_sub(LookupReplyHeader::LEN) as u64;
        let (answers, bytes) = match self.seen {
            (0, _) => (1, (Span::SIZE + USUAL_VALUE).saturating_add(L::bare_len(first))),
            seen => seen,
        };
        let expected = room.saturating_mul(answers as u64) / bytes as u64;
        usize::try_from(expected).unwrap_or(usize::MAX).max(1)
    }

    /// Says that there is no session that takes larger requests: keys that do not fit are answered
    /// as oversized without being asked.
    pub fn no_larger_request(&mut self) {
        self.no_larger_request = true;
    }

    fn answer_here(&mut self, key: L::Key<'k>) -> Result<(), Mismatch> {
        if *L::KEY.start() == *L::KEY.end() {
            return Err(Mismatch::KeyTooLong);
        }
        let mut item = vec![0; L::bare_len(key)];
        L::write(key, Err(Shortfall::Oversized), &mut Pen::on(&mut item))
            .map_err(Mismatch::Unwritable)?;
        self.append(&item)
    }

    /// Writes the request with the next keys and returns its length.
    ///
    /// # Errors
    ///
    /// A key has no form on the wire.
    pub fn write(&self, out: &mut [u8]) -> Result<usize, Mismatch> {
        let keys = &self.keys[self.answered..][..self.asked];
        <L as Service>::write_request(keys, out).map_err(Mismatch::Unwritable)
    }

    /// How long the request with the next keys is.
    pub fn request_len(&self) -> usize {
        <L as Service>::request_len(&self.keys[self.answered..][..self.asked])
    }

    /// Takes the reply to the last request. True if it is the whole answer as it stands, so that
    /// nothing has to be put together.
    ///
    /// # Errors
    ///
    /// It does not answer what was asked.
    pub fn take(&mut self, reply: Found<'_, L>) -> Result<bool, Mismatch> {
        if self.generation.is_some_and(|first| first != reply.generation) {
            // The provider changed or was replaced. What was answered before is of no use.
            if core::mem::replace(&mut self.restarted, true) {
                return Err(Mismatch::Generation);
            }
            self.restart();
            return Ok(false);
        }
        let asked = &self.keys[self.answered..][..self.asked];
        if reply.len() as usize != asked.len() {
            return Err(Mismatch::Count);
        }
        let mut answered = 0;
        let mut cut = false;
        for (index, ((echoed, shortfall), &key)) in reply.outlines().zip(asked).enumerate() {
            let exceeded = shortfall == Some(Shortfall::PayloadExceeded);
            if key != echoed || (cut && !exceeded) {
                return Err(Mismatch::Keys);
            }
            // A server may give up on the first value only because of the others behind it.
            let first_of_many = index == 0 && asked.len() > 1;
            if first_of_many && shortfall == Some(Shortfall::Oversized) && !self.alone {
                self.alone = true;
                self.generation = Some(reply.generation);
                return Ok(false);
            }
            cut |= exceeded;
            answered += usize::from(!exceeded);
        }
        if answered == 0 && !asked.is_empty() {
            return Err(Mismatch::NoProgress);
        }
        self.alone = false;
        self.generation = Some(reply.generation);
        if answered == self.keys.len() {
            self.answered = answered;
            return Ok(true);
        }
        for item in reply.raw().take(answered) {
            self.append(item)?;
            self.seen.0 += 1;
            self.seen.1 += Span::SIZE + align8(item.len());
        }
        Ok(false)
    }

    fn append(&mut self, item: &[u8]) -> Result<(), Mismatch> {
        let start = align8(self.out.len());
        let end = start + item.len();
        if end > self.ceilings.response_bytes as usize {
            return Err(Mismatch::TooLong);
        }
        let entry = LookupReplyHeader::LEN + self.answered * Span::SIZE;
        let offset = (start - self.area()) as u32;
        Span { offset, length: item.len() as u32 }.put(&mut self.out[entry..]);
        self.out.resize(start, 0);
        self.out.extend_from_slice(item);
        self.answered += 1;
        Ok(())
    }

    /// Asks for half as many keys from now on, since the reply did not fit. False if that is not
    /// possible.
    pub fn halve(&mut self) -> bool {
        let halved = self.asked / 2;
        if halved > 0 {
            self.most = halved;
        }
        halved > 0
    }

    /// Ends the lookup: all answers now stand in `out` as one reply, as if there had been one call.
    /// [`Found::again`] reads it.
    pub fn finish(self) {
        let generation = self.generation.unwrap_or(0);
        let item_count = self.keys.len() as u32;
        LookupReplyHeader { item_count, generation }.write(self.out);
    }
}
