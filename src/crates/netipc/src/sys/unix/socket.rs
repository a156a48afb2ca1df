//! SEQPACKET sockets: one end of a session, and the one that listens for sessions.

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rustix::{
    event::PollFlags,
    fs::{Mode, OFlags, fchmod, fcntl_getfl, fcntl_setfl},
    io::{Errno, retry_on_intr},
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendFlags,
        Shutdown, SocketAddrUnix, SocketFlags, SocketType, sockopt,
    },
};

use super::{PeerCredentials, blocked::Blocked, poll};
use crate::{
    error::{Error, ErrorKind, Result},
    sys::Abort,
    wait::Wait,
};

/// The largest packet if the system does not tell.
const USUAL_PACKET: u32 = 65536;

/// What the kernel keeps of the send buffer for itself.
const PACKET_OVERHEAD: usize = 32;

/// Up to here the copy into one piece costs less than telling the kernel of two.
const SMALL_PACKET: usize = 256;

/// Between two attempts to connect to a server whose backlog is full.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// The kernel counts the time of a blocked receive in ticks of up to 10 ms. Where this much time is
/// left, that is exact enough.
pub(super) const BLOCKING_TIME: Duration = Duration::from_secs(1);
/// How late a blocked receive may notice that the time is over, ticks aside, in nanoseconds.
const LATENESS: u64 = 1_000_000;

/// One end of a connection that carries packets. No call on it ever blocks but those that say so.
///
/// The others tell the kernel not to block. The descriptor's own mode is left as it is, because
/// users of the C interface may read and write it directly and expect it to block. Its receive
/// timeout is ours once a receive with a deadline has blocked.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    /// How long the kernel lets a receive block, in nanoseconds; 0 is for ever. Only who receives
    /// touches it.
    blocks_for: AtomicU64,
}

/// What `Socket::receive` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// How many bytes were stored; 0 if the peer hung up.
    pub(crate) len: usize,
    /// The packet was longer than there was room, and the rest of it is lost.
    pub(crate) truncated: bool,
}

impl Socket {
    /// Whether a thread can sleep in the receive itself.
    pub(crate) const BLOCKS: bool = true;

