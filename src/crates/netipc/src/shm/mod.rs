//! Sessions over shared memory: a region per session, with a lane in each direction.

mod atomic;
mod lane;
#[cfg(target_os = "linux")]
mod linux;
mod region_error;
#[cfg(target_os = "linux")]
use linux as imp;

use std::time::Instant;

pub(crate) use imp::{Direction, Region, sweep};
pub(crate) use lane::{LaneError, Received};
pub use region_error::{RegionError, RegionFault};

use crate::error::{Error, ErrorKind};
use imp::Mapped;
use lane::{Reader, USUAL_SPINS, Writer};

/// Ends the wait of one end of a session for a message, from any thread of that end's process.
/// Keeps the memory mapped, but not the file.
pub(crate) type Bell = lane::Bell<Mapped>;

/// One end of a session over shared memory. Messages of a session alternate: a request, its
/// response, the next request.
#[derive(Debug)]
pub(crate) struct Shared {
    incoming: Reader<Mapped>,
    outgoing: Writer<Mapped>,
    region: Region,
}

impl Shared {
    /// The server's end of a region that was created, the client's of one that was attached to.
    pub(crate) fn new(region: Region) -> Self {
        let (incoming, outgoing) = if region.is_own() {
            (Direction::Request, Direction::Response)
        } else {
            (Direction::Response, Direction::Request)
        };
        let incoming = Reader::new(region.lane(incoming), USUAL_SPINS);
        let outgoing = Writer::new(region.lane(outgoing));
        Shared { incoming, outgoing, region }
    }

    /// Sends `head` and `body` as one message. Never waits.
    ///
    /// # Errors
    ///
    /// [`LaneError::Empty`], [`LaneError::TooLarge`]: nothing was sent.
    pub(crate) fn publish(&mut self, head: &[u8], body: &[u8]) -> Result<(), LaneError> {
        self.outgoing.publish(head, body)
    }

    /// Waits for a message of at most `limit` bytes until a bell or `until`. Its first bytes are
    /// stored in `head`; `body` is replaced by the others.
    ///
    /// # Errors
    ///
    /// [`LaneError::TooLarge`], [`LaneError::NoLength`]: the message is lost.
    pub(crate) fn receive(
        &mut self,
        head: &mut [u8; 32],
        body: &mut Vec<u8>,
        limit: usize,
        until: Option<Instant>,
    ) -> Result<Received, LaneError> {
        let received = self.incoming.take(limit, until)?;
        if let Received::Message(length) = received {
            let in_head = length.min(head.len());
            self.incoming.copy(0, &mut head[..in_head]);
            // Not cleared first, so that only what is longer than the last message is zeroed.
            body.resize(length - in_head, 0);
            self.incoming.copy(in_head, body);
        }
        Ok(received)
    }

    /// As [`receive`](Self::receive), into one buffer, which is the limit.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub(crate) fn receive_into(
        &mut self,
        buffer: &mut [u8],
        until: Option<Instant>,
    ) -> Result<Received, LaneError> {
        let received = self.incoming.take(buffer.len(), until)?;
        if let Received::Message(length) = received {
            self.incoming.copy(0, &mut buffer[..length]);
        }
        Ok(received)
    }

    /// What ends this end's waits from other threads.
    pub(crate) fn bell(&self) -> Bell {
        self.incoming.bell()
    }

    /// The memory and its file.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// This end's own count of what came in.
    pub(crate) fn incoming_sequence(&self) -> u64 {
        self.incoming.taken()
    }

    /// This end's own count of what went out.
    pub(crate) fn outgoing_sequence(&self) -> u64 {
        self.outgoing.written()
    }

    /// How often a wait looks for a message before it sleeps.
    pub(crate) fn set_spins(&mut self, spins: u32) {
        self.incoming.set_spins(spins);
    }
}

impl From<LaneError> for Error {
    fn from(error: LaneError) -> Self {
        let kind = match error {
            LaneError::Empty => ErrorKind::InvalidInput,
            LaneError::TooLarge { .. } => ErrorKind::LimitExceeded,
            LaneError::NoLength => ErrorKind::Protocol,
        };
        Error::new(kind, error.to_string())
    }
}
