//! Signals as something to wait for.

use std::{io, os::fd::OwnedFd, os::unix::net::UnixStream};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM, SIGWINCH},
    low_level::pipe,
};

/// The signals that ask for the end, and those that tell of a new size of the screen.
#[derive(Debug)]
pub struct Signals {
    end: OwnedFd,
    resize: OwnedFd,
}

impl Signals {
    /// Takes the signals from now on, for as long as the process lives.
    ///
    /// # Errors
    ///
    /// The process has no file descriptors left.
    pub fn take() -> io::Result<Self> {
        Ok(Signals { end: readable(&[SIGINT, SIGTERM, SIGHUP])?, resize: readable(&[SIGWINCH])? })
    }

    /// Readable once the end was asked for.
    pub fn end(&self) -> &OwnedFd {
        &self.end
    }

    /// Readable when the screen has a new size.
    pub fn resize(&self) -> &OwnedFd {
        &self.resize
    }

    /// Whether the end was asked for. Stays so.
    pub fn has_ended(&self) -> bool {
        let mut ready = [PollFd::new(&self.end, PollFlags::IN)];
        poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// Whether the screen has a new size since the last time.
    pub fn take_resize(&self) -> bool {
        // Nothing to read is what it says when no signal came.
        rustix::io::read(&self.resize, &mut [0; 64]).is_ok_and(|read| read > 0)
    }
}

fn readable(signals: &[i32]) -> io::Result<OwnedFd> {
    let (read, write) = UnixStream::pair()?;
    read.set_nonblocking(true)?;
    for &signal in signals {
        pipe::register(signal, write.try_clone()?)?;
    }
    Ok(read.into())
}
