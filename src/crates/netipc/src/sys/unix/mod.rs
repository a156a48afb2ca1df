//! Unix: SEQPACKET sockets named by a path.
//!
//! What differs between the systems of this family lies in modules of its own: [`alarm`],
//! [`signal`], [`poller`] and [`credentials`] are Linux's.

mod abort;
#[cfg(target_os = "linux")]
mod alarm;
#[cfg(target_os = "linux")]
mod credentials;
mod faults;
mod file;
mod poll;
#[cfg(target_os = "linux")]
mod poller;
#[cfg(target_os = "linux")]
mod signal;
mod socket;
#[cfg(test)]
mod tests;

pub use abort::Abort;
pub(crate) use alarm::Alarm;
pub use credentials::PeerCredentials;
pub(crate) use faults::{describe, is_exhaustion};
pub(crate) use file::FileId;
pub(crate) use poller::{Interest, Poller, Readiness};
pub(crate) use socket::{ListenSocket, Probe, Socket, probe};
