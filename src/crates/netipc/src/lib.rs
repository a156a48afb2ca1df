//! x

// Until what uses them is there.
#[allow(dead_code, unused_imports)]
mod endpoint;
mod error;
#[allow(dead_code, unused_imports)]
mod shm;
#[allow(dead_code, unused_imports)]
mod sys;
mod wait;

pub use error::{Error, ErrorKind, Result};
pub use shm::{RegionError, RegionFault};
pub use sys::{Abort, PeerCredentials};
pub use wait::Wait;
