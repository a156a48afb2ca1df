//! Windows: message-mode named pipes, with all reading and writing overlapped.
//!
//! A pipe cannot be asked whether it has room or a message without doing something: so reading and
//! writing are begun, and what is waited for is their end. [`Socket`] makes of that what the rest of
//! this crate expects, which is calls that never block and ways to wait until they would do
//! something.

mod access;
mod alarm;
mod credentials;
mod faults;
mod listener;
mod operation;
mod poller;
mod reading;
mod signal;
mod socket;
#[cfg(test)]
pub(super) mod tests;
mod wait;

/// What an [`Abort`](crate::Abort) can watch.
pub(super) use std::os::windows::io::OwnedHandle as Waitable;

pub(crate) use access::Access;
pub(crate) use alarm::Alarm;
pub use credentials::PeerCredentials;
pub(crate) use faults::is_exhaustion;
pub(crate) use listener::ListenSocket;
pub(crate) use poller::Poller;
pub(crate) use signal::Signal;
pub(crate) use socket::{Packet, Socket};
#[cfg(test)]
pub(super) use wait::pause;
pub(crate) use wait::{is_signalled, wait_for_any};

/// A string as the system takes it: UTF-16, ended by a NUL.
pub(crate) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}
