//! One read, write or connect that the system carries out on its own.

use std::{
    cell::UnsafeCell,
    fmt, io,
    os::windows::io::{AsHandle, AsRawHandle, OwnedHandle},
    ptr,
    sync::Arc,
};

use windows_sys::Win32::{
    Foundation::{ERROR_IO_INCOMPLETE, ERROR_IO_PENDING, ERROR_MORE_DATA, HANDLE},
    Storage::FileSystem::{ReadFile, WriteFile},
    System::{
        IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED},
        Pipes::ConnectNamedPipe,
    },
};

use super::{faults::number, signal::Signal};

/// An operation, of which one is under way at a time, and the memory it uses.
///
/// While it is under way the system owns the buffer and the description of it: neither is touched
/// or freed before the system has said that it is done.
pub(super) struct Operation {
    file: Arc<OwnedHandle>,
    done: Arc<Signal>,
    description: Box<UnsafeCell<OVERLAPPED>>,
    buffer: Vec<u8>,
    under_way: bool,
}

// SAFETY: what makes it not so by itself is the raw handle in the description, which belongs to no
// thread.
unsafe impl Send for Operation {}

/// What came of a read or write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transfer {
    /// In bytes.
    pub(super) len: usize,
    /// The message that was read has more bytes.
    pub(super) more: bool,
}

impl Operation {
    /// None yet, on `file`, which must be open for overlapped operations.
    pub(super) fn new(file: Arc<OwnedHandle>) -> io::Result<Self> {
        let description = Box::new(UnsafeCell::new(OVERLAPPED::default()));
        let done = Arc::new(Signal::new()?);
        Ok(Operation { file, done, description, buffer: Vec::new(), under_way: false })
    }

    /// Begins to read up to `len` bytes. What came of it if it is done at once.
    pub(super) fn read(&mut self, len: usize) -> Option<io::Result<Transfer>> {
        assert!(!self.under_way, "the buffer is the system's");
        self.buffer.resize(len, 0);
        let (to, len) = (self.buffer.as_mut_ptr(), len as u32);
        self.begin(|file, description| {
            // SAFETY: the buffer has room for `len` bytes, and like the description it is neither
            // moved nor freed while the operation is under way, which `begin` sees to.
            unsafe { ReadFile(file, to, len, ptr::null_mut(), description) }
        })
    }

    /// Begins to write one message of two parts. What came of it if it is done at once.
    pub(super) fn write(&mut self, head: &[u8], body: &[u8]) -> Option<io::Result<Transfer>> {
        assert!(!self.under_way, "the buffer is the system's");
        self.buffer.clear();
        self.buffer.extend_from_slice(head);
        self.buffer.extend_from_slice(body);
        let (from, len) = (self.buffer.as_ptr(), self.buffer.len() as u32);
        self.begin(|file, description| {
            // SAFETY: as in `read`, for bytes that are there.
            unsafe { WriteFile(file, from, len, ptr::null_mut(), description) }
        })
    }

    /// Begins to wait for a client at an instance of a pipe. What came of it if one is there.
    pub(super) fn connect(&mut self) -> Option<io::Result<Transfer>> {
        self.begin(|file, description| {
            // SAFETY: the description is neither moved nor freed while the operation is under way.
            unsafe { ConnectNamedPipe(file, description) }
        })
    }

    fn begin(
        &mut self,
        begin: impl FnOnce(HANDLE, *mut OVERLAPPED) -> i32,
    ) -> Option<io::Result<Transfer>> {
        assert!(!self.under_way, "one at a time");
        let event = self.done.as_handle().as_raw_handle();
        // SAFETY: the system has no use for it now, and `&mut self` says that nobody else has.
        unsafe { *self.description.get() = OVERLAPPED { hEvent: event, ..Default::default() } };
        let begun = begin(self.file.as_raw_handle(), self.description.get());
        if begun == 0 {
            let cause = io::Error::last_os_error();
            match number(&cause) {
                Some(ERROR_IO_PENDING) => {
                    self.under_way = true;
                    return None;
                }
                Some(ERROR_MORE_DATA) => {}
                _ => return Some(Err(cause)),
            }
        }
        self.under_way = true;
        self.finish()
    }

    /// Whether the system is at it, or has finished it and was not asked what came of it.
    pub(super) fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Whether it was begun and is done by now.
    pub(super) fn is_done(&self) -> bool {
        self.under_way && self.result().is_some()
    }

    /// What came of it, if it is done.
    pub(super) fn finish(&mut self) -> Option<io::Result<Transfer>> {
        let result = self.result();
        self.under_way = result.is_none();
        result
    }

    fn result(&self) -> Option<io::Result<Transfer>> {
        assert!(self.under_way, "only what was begun has a result");
        let mut len = 0;
        // SAFETY: the description is of an operation on this file that was begun, and all outlive
        // the call.
        let succeeded = unsafe {
            GetOverlappedResult(self.file.as_raw_handle(), self.description.get(), &mut len, 0)
        };
        let transfer = |more| Some(Ok(Transfer { len: len as usize, more }));
        if succeeded != 0 {
            return transfer(false);
        }
        let cause = io::Error::last_os_error();
        match number(&cause) {
            Some(ERROR_IO_INCOMPLETE | ERROR_IO_PENDING) => None,
            Some(ERROR_MORE_DATA) => transfer(true),
            _ => Some(Err(cause)),
        }
    }

    /// Reads what is known to be there: the rest of a message of which the start was read.
    pub(super) fn read_rest(&mut self, into: &mut [u8]) -> io::Result<Transfer> {
        assert!(!self.under_way, "one at a time");
        // With this bit set no port is told.
        let event = self.done.as_handle().as_raw_handle().map_addr(|event| event | 1);
        let mut description = OVERLAPPED { hEvent: event, ..Default::default() };
        let room = u32::try_from(into.len()).unwrap_or(u32::MAX);
        let file = self.file.as_raw_handle();
        let mut len = 0;
        // SAFETY: `into` has `room` bytes, and like the description it outlives the operation: if
        // it is not done at once, it is called off and waited for.
        let cause = unsafe {
            let begun = ReadFile(file, into.as_mut_ptr(), room, ptr::null_mut(), &mut description);
            let cause = io::Error::last_os_error();
            match number(&cause) {
                _ if begun != 0 => {}
                Some(ERROR_MORE_DATA) => {}
                Some(ERROR_IO_PENDING) => {
                    CancelIoEx(file, &description);
                }
                _ => return Err(cause),
            }
            if GetOverlappedResult(file, &description, &mut len, 1) != 0 {
                return Ok(Transfer { len: len as usize, more: false });
            }
            io::Error::last_os_error()
        };
        match number(&cause) {
            Some(ERROR_MORE_DATA) => Ok(Transfer { len: len as usize, more: true }),
            _ => Err(cause),
        }
    }

    /// What is raised when it is done.
    pub(super) fn done(&self) -> Arc<Signal> {
        Arc::clone(&self.done)
    }

    /// The bytes that were read or are written.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// What to call it where operations are told apart. Another one has it when this is gone.
    pub(super) fn id(&self) -> usize {
        self.description.get().addr()
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if self.under_way {
            let mut len = 0;
            // SAFETY: the description is of an operation on this file that was begun. It is called
            // off, and then waited for, so the system has no use for its memory any more.
            unsafe {
                CancelIoEx(self.file.as_raw_handle(), self.description.get());
                GetOverlappedResult(self.file.as_raw_handle(), self.description.get(), &mut len, 1);
            }
        }
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}
