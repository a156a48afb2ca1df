//! Peers that speak the wire by hand, so that they can break its rules.

use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use netipc::{
    SessionOptions,
    proto::{Agreement, Header, Hello, HelloAck, Kind, Refusal, Status},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sockopt},
};

use super::PATIENCE;

/// A listening socket at the name of a service, with nothing behind it.
pub struct RawListener {
    fd: OwnedFd,
    path: PathBuf,
}

impl RawListener {
    pub fn bind(dir: &Path, service: &str, backlog: i32) -> Self {
        let path = dir.join(format!("{service}.sock"));
        let fd = seqpacket();
        rustix::net::bind(&fd, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&fd, backlog).unwrap();
        RawListener { fd, path }
    }

    pub fn accept(&self) -> Peer {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        let patience = Timespec::try_from(PATIENCE).unwrap();
        assert_eq!(poll(&mut fds, Some(&patience)).unwrap(), 1, "no client came");
        let fd = rustix::net::accept_with(&self.fd, SocketFlags::CLOEXEC).unwrap();
        Peer::of(fd)
    }

    /// The directory of the service.
    pub fn dir(&self) -> PathBuf {
        self.path.parent().unwrap().to_owned()
    }

    /// Whether a client waits to be accepted.
    pub fn is_called(&self) -> bool {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    }

    /// Accepts a client, takes its HELLO and grants what it asks for.
    pub fn session(&self) -> Peer {
        let peer = self.accept();
        let hello = peer.hello();
        peer.send(&grant(&hello).packet());
        peer
    }
}

impl Drop for RawListener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// One end of a connection.
pub struct Peer(OwnedFd);

impl Peer {
    fn of(fd: OwnedFd) -> Self {
        for side in [sockopt::Timeout::Recv, sockopt::Timeout::Send] {
            sockopt::set_socket_timeout(&fd, side, Some(PATIENCE)).unwrap();
        }
        Peer(fd)
    }

    /// Connects and says nothing.
    pub fn connect(dir: &Path, service: &str) -> Self {
        Self::try_connect(dir, service).unwrap()
    }

    pub fn try_connect(dir: &Path, service: &str) -> Result<Self, Errno> {
        let fd = seqpacket();
        let path = dir.join(format!("{service}.sock"));
        rustix::net::connect(&fd, &SocketAddrUnix::new(path)?)?;
        Ok(Peer::of(fd))
    }

    /// Connects without waiting for room in the backlog. `None` if there is none.
    pub fn connect_at_once(dir: &Path, service: &str) -> Option<Self> {
        let fd = seqpacket();
        rustix::fs::fcntl_setfl(&fd, rustix::fs::OFlags::NONBLOCK).unwrap();
        let path = dir.join(format!("{service}.sock"));
        match rustix::net::connect(&fd, &SocketAddrUnix::new(path).unwrap()) {
            Ok(()) => Some(Peer::of(fd)),
            Err(Errno::AGAIN) => None,
            Err(errno) => panic!("{errno}"),
        }
    }

    /// Connects and agrees on a session.
    pub fn session(dir: &Path, service: &str, hello: &Hello) -> (Self, Agreement) {
        let peer = Peer::connect(dir, service);
        let agreement = peer.agree(hello).unwrap();
        (peer, agreement)
    }

    /// Offers this, and reads the answer.
    pub fn agree(&self, hello: &Hello) -> Result<Agreement, Refusal> {
        self.send(&hello.packet());
        hello.agreement(&self.receive().expect("an answer to the HELLO"))
    }

    /// Takes a HELLO.
    pub fn hello(&self) -> Hello {
        Hello::from_packet(&self.receive().expect("a HELLO")).unwrap()
    }

    pub fn send(&self, packet: &[u8]) {
        self.try_send(packet).unwrap();
    }

    /// Sends a packet, which a peer that hung up does not get.
    pub fn try_send(&self, packet: &[u8]) -> Result<(), Errno> {
        let sent =
            rustix::io::retry_on_intr(|| rustix::net::send(&self.0, packet, SendFlags::NOSIGNAL))?;
        assert_eq!(sent, packet.len());
        Ok(())
    }

