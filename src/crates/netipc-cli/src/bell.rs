//! Wakes a thread that waits on file descriptors, and says why.

use std::{
    io,
    os::fd::OwnedFd,
    sync::atomic::{AtomicU8, Ordering::SeqCst},
    time::Instant,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

/// A bell with reasons: bits that gather until they are taken.
#[derive(Debug)]
pub struct Bell {
    fd: OwnedFd,
    reasons: AtomicU8,
}

impl Bell {
    /// A silent bell.
    ///
    /// # Errors
    ///
    /// The process has no file descriptors left.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Bell { fd, reasons: AtomicU8::new(0) })
    }

    /// Rings for `reason`, one bit.
    pub fn ring(&self, reason: u8) {
        // Pairs with `take`: where the reason is there already, the bell has rung for it.
        if self.reasons.fetch_or(reason, SeqCst) & reason == 0 {
            // Fails only when the counter is at its end, and then the descriptor is readable anyway.
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// Takes the reasons for which it rang since.
    pub fn take(&self) -> u8 {
        // Before the reasons, so that one that comes between leaves the bell ringing.
        // Fails only when it has not rung.
        let _ = rustix::io::read(&self.fd, &mut [0; 8]);
        self.reasons.swap(0, SeqCst)
    }

    /// Readable when it rang.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }
}

/// Waits until one of `fds` can be read, or until `due`, or until a signal comes.
///
/// # Errors
///
/// What the system reports when it cannot wait at all.
pub fn wait(fds: &[&OwnedFd], due: Instant) -> io::Result<()> {
    let mut fds: Vec<_> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::IN)).collect();
    let left = due.saturating_duration_since(Instant::now());
    // A period that does not fit is as good as for ever.
    let timeout = Timespec::try_from(left).ok();
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(why) => Err(why.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn reasons_gather_until_they_are_taken() {
        let bell = Bell::new().unwrap();
        assert_eq!(bell.take(), 0);
        bell.ring(1);
        bell.ring(4);
        bell.ring(4);
        let never = Instant::now() + Duration::from_secs(3600);
        wait(&[bell.fd()], never).unwrap();
        assert_eq!(bell.take(), 5);
        assert_eq!(bell.take(), 0);
        bell.ring(4);
        wait(&[bell.fd()], never).unwrap();
        assert_eq!(bell.take(), 4);
    }
}
