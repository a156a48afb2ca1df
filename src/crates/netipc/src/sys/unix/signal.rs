//! A flag that threads can wait for together with sockets: an eventfd.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::event::{EventfdFlags, eventfd};

/// A descriptor that is readable while the signal is raised, for as many threads as look.
#[derive(Debug)]
pub(crate) struct Signal(OwnedFd);

impl Signal {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Signal(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Raises it; it stays raised until lowered.
    pub(crate) fn raise(&self) {
        let count =
            || rustix::io::retry_on_intr(|| rustix::io::write(&self.0, &1u64.to_ne_bytes()));
        // Fails only when the counter is full. The descriptor is readable then, but who waits for
        // the next event hears only of one that counts.
        if count().is_err() {
            self.lower();
            let _ = count();
        }
    }

    /// Lowers it. Whether it was raised.
    pub(crate) fn lower(&self) -> bool {
        // Reading takes the whole counter; it would block if that is zero, and then it is lowered.
        let mut counter = [0; 8];
        rustix::io::retry_on_intr(|| rustix::io::read(&self.0, &mut counter)).is_ok()
    }

    /// Another descriptor of the same signal, to be given away.
    pub(crate) fn share(&self) -> io::Result<Self> {
        Ok(Signal(self.0.try_clone()?))
    }
}

impl From<OwnedFd> for Signal {
    /// A signal that somebody gave away.
    fn from(fd: OwnedFd) -> Self {
        Signal(fd)
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
