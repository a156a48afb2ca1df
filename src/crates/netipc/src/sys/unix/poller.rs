//! Waiting for many descriptors with few threads: epoll.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use rustix::{
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};

use super::{poll, signal::Signal};
use crate::sys::{Interest, Readiness};

/// Watches descriptors, each for one event at a time: after it was reported a descriptor is silent
/// until it is armed again. So one thread at a time has it, however many wait.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    wake: Signal,
    /// Whether descriptors are silent after an event.
    once: bool,
}

/// The token of the poller's own signal.
const WAKE: u64 = u64::MAX;

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Poller::with(true)
    }

    /// One for which a single thread waits: what it watches need not be armed again, which saves a
    /// call for each event, except where [`Interest::Clients`] is waited for.
    pub(crate) fn for_one_thread() -> io::Result<Self> {
        Poller::with(false)
    }

    fn with(once: bool) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let poller = Poller { epoll, wake: Signal::new()?, once };
        // Level-triggered and never lowered: every thread that waits, now or later, sees it.
        epoll::add(&poller.epoll, &poller.wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(poller)
    }

    /// Watches `fd` for one event. It must be removed before it is closed.
    ///
    /// `token` is any number but `u64::MAX`.
    pub(crate) fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        debug_assert_ne!(token, WAKE);
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), self.flags(interest))?)
    }

    /// Watches `fd`, which was added before, for one event more.
    pub(crate) fn rearm(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        debug_assert_ne!(token, WAKE);
        Ok(epoll::modify(&self.epoll, fd, EventData::new_u64(token), self.flags(interest))?)
    }

    /// Whether what is watched stays armed, so that `rearm` is needed only for another interest.
    pub(crate) fn stays_armed(&self) -> bool {
        !self.once
    }

    /// Watches `fd` for all that happens from now on, without being armed again: each event goes to
    /// any thread that waits, also while another one sees to the event before. It must be removed
    /// before it is closed.
    pub(crate) fn follow(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        debug_assert_ne!(token, WAKE);
        let flags = awaited(interest) | EventFlags::ET;
        Ok(epoll::add(&self.epoll, fd, EventData::new_u64(token), flags)?)
    }

    /// Watches `fd` no longer. Another thread may be about to report an event of it.
    pub(crate) fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Blocks until one event, the deadline or [`wake`](Self::wake). Any number of threads may wait
    /// at once; each event goes to one of them.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> io::Result<Readiness> {
        loop {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let timeout = left.and_then(|left| Timespec::try_from(left).ok());
            let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }];
            match epoll::wait(&self.epoll, &mut events[..], timeout.as_ref()) {
                Ok(0) if left.is_some_and(|left| left.is_zero()) => return Ok(Readiness::TimedOut),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(readiness(events[0])),
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Whether a wait would end at once. That stays so until some thread waits.
    pub(crate) fn is_ready(&self) -> bool {
        poll::is_readable(self.epoll.as_fd())
    }

    /// Ends every wait, now and from now on.
    pub(crate) fn wake(&self) {
        self.wake.raise();
    }

    fn flags(&self, interest: Interest) -> EventFlags {
        match self.once || interest == Interest::Clients {
            true => awaited(interest) | EventFlags::ONESHOT,
            false => awaited(interest),
        }
    }
}

fn awaited(interest: Interest) -> EventFlags {
    match interest {
        Interest::Clients => EventFlags::IN,
        Interest::Readable => EventFlags::IN | EventFlags::RDHUP,
        Interest::Writable => EventFlags::OUT | EventFlags::RDHUP,
        Interest::Hangup => EventFlags::RDHUP,
    }
}

fn readiness(event: Event) -> Readiness {
    match event.data.u64() {
        WAKE => Readiness::Woken,
        token => {
            let gone = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
            let flags = event.flags;
            Readiness::Ready { token, hangup: flags.intersects(gone) }
        }
    }
}
