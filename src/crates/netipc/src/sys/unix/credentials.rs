//! Who is at the other end of a socket.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

/// Who the peer was when it connected or began to listen, as the kernel knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Its process; 0 if it lives in a pid namespace that cannot be seen from here.
    pub pid: u32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// The effective user of this process, as its peers see it.
pub(crate) fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

impl PeerCredentials {
    pub(super) fn of(socket: BorrowedFd<'_>) -> io::Result<Self> {
        let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
        let mut size = size_of::<libc::ucred>() as libc::socklen_t;
        // rustix has no value for the pid 0 of a peer in a foreign namespace.
        // SAFETY: `peer` has room for the `size` bytes the kernel may write, and both outlive the
        // call.
        let failed = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut peer).cast(),
                &mut size,
            )
        };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(PeerCredentials { pid: peer.pid.unsigned_abs(), uid: peer.uid, gid: peer.gid })
    }
}
