//! Who is at the other end of a pipe.

use std::{
    io,
    os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle},
};

use windows_sys::Win32::System::{
    Pipes::{GetNamedPipeClientProcessId, GetNamedPipeServerProcessId},
    Threading::{OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION},
};

use super::{access::user_of, socket::Side};

/// Who the peer was when it connected or made the pipe, as the system knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Its process.
    pub pid: u32,
    /// The user that process runs as: a security identifier such as `S-1-5-18`.
    pub user: String,
}

impl PeerCredentials {
    pub(super) fn of(pipe: &OwnedHandle, side: Side) -> io::Result<Self> {
        let mut pid = 0;
        // SAFETY: the pipe is open, and there is room for the answer.
        let known = unsafe {
            match side {
                Side::Server => GetNamedPipeClientProcessId(pipe.as_raw_handle(), &mut pid),
                Side::Client => GetNamedPipeServerProcessId(pipe.as_raw_handle(), &mut pid),
            }
        };
        if known == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it takes no pointers.
        let process = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, pid) };
        if process.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just opened, and nobody else has it.
        let process = unsafe { OwnedHandle::from_raw_handle(process) };
        Ok(PeerCredentials { pid, user: user_of(process.as_handle())? })
    }
}
