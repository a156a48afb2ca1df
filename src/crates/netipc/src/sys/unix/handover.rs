//! Descriptors sent along with a packet, and how many there are.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    io::{Errno, retry_on_intr},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
    },
    process::{Resource, getrlimit},
};

use super::socket::{Packet, Socket};

/// How many descriptors are sent along at most.
const MOST: usize = 3;

impl Socket {
    /// Sends `packet` and copies of `fds`, at most three. `false` if there is no room for it now.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn send_with(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<bool> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        assert!(fds.is_empty() || along.push(SendAncillaryMessage::ScmRights(fds)));
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let parts = [IoSlice::new(packet)];
        match retry_on_intr(|| sendmsg(self.as_fd(), &parts, &mut along, flags)) {
            Ok(sent) if sent == packet.len() => Ok(true),
            Ok(_) => Err(io::Error::new(io::ErrorKind::WriteZero, "packet sent in part")),
            Err(Errno::AGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Receives one packet and the descriptors that came along, at least as many as may be sent.
    /// `None` if there is none now.
    ///
    /// If this process has no room for all of the descriptors it gets none: some of them would mean
    /// something else.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn receive_with(
        &self,
        buffer: &mut [u8],
        fds: &mut Vec<OwnedFd>,
    ) -> io::Result<Option<Packet>> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut along = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let mut parts = [IoSliceMut::new(buffer)];
        match retry_on_intr(|| recvmsg(self.as_fd(), &mut parts, &mut along, flags)) {
            Ok(received) => {
                for message in along.drain() {
                    if let RecvAncillaryMessage::ScmRights(received) = message {
                        fds.extend(received);
                    }
                }
                if received.flags.contains(ReturnFlags::CTRUNC) {
                    fds.clear();
                }
                Ok(Some(Packet {
                    len: received.bytes,
                    truncated: received.flags.contains(ReturnFlags::TRUNC),
                }))
            }
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Whether half of the descriptors that this process may have are in use. The system gives out the
/// lowest that is free, so the number of the `latest` tells.
pub(crate) fn is_scarce(latest: impl AsFd) -> bool {
    let limit = getrlimit(Resource::Nofile).current;
    limit.is_some_and(|limit| u64::from(latest.as_fd().as_raw_fd().unsigned_abs()) > limit / 2)
}
