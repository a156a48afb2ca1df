//! Peers at SEQPACKET sockets.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, retry_on_intr},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType,
        sockopt,
    },
};

use super::{super::PATIENCE, Peer};

pub(super) struct Listener {
    fd: OwnedFd,
    path: PathBuf,
}

impl Listener {
    pub(super) fn bind(dir: &Path, service: &str, backlog: i32) -> Self {
        let path = dir.join(format!("{service}.sock"));
        let fd = seqpacket();
        rustix::net::bind(&fd, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&fd, backlog).unwrap();
        Listener { fd, path }
    }

    pub(super) fn accept(&self) -> Connection {
        assert!(!events(&self.fd, PollFlags::IN, Some(PATIENCE)).is_empty(), "no client came");
        let fd = rustix::net::accept_with(&self.fd, SocketFlags::CLOEXEC).unwrap();
        Connection::over(fd)
    }

    pub(super) fn is_called(&self) -> bool {
        !events(&self.fd, PollFlags::IN, Some(Duration::ZERO)).is_empty()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

pub(super) struct Connection(OwnedFd);

impl Connection {
    fn over(fd: OwnedFd) -> Self {
        for side in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&fd, side, Some(PATIENCE)).unwrap();
        }
        Connection(fd)
    }

    pub(super) fn to(dir: &Path, service: &str) -> io::Result<Self> {
        let fd = seqpacket();
        let path = dir.join(format!("{service}.sock"));
        rustix::net::connect(&fd, &SocketAddrUnix::new(path)?)?;
        Ok(Connection::over(fd))
    }

    pub(super) fn to_now(dir: &Path, service: &str) -> Option<Self> {
        let fd = seqpacket();
        rustix::fs::fcntl_setfl(&fd, rustix::fs::OFlags::NONBLOCK).unwrap();
        let path = dir.join(format!("{service}.sock"));
        match rustix::net::connect(&fd, &SocketAddrUnix::new(path).unwrap()) {
            Ok(()) => Some(Connection::over(fd)),
            Err(Errno::AGAIN) => None,
            Err(errno) => panic!("{errno}"),
        }
    }

    pub(super) fn send(&self, packet: &[u8]) -> io::Result<()> {
        let sent = retry_on_intr(|| rustix::net::send(&self.0, packet, SendFlags::NOSIGNAL))?;
        assert_eq!(sent, packet.len());
        Ok(())
    }

    pub(super) fn receive(&self) -> Option<Vec<u8>> {
        let mut packet = vec![MaybeUninit::uninit(); 300_000];
        let received = retry_on_intr(|| {
            rustix::net::recv(&self.0, &mut packet[..], RecvFlags::empty())
                .map(|((bytes, _), _)| bytes.to_vec())
        });
        match received {
            Ok(packet) if packet.is_empty() => None,
            Ok(packet) => Some(packet),
            Err(Errno::CONNRESET | Errno::PIPE) => None,
            Err(errno) => panic!("nothing came: {errno}"),
        }
    }

    pub(super) fn is_readable(&self) -> bool {
        !events(&self.0, PollFlags::IN, Some(Duration::ZERO)).is_empty()
    }

    pub(super) fn hang_up(&self) {
        rustix::net::shutdown(&self.0, Shutdown::Both).unwrap();
    }

    pub(super) fn await_end(&self) {
        events(&self.0, PollFlags::RDHUP, None);
    }
}

/// What only sockets can.
impl Peer {
    /// Sends a packet with descriptors.
    pub fn send_with(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut along = SendAncillaryBuffer::new(&mut space);
        assert!(fds.is_empty() || along.push(SendAncillaryMessage::ScmRights(fds)));
        let parts = [IoSlice::new(packet)];
        rustix::net::sendmsg(&self.0.0, &parts, &mut along, SendFlags::NOSIGNAL).unwrap();
    }

    /// The next packet, and the descriptors that came along.
    pub fn receive_with(&self) -> (Vec<u8>, Vec<OwnedFd>) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut along = RecvAncillaryBuffer::new(&mut space);
        let mut packet = vec![0; 1024];
        let mut parts = [IoSliceMut::new(&mut packet)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = rustix::net::recvmsg(&self.0.0, &mut parts, &mut along, flags).unwrap();
        packet.truncate(received.bytes);
        let fds = along.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        (packet, fds.collect())
    }

    /// Whether there was room for this packet.
    pub fn send_at_once(&self, packet: &[u8]) -> bool {
        self.try_send_at_once(packet).unwrap()
    }

    /// As [`send_at_once`](Self::send_at_once), where the other side may have hung up.
    pub fn try_send_at_once(&self, packet: &[u8]) -> io::Result<bool> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match rustix::net::send(&self.0.0, packet, flags) {
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends nothing from now on, and says so.
    pub fn hang_up_half(&self) {
        rustix::net::shutdown(&self.0.0, Shutdown::Write).unwrap();
    }
}

fn events(fd: &OwnedFd, events: PollFlags, patience: Option<Duration>) -> PollFlags {
    let mut fds = [PollFd::new(fd, events)];
    let patience = patience.map(|patience| Timespec::try_from(patience).unwrap());
    poll(&mut fds, patience.as_ref()).unwrap();
    fds[0].revents()
}

fn seqpacket() -> OwnedFd {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .unwrap()
}
