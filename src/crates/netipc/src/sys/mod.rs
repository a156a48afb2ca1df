//! What the operating system gives: packets between processes, and ways to wait for them.
//!
//! Nothing here knows what a packet means. Each system has the same names behind one module.

mod abort;
mod faults;
#[cfg(test)]
mod tests;
#[cfg(target_os = "linux")]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
use unix as imp;
#[cfg(windows)]
use windows as imp;

pub use abort::Abort;
pub(crate) use faults::describe;
pub use imp::PeerCredentials;
#[cfg(windows)]
pub(crate) use imp::{Access, Signal, wait_for_any, wide};
pub(crate) use imp::{Alarm, Interest, ListenSocket, Poller, Readiness, Socket, is_exhaustion};
#[cfg(target_os = "linux")]
pub(crate) use imp::{FileId, Probe, probe};
