//! Two descriptors as one: an epoll set of our own, which can be waited for like a descriptor.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::event::{
    PollFlags,
    epoll::{self, CreateFlags, EventData, EventFlags},
};

use super::poll;
use crate::{error::Result, wait::Wait};

/// A descriptor that is readable while one of two others is, or hung up or broken.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

impl Watch {
    /// Watches both, which must stay open as long.
    pub(crate) fn new(one: impl AsFd, other: impl AsFd) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        for fd in [one.as_fd(), other.as_fd()] {
            let flags = EventFlags::IN | EventFlags::RDHUP;
            epoll::add(&epoll, fd, EventData::new_u64(0), flags)?;
        }
        Ok(Watch(epoll))
    }

    /// Blocks until one of them is readable, hung up or broken.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut);
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted), which wins.
    pub(crate) fn wait(&self, wait: Wait<'_>) -> Result<()> {
        poll::wait_for(self.as_fd(), PollFlags::IN, wait)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
