//! What may be sent and received in a session (PROTOCOL.md, sections 7 to 9).

use alloc::collections::VecDeque;
use core::fmt;

use crate::{
    envelope::{Header, Kind},
    handshake::Agreement,
    items::{Items, Rule},
    layout::Malformed,
};

/// A message that breaks the rules of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its envelope, or its directory of a batch, breaks the layout.
    Malformed(Malformed),
    /// More bytes follow its envelope than the envelope says.
    Trailing,
    /// Its length in shared memory and in its envelope differ.
    Length,
    /// The head of one of its parts breaks the layout.
    BadPart(Malformed),
    /// A part does not continue it.
    WrongPart,
    /// It needs several packets, and they are too small for that.
    PacketSize,
    /// Its payload is longer than agreed, or than can be sent at all.
    TooLong {
        /// In bytes.
        payload: u64,
        /// In bytes.
        limit: u32,
    },
    /// It has more items than agreed.
    TooManyItems {
        /// How many it has.
        items: u32,
        /// How many it may have.
        limit: u32,
    },
    /// A request with this id is in flight already.
    DuplicateId(u64),
    /// No request with this id is in flight.
    UnknownId(u64),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Malformed(malformed) | Fault::BadPart(malformed) => malformed.fmt(f),
            Fault::Trailing => f.write_str("packet is longer than its message"),
            Fault::Length => f.write_str("message is not as long as its envelope says"),
            Fault::WrongPart => f.write_str("part does not continue its message"),
            Fault::PacketSize => f.write_str("packets are too small for a message in parts"),
            Fault::TooLong { payload, limit } => {
                write!(f, "payload of {payload} bytes, at most {limit} were agreed")
            }
            Fault::TooManyItems { items, limit } => {
                write!(f, "{items} items, at most {limit} were agreed")
            }
            Fault::DuplicateId(id) => write!(f, "a request with id {id} is in flight already"),
            Fault::UnknownId(id) => write!(f, "no request with id {id} is in flight"),
        }
    }
}

impl core::error::Error for Fault {}

/// Which side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that asks.
    Client,
    /// The one that answers.
    Server,
}

/// How large messages in one direction may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest payload, in bytes.
    pub payload_bytes: u32,
    /// The most items.
    pub items: u32,
}

impl Limits {
    /// Checks the envelope of a message against them.
    ///
    /// # Errors
    ///
    /// Too long, or too many items.
    #[inline]
    pub fn check(&self, header: &Header) -> Result<(), Fault> {
        let (payload, limit) = (u64::from(header.payload_len), self.payload_bytes);
        if header.payload_len > limit || header.payload_len > u32::MAX - Header::LEN as u32 {
            return Err(Fault::TooLong { payload, limit });
        }
        let (items, limit) = (header.item_count, self.items);
        if items > limit { Err(Fault::TooManyItems { items, limit }) } else { Ok(()) }
    }
}

/// The rules of one side of a session, and the requests it waits for.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Which side it is.
    pub role: Role,
    /// What it may send.
    pub outgoing: Limits,
    /// What it may get.
    pub incoming: Limits,
    in_flight: InFlight,
}

impl Rules {
    /// The rules that `agreement` makes for one side.
    pub fn new(role: Role, agreement: &Agreement) -> Self {
        let request = Limits {
            payload_bytes: agreement.agreed_max_request_payload_bytes,
            items: agreement.agreed_max_request_batch_items,
        };
        let response = Limits {
            payload_bytes: agreement.agreed_max_response_payload_bytes,
            items: agreement.agreed_max_response_batch_items,
        };
        let (outgoing, incoming) = match role {
            Role::Client => (request, response),
            Role::Server => (response, request),
        };
        Rules { role, outgoing, incoming, in_flight: InFlight::default() }
    }

    /// Checks a message that is about to be sent. A client's request is in flight from here on.
    ///
    /// # Errors
    ///
    /// It may not be sent. Nothing has changed then.
    #[inline]
    pub fn send(&mut self, header: &Header) -> Result<(), Fault> {
        let tracked = self.role == Role::Client && header.kind == Kind::Request;
        if tracked && self.in_flight.contains(header.message_id) {
            return Err(Fault::DuplicateId(header.message_id));
        }
        self.outgoing.check(header)?;
        if tracked {
            self.in_flight.insert(header.message_id);
        }
        Ok(())
    }

    /// Takes back a request that could not be sent.
    pub fn unsend(&mut self, header: &Header) {
        self.in_flight.remove(header.message_id);
    }

    /// Checks the envelope of a message that comes in. Its request is no longer in flight.
    ///
    /// # Errors
    ///
    /// It breaks the rules; the session must end.
    #[inline]
    pub fn receive(&mut self, header: &Header) -> Result<(), Fault> {
        self.incoming.check(header)?;
        let tracked = self.role == Role::Client && header.kind == Kind::Response;
        if tracked && !self.in_flight.remove(header.message_id) {
            return Err(Fault::UnknownId(header.message_id));
        }
        Ok(())
    }

    /// How many requests are in flight.
    #[inline]
    pub fn in_flight(&self) -> usize {
        self.in_flight.0.len()
    }

    /// The ids of the requests in flight, in ascending order.
    pub fn in_flight_ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.in_flight.0.iter().copied()
    }
}

/// Checks the directory of a message that came in whole.
///
/// # Errors
///
/// It is a batch of several items and an entry points outside or is not aligned.
#[inline]
pub fn check_batch(header: &Header, payload: &[u8]) -> Result<(), Fault> {
    if header.is_batch() && header.item_count > 1 {
        Items::read(payload, header.item_count, Rule::Free(0)).map_err(Fault::Malformed)?;
    }
    Ok(())
}

/// Ids in ascending order: most come so, and go so.
#[derive(Clone, Debug, Default)]
struct InFlight(VecDeque<u64>);

impl InFlight {
    #[inline]
    fn contains(&self, id: u64) -> bool {
        !self.is_next(id) && self.0.binary_search(&id).is_ok()
    }

    #[inline]
    fn insert(&mut self, id: u64) {
        if self.is_next(id) {
            self.0.push_back(id);
        } else {
            let at = self.0.partition_point(|&other| other < id);
            self.0.insert(at, id);
        }
    }

    #[inline]
    fn remove(&mut self, id: u64) -> bool {
        if self.0.front() == Some(&id) {
            return self.0.pop_front().is_some();
        }
        self.0.binary_search(&id).is_ok_and(|at| self.0.remove(at).is_some())
    }

    /// Whether it is above all of them.
    fn is_next(&self, id: u64) -> bool {
        self.0.back().is_none_or(|&last| last < id)
    }
}
