//! Peers that speak the wire by hand, so that they can break its rules.

#[cfg(target_os = "linux")]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
use unix as imp;
#[cfg(windows)]
use windows as imp;

use std::{
    io,
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use netipc::{
    SessionOptions,
    proto::{Agreement, Header, Hello, HelloAck, Kind, Refusal, Status},
};

/// A listening socket or pipe at the name of a service, with nothing behind it.
pub struct RawListener {
    listener: imp::Listener,
    dir: PathBuf,
}

impl RawListener {
    pub fn bind(dir: &Path, service: &str, backlog: i32) -> Self {
        RawListener { listener: imp::Listener::bind(dir, service, backlog), dir: dir.to_owned() }
    }

    /// The directory of the service.
    pub fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    pub fn accept(&self) -> Peer {
        Peer(self.listener.accept())
    }

    /// Whether a client waits to be accepted.
    pub fn is_called(&self) -> bool {
        self.listener.is_called()
    }

    /// Accepts a client, takes its HELLO and grants what it asks for.
    pub fn session(&self) -> Peer {
        let peer = self.accept();
        let hello = peer.hello();
        peer.send(&grant(&hello).packet());
        peer
    }
}

/// One end of a connection.
pub struct Peer(imp::Connection);

impl Peer {
    /// Connects and says nothing.
    pub fn connect(dir: &Path, service: &str) -> Self {
        Peer(imp::Connection::to(dir, service).unwrap())
    }

    /// Connects without waiting for room in the backlog. `None` if there is none.
    pub fn connect_at_once(dir: &Path, service: &str) -> Option<Self> {
        imp::Connection::to_now(dir, service).map(Peer)
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
    pub fn try_send(&self, packet: &[u8]) -> io::Result<()> {
        self.0.send(packet)
    }

    pub fn send_message(&self, header: &Header, payload: &[u8]) {
        self.send(&message(header, payload));
    }

    /// The next packet; `None` if the other side hung up.
    pub fn receive(&self) -> Option<Vec<u8>> {
        self.0.receive()
    }

    /// Whether there is a packet to receive, or an end.
    pub fn is_readable(&self) -> bool {
        self.0.is_readable()
    }

    /// Hangs up; nothing comes from the other side any more either.
    pub fn hang_up(&self) {
        self.0.hang_up();
    }

    /// Waits until the other side is gone, and reads nothing.
    pub fn await_end(&self) {
        self.0.await_end();
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
