//! What the operating system gives: packets between processes, and ways to wait for them.
//!
//! Nothing here knows what a packet means. Each system has the same names behind one module.

mod abort;
mod faults;
mod interest;
#[cfg(not(any(target_os = "linux", windows)))]
mod none;
#[cfg(test)]
#[cfg(any(target_os = "linux", windows))]
mod tests;
#[cfg(target_os = "linux")]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(not(any(target_os = "linux", windows)))]
use none as imp;
#[cfg(target_os = "linux")]
use unix as imp;
#[cfg(windows)]
use windows as imp;

pub use abort::Abort;
pub(crate) use faults::describe;
pub use imp::PeerCredentials;
#[cfg(not(any(target_os = "linux", windows)))]
pub(crate) use imp::missing;
#[cfg(windows)]
pub(crate) use imp::{Access, Signal, wait_for_any, wide};
pub(crate) use imp::{Alarm, ListenSocket, Packet, Poller, Socket, is_exhaustion};
#[cfg(target_os = "linux")]
pub(crate) use imp::{FileId, Probe, Signal, Watch, effective_user, is_scarce, probe};
pub(crate) use interest::{Interest, Readiness};
