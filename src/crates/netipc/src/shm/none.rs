//! Systems without a carrier: there are no regions.

use std::{convert::Infallible, io, path::Path, ptr::NonNull, time::Instant};

use netipc_proto::handshake::profile;

use super::{
    Place,
    atomic::{AtomicU32, AtomicU64},
    lane::{Armed, Slot, Wakeup},
    layout::{Direction, RegionLayout},
    region_error::{RegionError, RegionFault},
};

/// What to ask for when shared memory is wanted.
pub(crate) const USUAL_PROFILES: u32 = profile::SHM;
/// The profile of rings: there are none here.
pub(crate) const RING_PROFILE: u32 = 0;

/// Nothing is left of dead servers where there are none.
///
/// # Errors
///
/// None.
pub(crate) fn sweep(_dir: &Path, _service: &str) -> io::Result<()> {
    Ok(())
}

#[derive(Debug)]
pub(crate) struct Region(Infallible);

impl Region {
    pub(crate) fn create(place: &Place<'_>, _: u32, _: u32) -> Result<Self, RegionError> {
        Self::attach(place)
    }

    pub(crate) fn attach(place: &Place<'_>) -> Result<Self, RegionError> {
        Err(RegionError::system(RegionFault::Open, place.dir, io::ErrorKind::Unsupported))
    }

    pub(crate) fn is_own(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn lane(&self, _: Direction) -> Mapped {
        match self.0 {}
    }

    pub(crate) fn spins(&self) -> u32 {
        match self.0 {}
    }

    pub(crate) fn layout(&self) -> RegionLayout {
        match self.0 {}
    }

    pub(crate) fn start(&self) -> NonNull<u8> {
        match self.0 {}
    }

    pub(crate) fn size(&self) -> usize {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct Mapped(Infallible);

impl Slot for Mapped {
    fn sequence(&self) -> &AtomicU64 {
        match self.0 {}
    }

    fn length(&self) -> &AtomicU32 {
        match self.0 {}
    }

    fn wakeup(&self) -> Wakeup<'_> {
        match self.0 {}
    }

    fn capacity(&self) -> usize {
        match self.0 {}
    }

    fn fill(&self, _at: usize, _from: &[u8]) {
        match self.0 {}
    }

    fn copy(&self, _at: usize, _into: &mut [u8]) {
        match self.0 {}
    }

    fn sleep(&self, _rung: &AtomicU32, _armed: Armed, _until: Option<Instant>) {
        match self.0 {}
    }

    fn wake_peer(&self) {
        match self.0 {}
    }

    fn wake_own(&self, _rung: &AtomicU32) {
        match self.0 {}
    }
}
