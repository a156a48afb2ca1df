//! Linux: a region is a file in the service's directory, and its bells are futexes.

mod futex;
mod mapping;
mod region;
mod ring_memory;
mod stale;
#[cfg(target_arch = "x86_64")]
mod stream;
#[cfg(not(target_arch = "x86_64"))]
#[path = "no_stream.rs"]
mod stream;

use netipc_proto::handshake::profile;

/// What to ask for when shared memory is wanted. On this system both profiles are the same.
pub(crate) const USUAL_PROFILES: u32 = profile::SHM;
/// The profile of rings.
pub(crate) const RING_PROFILE: u32 = profile::RING;

pub(crate) use mapping::Mapped;
pub(crate) use region::Region;
pub(crate) use ring_memory::{Lengths, Mapped as MappedRing, RingMemory};
pub(crate) use stale::sweep;
