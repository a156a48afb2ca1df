//! What one side of a session sleeps on, as one descriptor: its bell and the end of its socket, in an
//! epoll set of their own.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{
        PollFlags, Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};

use super::{Signal, Socket, blocked::Blocked, poll};
use crate::{
    error::{Error, ErrorKind, Result},
    wait::Wait,
};

/// A descriptor that is readable once the bell was rung, until that is [taken](Self::take), and as
/// soon as the peer hung up.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

/// The longest wait at once: what the system takes, and more than anybody waits.
const LONGEST: Duration = Duration::from_secs(1_000_000);

impl Watch {
    /// Watches both, which must stay open as long.
    pub(crate) fn new(bell: &Signal, socket: &Socket) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        // Each ring is an event of its own, so the bell need not be lowered.
        let rung = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, bell, EventData::new_u64(0), rung)?;
        epoll::add(&epoll, socket, EventData::new_u64(0), EventFlags::RDHUP)?;
        Ok(Watch(epoll))
    }

    /// Blocks until the bell is rung or the peer hangs up, and takes the ring.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`]; [`ErrorKind::Aborted`], which wins.
    pub(crate) fn wait(&self, wait: Wait<'_>) -> Result<()> {
        if wait.abort().is_some() {
            poll::wait_for(self.as_fd(), PollFlags::IN, wait)?;
            self.take();
            return Ok(());
        }
        loop {
            match self.next(wait.remaining()?.map(|left| left.min(LONGEST))) {
                Ok(true) => return Ok(()),
                Ok(false) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::system("wait for the peer", errno)),
            }
        }
    }

    /// As [`wait`](Self::wait), but cheaper where there is an abort: that may shut down `socket`,
    /// which is the one that is watched.
    pub(crate) fn wait_in(&self, socket: &Arc<Socket>, wait: Wait<'_>) -> Result<()> {
        let blocked = wait.abort().and_then(|abort| Blocked::enter(socket, abort));
        let Some(blocked) = blocked else { return self.wait(wait) };
        let woken = self.wait(wait.deadline().map_or(Wait::FOREVER, Wait::until));
        match blocked.was_aborted() {
            true => Err(ErrorKind::Aborted.into()),
            false => woken,
        }
    }

    /// From here on only what comes makes the descriptor readable, or the peer's end.
    pub(crate) fn take(&self) {
        // Without memory for the call the ring is taken later, which wakes for nothing.
        let _ = self.next(Some(Duration::ZERO));
    }

    /// Takes what happened, and waits for it no longer than that. Whether anything did.
    fn next(&self, at_most: Option<Duration>) -> rustix::io::Result<bool> {
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 2];
        let timeout = at_most.and_then(|at_most| Timespec::try_from(at_most).ok());
        Ok(epoll::wait(&self.0, &mut events[..], timeout.as_ref())? > 0)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
