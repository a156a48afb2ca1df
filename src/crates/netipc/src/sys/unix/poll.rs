//! Waiting for one descriptor, a deadline and an abort at once.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    error::{Error, ErrorKind, Result},
    sys::Abort,
    wait::Wait,
};

/// How often an abort is asked when the system had no descriptor left to wait for it with.
const WITHOUT_SIGNAL: Duration = Duration::from_millis(20);

/// Waits until one of `events`, a hang-up or an error is there. An abort wins over all of them.
///
/// # Errors
///
/// [`ErrorKind::TimedOut`], [`ErrorKind::Aborted`].
pub(super) fn wait_for(fd: BorrowedFd<'_>, events: PollFlags, wait: Wait<'_>) -> Result<()> {
    wait_on(Some(PollFd::from_borrowed_fd(fd, events)), wait)
}

/// Lets `duration` pass.
///
/// # Errors
///
/// [`ErrorKind::TimedOut`] if the wait is over before, [`ErrorKind::Aborted`] if it is called off.
pub(in crate::sys) fn pause(duration: Duration, wait: Wait<'_>) -> Result<()> {
    match wait_on(None, wait.capped(duration)) {
        // The pause is over; whether the wait is as well, its own deadline says.
        Err(error) if error.kind() == ErrorKind::TimedOut => wait.remaining().map(drop),
        ended => ended,
    }
}

/// Whether a read would not block: there is data, a hang-up or an error.
pub(in crate::sys) fn is_signalled(fd: &OwnedFd) -> bool {
    is_readable(fd.as_fd())
}

pub(super) fn is_readable(fd: BorrowedFd<'_>) -> bool {
    !events_now(fd, PollFlags::IN).is_empty()
}

/// Which of `events` are there now. Hang-up and error are always reported.
pub(super) fn events_now(fd: BorrowedFd<'_>, events: PollFlags) -> PollFlags {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    match rustix::io::retry_on_intr(|| poll(&mut fds, Some(&at_once))) {
        Ok(_) => fds[0].revents(),
        // The kernel was out of memory, and no event is known.
        Err(_) => PollFlags::empty(),
    }
}

fn wait_on(awaited: Option<PollFd<'_>>, wait: Wait<'_>) -> Result<()> {
    let abort = wait.abort();
    let signal = abort.and_then(Abort::signal);
    let longest = if abort.is_some() && signal.is_none() { WITHOUT_SIGNAL } else { Duration::MAX };

    let is_awaited = awaited.is_some();
    let mut present = [
        awaited,
        signal.map(|signal| PollFd::new(signal, PollFlags::IN)),
        abort.and_then(Abort::watched).map(|fd| PollFd::new(fd, PollFlags::IN)),
    ]
    .into_iter()
    .flatten();
    let (mut fds, count) = match present.next() {
        None => (None, 0),
        Some(first) => {
            let mut fds = [first.clone(), first.clone(), first];
            let mut count = 1;
            for fd in present {
                fds[count] = fd;
                count += 1;
            }
            (Some(fds), count)
        }
    };
    let fds = fds.as_mut().map_or(&mut [][..], |fds| &mut fds[..count]);

    loop {
        let left = wait.remaining()?.unwrap_or(Duration::MAX).min(longest);
        let timeout = Timespec::try_from(left).ok();
        match poll(fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::system("wait for the peer", errno)),
        }
        if abort.is_some_and(Abort::is_set) {
            return Err(ErrorKind::Aborted.into());
        }
        if is_awaited && !fds[0].revents().is_empty() {
            return Ok(());
        }
    }
}
