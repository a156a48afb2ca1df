//! Unix: SEQPACKET sockets named by a path.
//!
//! What differs between the systems of this family lies in modules of its own: [`alarm`],
//! [`signal`], [`poller`] and [`credentials`] are Linux's.

#[cfg(target_os = "linux")]
mod alarm;
mod blocked;
#[cfg(target_os = "linux")]
mod credentials;
mod faults;
mod file;
mod handover;
mod poll;
#[cfg(target_os = "linux")]
mod poller;
#[cfg(target_os = "linux")]
mod signal;
mod socket;
#[cfg(test)]
pub(super) mod tests;
#[cfg(target_os = "linux")]
mod watch;

/// What an [`Abort`](crate::Abort) can watch.
pub(super) use std::os::fd::OwnedFd as Waitable;

pub(crate) use alarm::Alarm;
pub use credentials::PeerCredentials;
pub(crate) use credentials::effective_user;
pub(crate) use faults::is_exhaustion;
pub(crate) use file::FileId;
pub(crate) use handover::is_scarce;
pub(super) use poll::is_signalled;
#[cfg(test)]
pub(super) use poll::pause;
pub(crate) use poller::Poller;
pub(crate) use signal::Signal;
pub(crate) use socket::{ListenSocket, Packet, Probe, Socket, probe};
pub(crate) use watch::Watch;