    /// Connects to who listens at `path`. While the backlog is full it tries again.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if nobody listens there, [`ErrorKind::Incompatible`] if what listens
    /// there is no packet socket, [`ErrorKind::PermissionDenied`], [`ErrorKind::Exhausted`],
    /// [`ErrorKind::Busy`] if the backlog stays full until the deadline, [`ErrorKind::Aborted`].
    pub(crate) fn connect(path: &Path, wait: Wait<'_>) -> Result<Self> {
        let context = || format!("connect to {}", path.display());
        let address = SocketAddrUnix::new(path).map_err(|errno| Error::system(context(), errno))?;
        let fd = packet_socket(SocketFlags::NONBLOCK)
            .map_err(|errno| Error::system(context(), errno))?;
        let mut rest = SHORTEST_PAUSE;
        loop {
            match rustix::net::connect(&fd, &address) {
                Ok(()) | Err(Errno::ISCONN) => break,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    poll::pause(rest, wait).map_err(|error| match error.kind() {
                        ErrorKind::TimedOut => Error::new(ErrorKind::Busy, context()),
                        _ => error,
                    })?;
                    rest = (rest * 2).min(LONGEST_PAUSE);
                }
                Err(errno @ (Errno::CONNREFUSED | Errno::NOTDIR | Errno::LOOP)) => {
                    let nobody = Error::system(context(), errno);
                    return Err(nobody.with_kind(ErrorKind::NotFound));
                }
                Err(Errno::PROTOTYPE) => {
                    let context = format!("{}: a foreign program listens there", context());
                    let foreign = Error::system(context, Errno::PROTOTYPE);
                    return Err(foreign.with_kind(ErrorKind::Incompatible));
                }
                Err(errno) => return Err(Error::system(context(), errno)),
            }
        }
        set_blocking(&fd).map_err(|errno| Error::system(context(), errno))?;
        Ok(fd.into())
    }

    /// Sends `head` and `body` as one packet. `false` if there is no room for it now.
    ///
    /// # Errors
    ///
    /// What the system says; a packet above [`max_packet`](Self::max_packet) is `EMSGSIZE`.
    pub(crate) fn send(&self, head: &[u8], body: &[u8]) -> io::Result<bool> {
        let len = head.len() + body.len();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = if len <= SMALL_PACKET {
            let mut packet = [0; SMALL_PACKET];
            packet[..head.len()].copy_from_slice(head);
            packet[head.len()..len].copy_from_slice(body);
            retry_on_intr(|| rustix::net::send(&self.fd, &packet[..len], flags))
        } else {
            let parts = [IoSlice::new(head), IoSlice::new(body)];
            retry_on_intr(|| {
                rustix::net::sendmsg(&self.fd, &parts, &mut SendAncillaryBuffer::default(), flags)
            })
        };
        match sent {
            Ok(sent) if sent == len => Ok(true),
            Ok(_) => Err(io::Error::new(io::ErrorKind::WriteZero, "packet sent in part")),
            Err(Errno::AGAIN) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Receives one packet, its first bytes into `head` and the others into `body`. `None` if there
    /// is none now. Into one piece it is faster.
    ///
    /// An empty packet looks like a hang-up: the system does not tell them apart.
    pub(crate) fn receive(&self, head: &mut [u8], body: &mut [u8]) -> io::Result<Option<Packet>> {
        loop {
            match self.receive_once(head, body, RecvFlags::DONTWAIT) {
                Ok(packet) => return Ok(Some(packet)),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Receives one packet into `buffer`, and blocks until there is one. It is `now`. After
    /// [`ErrorKind::Aborted`] the socket may be shut down.
    ///
    /// Mostly it is one system call, where waiting first would be two: the kernel itself keeps the
    /// time, and the abort ends the receive by shutting the socket down.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`], [`ErrorKind::Aborted`]; [`ErrorKind::Disconnected`] if the system
    /// knows of a failure.
    pub(crate) fn receive_within(
        self: &Arc<Self>,
        buffer: &mut [u8],
        wait: Wait<'_>,
        now: Instant,
    ) -> Result<Packet> {
        self.block(buffer, &mut [], wait, now, |abort| Blocked::enter(self, abort))
    }

    /// The same into two pieces, for who must not have the socket shut down: an abort is waited for
    /// beside it.
    ///
    /// # Errors
    ///
    /// As [`receive_within`](Self::receive_within).
    pub(crate) fn receive_beside(
        &self,
        head: &mut [u8],
        body: &mut [u8],
        wait: Wait<'_>,
        now: Instant,
    ) -> Result<Packet> {
        self.block(head, body, wait, now, |_| None)
    }

    /// Blocks in the receive itself where `enter` lets the abort, if there is one, end that; else
    /// before it.
    fn block<'a>(
        &self,
        head: &mut [u8],
        body: &mut [u8],
        wait: Wait<'a>,
        mut now: Instant,
        enter: impl Fn(&'a Abort) -> Option<Blocked<'a>>,
    ) -> Result<Packet> {
        loop {
            let left = wait.remaining_at(now)?;
            let blocked = match wait.abort() {
                _ if !self.block_for(left) => None,
                Some(abort) => enter(abort).map(Some),
                None => Some(None),
            };
            if let Some(blocked) = blocked {
                let received = self.receive_once(head, body, RecvFlags::empty());
                if blocked.is_some_and(Blocked::was_aborted) {
                    return Err(ErrorKind::Aborted.into());
                }
                match received {
                    Ok(packet) => return Ok(packet),
                    // The kernel's time is over, or somebody made the descriptor non-blocking.
                    Err(Errno::AGAIN) => {}
                    Err(Errno::INTR) => {
                        now = Instant::now();
                        continue;
                    }
                    Err(errno) => return Err(failed(errno)),
                }
            }
            poll::wait_for(self.as_fd(), PollFlags::IN, wait)?;
            if let Some(packet) = self.receive(head, body).map_err(failed)? {
                return Ok(packet);
            }
            now = Instant::now();
        }
    }

    /// Makes receives block no longer than what is `left`. `false` if the kernel cannot tell so
    /// short a time exactly enough.
    fn block_for(&self, left: Option<Duration>) -> bool {
        let Some(left) = left else {
            // Waking up now and then does no harm.
            return true;
        };
        if left < BLOCKING_TIME {
            return false;
        }
        // Relaxed: only one thread at a time receives, and who passes a session on orders it.
        let set = self.blocks_for.load(Relaxed);
        let nanos = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
        // Most calls have the same timeout, and one setting does for all of them.
        (nanos / 2 <= set && set <= nanos.saturating_add(LATENESS)) || self.set_blocking_time(left)
    }

    #[cold]
    fn set_blocking_time(&self, left: Duration) -> bool {
        let left = Duration::from_micros(left.as_micros().try_into().unwrap_or(u64::MAX / 1000));
        let done = sockopt::set_socket_timeout(&self.fd, sockopt::Timeout::Recv, Some(left));
        if done.is_ok() {
            self.blocks_for.store(left.as_nanos().try_into().unwrap_or(u64::MAX), Relaxed);
        }
        done.is_ok()
    }

    fn receive_once(
        &self,
        head: &mut [u8],
        body: &mut [u8],
        flags: RecvFlags,
    ) -> rustix::io::Result<Packet> {
        if body.is_empty() {
            let (stored, len) = rustix::net::recv(&self.fd, head, flags | RecvFlags::TRUNC)?;
            return Ok(Packet { len: stored, truncated: stored < len });
        }
        let mut parts = [IoSliceMut::new(head), IoSliceMut::new(body)];
        // Without room for them, descriptors that a peer sends along are closed by the kernel.
        let mut none = RecvAncillaryBuffer::default();
        let received = rustix::net::recvmsg(&self.fd, &mut parts, &mut none, flags)?;
        let truncated = received.flags.contains(ReturnFlags::TRUNC);
        Ok(Packet { len: received.bytes, truncated })
    }

    /// Blocks until there is a packet to receive, or until receiving would say why there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`]; [`ErrorKind::Aborted`], which wins over a packet.
    pub(crate) fn wait_readable(&self, wait: Wait<'_>) -> Result<()> {
        poll::wait_for(self.as_fd(), PollFlags::IN, wait)
    }

    /// Blocks until there is room to send, or until sending would say why not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`]; [`ErrorKind::Aborted`], which wins.
    pub(crate) fn wait_writable(&self, wait: Wait<'_>) -> Result<()> {
        poll::wait_for(self.as_fd(), PollFlags::OUT, wait)
    }

    /// Whether the peer hung up, in which case nothing new can come. Packets it sent before may
    /// still wait to be received.
    pub(crate) fn peer_gone(&self) -> bool {
        !poll::events_now(self.as_fd(), PollFlags::RDHUP).is_empty()
    }

    /// Hangs up without closing: the peer notices, and so does who waits on this socket.
    pub(crate) fn shutdown(&self) {
        // Fails only if the peer was faster.
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Both);
    }

    /// Who the peer was when the connection was made.
    pub(crate) fn peer(&self) -> io::Result<PeerCredentials> {
        PeerCredentials::of(self.as_fd())
    }

    /// The longest packet that can be sent, in bytes.
    pub(crate) fn max_packet(&self) -> u32 {
        sockopt::socket_send_buffer_size(&self.fd)
            .ok()
            .and_then(|size| u32::try_from(size.checked_sub(PACKET_OVERHEAD)?).ok())
            .filter(|&size| size > 0)
            .unwrap_or(USUAL_PACKET)
    }
}

impl From<OwnedFd> for Socket {
    /// Takes over the descriptor of a connected SEQPACKET socket.
    fn from(fd: OwnedFd) -> Self {
        Socket { fd, blocks_for: AtomicU64::new(0) }
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.fd
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A socket with a name in the file system, at which peers connect.
#[derive(Debug)]
pub(crate) struct ListenSocket(OwnedFd);

impl ListenSocket {
    /// Binds a new socket to `path`. The file has no more permissions than `mode` from the first
    /// instant, and no peer can connect before [`listen`](Self::listen).
    ///
    /// The process's umask is neither used nor changed, but it may have taken bits away.
    pub(crate) fn bind(path: &Path, mode: Mode) -> io::Result<Self> {
        let address = SocketAddrUnix::new(path)?;
        let fd = packet_socket(SocketFlags::NONBLOCK)?;
        // The file that `bind` makes takes over the mode of the socket.
        fchmod(&fd, mode)?;
        rustix::net::bind(&fd, &address)?;
        Ok(ListenSocket(fd))
    }

    /// Lets peers connect; `backlog` of them may wait to be accepted.
    pub(crate) fn listen(&self, backlog: i32) -> io::Result<()> {
        Ok(rustix::net::listen(&self.0, backlog)?)
    }

    /// Takes the next connection. `None` if nobody waits.
    pub(crate) fn accept(&self) -> io::Result<Option<Socket>> {
        loop {
            match rustix::net::accept_with(&self.0, SocketFlags::CLOEXEC) {
                Ok(fd) => return Ok(Some(fd.into())),
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Blocks until somebody waits to be accepted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`], [`ErrorKind::Aborted`].
    pub(crate) fn wait_readable(&self, wait: Wait<'_>) -> Result<()> {
        poll::wait_for(self.as_fd(), PollFlags::IN, wait)
    }
}

impl AsFd for ListenSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<ListenSocket> for OwnedFd {
    fn from(socket: ListenSocket) -> Self {
        socket.0
    }
}

/// What a name in the file system turned out to be, from a connection tried and dropped.
#[derive(Debug)]
pub(crate) enum Probe {
    /// A server listens there, even if it takes no connection now.
    Alive,
    /// Nobody listens there.
    Dead,
    /// Somebody listens there with another type of socket.
    Foreign,
    /// It cannot be told.
    Unknown(io::Error),
}

/// Finds out whether somebody listens at `path`, without blocking. Links are followed.
pub(crate) fn probe(path: &Path) -> Probe {
    let tried = SocketAddrUnix::new(path).and_then(|address| {
        let fd = packet_socket(SocketFlags::NONBLOCK)?;
        retry_on_intr(|| rustix::net::connect(&fd, &address))
    });
    match tried {
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::ISCONN) => Probe::Alive,
        Err(Errno::CONNREFUSED | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Probe::Dead,
        Err(Errno::PROTOTYPE) => Probe::Foreign,
        Err(errno) => Probe::Unknown(errno.into()),
    }
}

/// A new socket that children do not inherit.
fn packet_socket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

fn set_blocking(fd: &OwnedFd) -> rustix::io::Result<()> {
    let flags = fcntl_getfl(fd)?;
    fcntl_setfl(fd, flags - OFlags::NONBLOCK)
}

fn failed(cause: impl Into<io::Error>) -> Error {
    Error::system("receive from the peer", cause).with_kind(ErrorKind::Disconnected)
}
