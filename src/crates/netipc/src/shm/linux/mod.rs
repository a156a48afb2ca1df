//! Linux: a region is a file in the service's directory, and its bells are futexes.

mod futex;
mod mapping;
mod region;
mod stale;

pub(crate) use mapping::{Direction, Mapped};
pub(crate) use region::Region;
pub(crate) use stale::sweep;
