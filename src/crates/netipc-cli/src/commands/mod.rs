//! The commands, one file each.

pub mod lookup;
pub mod ls;
pub mod ping;
pub mod serve;
pub mod snapshot;
