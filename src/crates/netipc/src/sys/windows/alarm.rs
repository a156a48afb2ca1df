//! A clock that one thread waits for and others set: a waitable timer.

use std::{
    io,
    os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
    time::Instant,
};

use windows_sys::Win32::System::Threading::{
    CancelWaitableTimer, CreateWaitableTimerW, SetWaitableTimer,
};

use super::{signal::Signal, wait::wait_for_any};

/// Goes off at the moment it was last set to. Setting it wakes nobody.
#[derive(Debug)]
pub(crate) struct Alarm {
    timer: OwnedHandle,
    off: Signal,
}

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        // One that ends one wait each time it goes off.
        // SAFETY: without attributes and name it takes no pointers.
        let timer = unsafe { CreateWaitableTimerW(ptr::null(), 0, ptr::null()) };
        if timer.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else has it.
        let timer = unsafe { OwnedHandle::from_raw_handle(timer) };
        Ok(Alarm { timer, off: Signal::new()? })
    }

    /// Sets it to `at`, which may be over, instead of what it was set to. `None`: to never.
    pub(crate) fn set(&self, at: Option<Instant>) {
        let timer = self.timer.as_raw_handle();
        let done = match at {
            // SAFETY: the handle is the timer's, and open as long as `self`.
            None => unsafe { CancelWaitableTimer(timer) },
            Some(at) => {
                let left = at.saturating_duration_since(Instant::now());
                // In steps of 100 ns, and negative for a time from now on.
                let steps = i64::try_from(left.as_nanos().div_ceil(100)).unwrap_or(i64::MAX);
                let due = -steps;
                // SAFETY: as above; the time outlives the call, and there is no routine to call.
                unsafe { SetWaitableTimer(timer, &due, 0, None, ptr::null(), 0) }
            }
        };
        assert_ne!(done, 0, "a timer of our own takes any time from now on");
    }

    /// Blocks until it goes off, and then once for each time it was set. `false`: it was turned
    /// off.
    pub(crate) fn wait(&self) -> bool {
        loop {
            // It fails only if the system has no memory for the call just now.
            let handles = [self.off.as_handle(), self.timer.as_handle()];
            if let Ok(Some(which)) = wait_for_any(&handles, None) {
                return which == 1;
            }
        }
    }

    /// Ends every wait, now and from now on.
    pub(crate) fn turn_off(&self) {
        self.off.raise();
    }
}
