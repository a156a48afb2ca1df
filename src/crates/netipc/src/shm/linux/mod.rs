//! Linux: a region is a file in the service's directory, and its bells are futexes.

mod futex;
mod mapping;
mod region;
mod stale;

use netipc_proto::handshake::profile;

/// What to ask for when shared memory is wanted. On this system both profiles are the same.
pub(crate) const USUAL_PROFILES: u32 = profile::SHM;

pub(crate) use mapping::Mapped;
pub(crate) use region::Region;
pub(crate) use stale::sweep;
