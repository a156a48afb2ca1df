//! Sessions over shared memory: a region per session, with a lane in each direction.

pub(crate) mod atomic;
mod lane;
pub(crate) mod layout;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(any(target_os = "linux", windows)))]
mod none;
mod region_error;
#[cfg(target_os = "linux")]
pub(crate) mod ring;
#[cfg(test)]
mod tests;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
mod words;
#[cfg(target_os = "linux")]
use linux as imp;
#[cfg(not(any(target_os = "linux", windows)))]
use none as imp;
#[cfg(windows)]
use windows as imp;

use std::{path::Path, time::Instant};

use netipc_proto::handshake::profile;

#[cfg(target_os = "linux")]
pub(crate) use imp::{Lengths, MappedRing, RingMemory};
pub(crate) use imp::{RING_PROFILE, Region, USUAL_PROFILES, sweep};
pub(crate) use lane::{LaneError, Taken};
pub use region_error::{RegionError, RegionFault};
#[cfg(target_os = "linux")]
pub(crate) use ring::RingError;

use crate::error::{Error, ErrorKind};
use imp::Mapped;
use lane::{Reader, Writer};
use layout::Direction;

/// Ends the wait of one end of a session for a message, from any thread of that end's process.
/// Keeps the memory mapped, but not the file.
pub(crate) type Bell = lane::Bell<Mapped>;

/// Which session a region belongs to: what systems make the region's name of.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The directory of the service.
    pub dir: &'a Path,
    /// The name of the service.
    pub service: &'a str,
    /// The number of the session.
    pub session_id: u64,
    /// What was agreed on. Means something on Windows only.
    pub profile: u32,
    /// What client and server both know. Counts on Windows only.
    pub auth_token: u64,
}

impl<'a> Place<'a> {
    /// The region of a session with the usual profile and no token.
    pub fn new(dir: &'a Path, service: &'a str, session_id: u64) -> Self {
        Place { dir, service, session_id, profile: profile::SHM_HYBRID, auth_token: 0 }
    }
}

/// One end of a session over shared memory. Messages of a session alternate: a request, its
/// response, the next request.
#[derive(Debug)]
pub(crate) struct Shared {
    incoming: Reader<Mapped>,
    outgoing: Writer<Mapped>,
    region: Region,
}

impl Shared {
    /// The server's end, in a [new region](Region::create).
    ///
    /// # Errors
    ///
    /// As [`Region::create`].
    pub(crate) fn create(
        place: &Place<'_>,
        request_capacity: u32,
        response_capacity: u32,
    ) -> Result<Self, RegionError> {
        Region::create(place, request_capacity, response_capacity).map(Shared::new)
    }

    /// The client's end, in the [server's region](Region::attach).
    ///
    /// # Errors
    ///
    /// As [`Region::attach`].
    pub(crate) fn attach(place: &Place<'_>) -> Result<Self, RegionError> {
        Region::attach(place).map(Shared::new)
    }

    fn new(region: Region) -> Self {
        let (incoming, outgoing) = if region.is_own() {
            (Direction::Request, Direction::Response)
        } else {
            (Direction::Response, Direction::Request)
        };
        let incoming = Reader::new(region.lane(incoming), region.spins());
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

    /// Looks for the next message and tells its length, which is neither 0 nor above `limit`. To be
    /// [copied](Self::copy) out before the next call.
    ///
    /// # Errors
    ///
    /// [`LaneError::TooLarge`], [`LaneError::NoLength`]: the message is passed over.
    pub(crate) fn poll(&mut self, limit: usize) -> Result<Option<usize>, LaneError> {
        self.incoming.poll(limit)
    }

    /// Waits for the next message until a [`Bell`] or `until`: first looking often, then asleep.
    ///
    /// # Errors
    ///
    /// As [`poll`](Self::poll).
    pub(crate) fn take(
        &mut self,
        limit: usize,
        until: Option<Instant>,
    ) -> Result<Taken, LaneError> {
        self.incoming.take(limit, until)
    }

    /// Copies bytes of the message found, from `at` on, until `into` is full.
    ///
    /// # Panics
    ///
    /// If the area that holds messages ends before.
    pub(crate) fn copy(&self, at: usize, into: &mut [u8]) {
        self.incoming.copy(at, into);
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
