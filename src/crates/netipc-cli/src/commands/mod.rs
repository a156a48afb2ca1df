//! The commands, one file each.

pub mod dashboard;
pub mod demo;
pub mod lookup;
pub mod ls;
pub mod ping;
pub mod serve;
pub mod snapshot;
pub mod watch;
