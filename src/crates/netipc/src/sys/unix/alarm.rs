//! A clock that one thread waits for and others set: a timerfd.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, retry_on_intr},
    time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    },
};

use super::signal::Signal;

/// Goes off at the moment it was last set to. Setting it wakes nobody.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: OwnedFd,
    off: Signal,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Alarm { timer, off: Signal::new()? })
    }

    /// Sets it to `at`, which may be over, instead of what it was set to. `None`: to never.
    pub(crate) fn set(&self, at: Option<Instant>) {
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let left = at.map(|at| at.saturating_duration_since(Instant::now()));
        // Zero would be never.
        let it_value = left.map_or(Ok(never), |left| left.max(Duration::from_nanos(1)).try_into());
        let new = Itimerspec {
            it_interval: never,
            it_value: it_value.unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }),
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &new)
            .expect("a timer of our own takes any time from now on");
    }

    /// Blocks until it goes off, and then once for each time it was set. `false`: it was turned
    /// off.
    pub(crate) fn wait(&self) -> bool {
        loop {
            let mut fds = [self.off.as_fd(), self.timer.as_fd()]
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut fds, None) {
                Ok(_) if !fds[0].revents().is_empty() => return false,
                Ok(_) if self.take() => return true,
                // Set anew in between; or the kernel has no memory for the call just now.
                _ => {}
            }
        }
    }

    /// Ends every wait, now and from now on.
    pub(crate) fn turn_off(&self) {
        self.off.raise();
    }

    /// Whether it went off and nobody knows yet.
    fn take(&self) -> bool {
        let mut count = [0; 8];
        retry_on_intr(|| rustix::io::read(&self.timer, &mut count)) != Err(Errno::AGAIN)
    }
}
