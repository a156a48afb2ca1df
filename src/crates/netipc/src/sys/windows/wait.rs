//! Waiting for operations, a deadline and an abort at once.

use std::{
    io,
    os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, OwnedHandle},
    time::Duration,
};

use windows_sys::Win32::{
    Foundation::{WAIT_FAILED, WAIT_OBJECT_0},
    System::Threading::{INFINITE, Sleep, WaitForMultipleObjects, WaitForSingleObject},
};

use crate::{
    error::{Error, ErrorKind, Result},
    sys::Abort,
    wait::Wait,
};

/// How often an abort is asked when the system had no event left to wait for it with.
const WITHOUT_SIGNAL: Duration = Duration::from_millis(20);

/// How many objects the system waits for at once.
const MOST: usize = 64;

/// Waits until one of `awaited` is signalled, of which there are 62 at most. An abort wins over all
/// of them.
///
/// # Errors
///
/// [`ErrorKind::TimedOut`], [`ErrorKind::Aborted`].
pub(super) fn wait_for(awaited: &[BorrowedHandle<'_>], wait: Wait<'_>) -> Result<()> {
    let abort = wait.abort();
    let signal = abort.and_then(Abort::signal);
    let longest = if abort.is_some() && signal.is_none() { WITHOUT_SIGNAL } else { Duration::MAX };
    let calling_off =
        [signal.map(AsHandle::as_handle), abort.and_then(Abort::watched).map(AsHandle::as_handle)];
    let mut present = awaited.iter().copied().chain(calling_off.into_iter().flatten());
    let mut handles = present.next().map(|first| ([first; MOST], 1));
    if let Some((handles, count)) = &mut handles {
        for handle in present {
            handles[*count] = handle;
            *count += 1;
        }
    }
    let handles = handles.as_ref().map_or(&[][..], |(handles, count)| &handles[..*count]);
    loop {
        let left = wait.remaining()?.unwrap_or(Duration::MAX).min(longest);
        let woken = wait_for_any(handles, Some(left))
            .map_err(|cause| Error::system("wait for the peer", cause))?;
        if abort.is_some_and(Abort::is_set) {
            return Err(ErrorKind::Aborted.into());
        }
        if woken.is_some_and(|which| which < awaited.len()) {
            return Ok(());
        }
    }
}

/// Lets `duration` pass.
///
/// # Errors
///
/// [`ErrorKind::TimedOut`] if the wait is over before, [`ErrorKind::Aborted`] if it is called off.
pub(in crate::sys) fn pause(duration: Duration, wait: Wait<'_>) -> Result<()> {
    match wait_for(&[], wait.capped(duration)) {
        // The pause is over; whether the wait is as well, its own deadline says.
        Err(error) if error.kind() == ErrorKind::TimedOut => wait.remaining().map(drop),
        ended => ended,
    }
}

/// Whether a handle that can be waited for is signalled now. A wait that ends only once does so now.
pub(crate) fn is_signalled(handle: &OwnedHandle) -> bool {
    // SAFETY: the handle is open as long as it is borrowed.
    unsafe { WaitForSingleObject(handle.as_raw_handle(), 0) == WAIT_OBJECT_0 }
}

/// Blocks until one of `handles` is signalled, and tells which, or until the time is over.
pub(crate) fn wait_for_any(
    handles: &[BorrowedHandle<'_>],
    longest: Option<Duration>,
) -> io::Result<Option<usize>> {
    assert!(handles.len() <= MOST, "the system waits for no more than {MOST} at once");
    let timeout = longest.map_or(INFINITE, milliseconds);
    if handles.is_empty() {
        // SAFETY: it takes no pointers.
        unsafe { Sleep(timeout) };
        return Ok(None);
    }
    // SAFETY: a borrowed handle is a handle and nothing else, all are open during the call, and
    // there are as many as it is told.
    let woken = unsafe {
        WaitForMultipleObjects(handles.len() as u32, handles.as_ptr().cast(), 0, timeout)
    };
    if woken == WAIT_FAILED {
        return Err(io::Error::last_os_error());
    }
    let which = woken.wrapping_sub(WAIT_OBJECT_0) as usize;
    Ok((which < handles.len()).then_some(which))
}

/// A time as the system takes it: never shorter, and no number that stands for ever.
pub(super) fn milliseconds(time: Duration) -> u32 {
    let rounded_up = time.as_nanos().div_ceil(1_000_000);
    u32::try_from(rounded_up).unwrap_or(u32::MAX).min(INFINITE - 1)
}
