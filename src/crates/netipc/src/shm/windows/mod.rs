//! Windows: a region is a mapping of memory with a name, and its bells are events.

mod mapping;
mod region;
#[cfg(test)]
mod tests;

use std::{io, path::Path};

use netipc_proto::handshake::profile;

/// What to ask for when shared memory is wanted: not the profile that never sleeps.
pub(crate) const USUAL_PROFILES: u32 = profile::SHM_HYBRID;
/// The profile of rings: there are none here.
pub(crate) const RING_PROFILE: u32 = 0;

pub(crate) use mapping::Mapped;
pub(crate) use region::Region;

/// Nothing is left of dead servers here: the system removes regions with their last handle.
///
/// # Errors
///
/// None.
pub(crate) fn sweep(_dir: &Path, _service: &str) -> io::Result<()> {
    Ok(())
}
