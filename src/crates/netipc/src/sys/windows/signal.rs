//! A flag that threads can wait for together with operations: an event.

use std::{
    io,
    os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle},
    ptr,
};

use windows_sys::Win32::System::Threading::{CreateEventW, ResetEvent, SetEvent};

/// An event that is signalled while the signal is raised, for as many threads as look.
#[derive(Debug)]
pub(crate) struct Signal(OwnedHandle);

impl Signal {
    pub(crate) fn new() -> io::Result<Self> {
        Self::create(true)
    }

    /// A signal that ends one wait, and is lowered by that.
    pub(crate) fn for_one_wait() -> io::Result<Self> {
        Self::create(false)
    }

    fn create(manual: bool) -> io::Result<Self> {
        // SAFETY: without attributes and name it takes no pointers.
        let event = unsafe { CreateEventW(ptr::null(), manual.into(), 0, ptr::null()) };
        if event.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else has it.
        Ok(Signal(unsafe { OwnedHandle::from_raw_handle(event) }))
    }

    /// Raises it; it stays raised until lowered.
    pub(crate) fn raise(&self) {
        // SAFETY: the handle is an event's, and open as long as `self`.
        let raised = unsafe { SetEvent(self.0.as_raw_handle()) };
        debug_assert_ne!(raised, 0, "an event of our own can be set");
    }

    /// Lowers it, whether it was raised or not.
    pub(crate) fn lower(&self) {
        // SAFETY: as in `raise`.
        let lowered = unsafe { ResetEvent(self.0.as_raw_handle()) };
        debug_assert_ne!(lowered, 0, "an event of our own can be reset");
    }
}

impl From<OwnedHandle> for Signal {
    /// Takes over the handle of an event.
    fn from(event: OwnedHandle) -> Self {
        Signal(event)
    }
}

impl AsHandle for Signal {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.as_handle()
    }
}
