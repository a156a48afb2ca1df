//! What the operating system gives: packets between processes, and ways to wait for them.
//!
//! Nothing here knows what a packet means. Each system has the same names behind one module.

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as imp;

pub use imp::{Abort, PeerCredentials};
pub(crate) use imp::{
    Alarm, FileId, Interest, ListenSocket, Poller, Probe, Readiness, Socket, describe,
    is_exhaustion, probe,
};