    /// Whether there was room for this packet.
    pub fn send_at_once(&self, packet: &[u8]) -> bool {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match rustix::net::send(&self.0, packet, flags) {
            Ok(_) => true,
            Err(Errno::AGAIN) => false,
            Err(errno) => panic!("{errno}"),
        }
    }

    pub fn send_message(&self, header: &Header, payload: &[u8]) {
        self.send(&message(header, payload));
    }

    /// The next packet; `None` if the other side hung up.
    pub fn receive(&self) -> Option<Vec<u8>> {
        let mut packet = vec![MaybeUninit::uninit(); 300_000];
        let received = rustix::io::retry_on_intr(|| {
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

    /// The next message, which must come in one packet.
    pub fn receive_message(&self) -> Option<(Header, Vec<u8>)> {
        let packet = self.receive()?;
        let header = Header::read(&packet).unwrap();
        Some((header, packet[Header::LEN..].to_vec()))
    }

    /// Asks for the number after `number`, as a client.
    pub fn ask(&self, id: u64, number: u64) {
        self.send_message(&Header::request(1, id, 8), &number.to_ne_bytes());
    }

    /// Takes the answer to request `id`, which must have gone well.
    pub fn answered(&self, id: u64) -> u64 {
        let (header, payload) = self.receive_message().expect("an answer");
        assert_eq!(header, Header { kind: Kind::Response, ..Header::request(1, id, 8) });
        u64::from_ne_bytes(payload.try_into().expect("a number"))
    }

    /// Takes a request and answers it so.
    pub fn answer(&self, status: Status, payload: &[u8]) -> Option<(Header, Vec<u8>)> {
        let (request, asked) = self.receive_message()?;
        self.respond(&request, status.code(), payload);
        Some((request, asked))
    }

    pub fn respond(&self, request: &Header, status: u16, payload: &[u8]) {
        let header = Header { kind: Kind::Response, transport_status: status, ..*request };
        self.send_message(&header, payload);
    }

    /// Waits until the other side hangs up, whatever it sends before.
    pub fn await_hangup(&self) {
        while self.receive().is_some() {}
    }
}

impl AsFd for Peer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn seqpacket() -> OwnedFd {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .unwrap()
}

pub fn message(header: &Header, payload: &[u8]) -> Vec<u8> {
    let header = Header { payload_len: payload.len() as u32, ..*header };
    [&header.to_bytes()[..], payload].concat()
}

/// What a client with the usual options offers.
pub fn hello() -> Hello {
    let SessionOptions { supported_profiles, .. } = SessionOptions::default();
    Hello {
        flags: 0,
        supported_profiles,
        preferred_profiles: 0,
        max_request_payload_bytes: 1024,
        max_request_batch_items: 1,
        max_response_payload_bytes: 65536,
        max_response_batch_items: 1,
        auth_token: 0,
        packet_size: 65536,
    }
}

/// Grants all of an offer, over the socket.
pub fn grant(hello: &Hello) -> Agreement {
    HelloAck {
        server_supported_profiles: 1,
        intersection_profiles: 1,
        selected_profile: 1,
        agreed_max_request_payload_bytes: hello.max_request_payload_bytes,
        agreed_max_request_batch_items: hello.max_request_batch_items,
        agreed_max_response_payload_bytes: hello.max_response_payload_bytes,
        agreed_max_response_batch_items: hello.max_response_batch_items,
        agreed_packet_size: hello.packet_size,
        reserved: 0,
        session_id: 1,
    }
}

/// A server that does what a test tells it, in a thread of its own.
pub struct Fake<T>(JoinHandle<T>);

impl<T: Send + 'static> Fake<T> {
    /// The service can be connected to when this returns.
    pub fn start(
        dir: &Path,
        service: &str,
        script: impl FnOnce(RawListener) -> T + Send + 'static,
    ) -> Self {
        let listener = RawListener::bind(dir, service, 16);
        Fake(std::thread::spawn(move || script(listener)))
    }

    pub fn finish(self) -> T {
        self.0.join().unwrap()
    }
}
