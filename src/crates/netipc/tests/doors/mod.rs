//! What a peer can do to one end of a session over rings, as bytes: each step is something that it
//! does to the memory, the bells or the socket, or something that is asked of the session.
//!
//! Tests and the fuzz target call this with bytes of any content.
#![allow(unreachable_pub, clippy::unwrap_used)]

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use netipc::{
    ErrorKind, SessionOptions, Wait,
    proto::{Header, Hello, Kind, handshake::profile},
    transport::{Carrier, Listener, ListenerOptions, Session},
};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{FallocateFlags, fallocate},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use crate::common::{
    Dir, PATIENCE,
    peer::{Peer, RawListener, hello},
    ring::{self, HEADER, SEALED, SLOT},
};

const SERVICE: &str = "door";
const CODE: u16 = 1000;

/// The longest payload in either direction.
const LIMIT: u32 = 100_000;

/// What a test or a fuzz target needs once.
pub struct Hall {
    dir: Dir,
    listener: Listener,
    hostile_dir: Dir,
    hostile: RawListener,
    /// So that descriptors can be scarce without being few: then a server gives no bells.
    _fillers: Vec<File>,
}

impl Hall {
    pub fn new() -> Self {
        let (dir, hostile_dir) = (Dir::new(), Dir::new());
        let options = ListenerOptions { session: options(), ..ListenerOptions::default() };
        Hall {
            listener: Listener::bind(&dir, SERVICE, &options).unwrap(),
            hostile: RawListener::bind(&hostile_dir, SERVICE, 4),
            dir,
            hostile_dir,
            _fillers: (0..100).map(|_| File::open("/dev/null").unwrap()).collect(),
        }
    }

    /// Does to one end of a session what `bytes` say. It may fail as it likes, but neither crash nor
    /// hang, nor hand over what cannot be.
    ///
    /// One at a time: how many descriptors there may be is for the whole process.
    pub fn rings(&self, bytes: &[u8]) {
        static ALONE: Mutex<()> = Mutex::new(());
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Bytes(bytes);
        let [role, bells, size] = bytes.take();
        let (session, peer) = match role % 2 {
            0 => self.server(bells % 2 == 0, size),
            _ => self.client(bells % 2 == 0, size),
        };
        assert_eq!(session.carrier(), Carrier::Rings, "{:?}", session.fallback());
        Steps { session, peer, bytes, announced: 0, unsent: None, asked: 0 }.all();
    }

    /// A server's end, whose client is hostile.
    fn server(&self, bells: bool, size: u8) -> (Session, Hostile) {
        let limit = Resource::Nofile;
        let before = getrlimit(limit);
        let most = if bells { 1024 } else { 160 };
        setrlimit(limit, Rlimit { current: Some(most), ..before }).unwrap();
        let peer = Peer::connect(&self.dir, SERVICE);
        let hello = Hello {
            supported_profiles: profile::RING,
            max_request_payload_bytes: if size.is_multiple_of(2) { 100 } else { LIMIT },
            ..hello()
        };
        peer.send(&hello.packet());
        let session = self.listener.accept(Wait::at_most(PATIENCE)).unwrap();
        setrlimit(limit, before).unwrap();
        let (_, mut handed) = peer.receive_with();
        let memory = handed.remove(0);
        assert_eq!(handed.len(), if bells { 2 } else { 0 });
        let bulk = if size.is_multiple_of(2) { 4096 } else { 32768 };
        let header = [HEADER[0], bulk, HEADER[2], 32768];
        (
            session,
            Hostile { peer, memory, bell: handed.into_iter().next(), header, is_server: false },
        )
    }

    /// A client's end, whose server is hostile.
    fn client(&self, bells: bool, size: u8) -> (Session, Hostile) {
        let header = [[4, 256, 4, 256], [16, 1024, 4, 4096], HEADER, [4096, 256, 128, 1 << 20]]
            [usize::from(size % 4)];
        let memory = ring::memory(header, SEALED);
        let bell = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap();
        let bells = bells.then(|| [bell(), bell()]);
        let handed: Vec<_> =
            [&memory].into_iter().chain(bells.iter().flatten()).map(AsFd::as_fd).collect();
        let (session, peer) = std::thread::scope(|scope| {
            let server = scope.spawn(|| ring::give(&self.hostile, &handed).0);
            let wait = Wait::at_most(PATIENCE);
            let session = Session::connect(&self.hostile_dir, SERVICE, &options(), wait).unwrap();
            (session, server.join().unwrap())
        });
        let bell = bells.map(|[_, client]| client);
        (session, Hostile { peer, memory, bell, header, is_server: true })
    }
}

fn options() -> SessionOptions {
    SessionOptions {
        max_request_payload_bytes: LIMIT,
        max_response_payload_bytes: LIMIT,
        ..SessionOptions::shared_memory()
    }
}

/// The other end, and what it has in its hands.
struct Hostile {
    peer: Peer,
    memory: OwnedFd,
    /// The bell of the end under test.
    bell: Option<OwnedFd>,
    header: [u32; 4],
    is_server: bool,
}

impl Hostile {
    /// Slots, their place, and the bulk of the ring that it writes.
    fn own(&self) -> (u64, u64, u64) {
        let [request_slots, request_bulk, response_slots, response_bulk] =
            self.header.map(u64::from);
        match self.is_server {
            true => (response_slots, ring::REQUESTS + SLOT * request_slots, response_bulk),
            false => (request_slots, ring::REQUESTS, request_bulk),
        }
    }

    fn size(&self) -> u64 {
        ring::size(self.header)
    }

    fn write(&self, at: u64, bytes: &[u8]) {
        rustix::io::pwrite(&self.memory, bytes, at).unwrap();
    }

    fn announce(&self, number: u64, length: u32) {
        let (slots, at, _) = self.own();
        let word = u64::from(length) << 32 | u64::from((number as u32).wrapping_add(1));
        self.write(at + SLOT * (number % slots), &word.to_ne_bytes());
    }

    fn wake(&self) {
        match &self.bell {
            // It is full only after more than there are steps.
            Some(bell) => drop(rustix::io::write(bell, &1u64.to_ne_bytes())),
            None => drop(self.peer.try_send_at_once(&[0])),
        }
    }
}

/// What is left of the input; without end, as zeroes.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (taken, rest) = self.0.split_at(self.0.len().min(N));
        self.0 = rest;
        let mut bytes = [0; N];
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    fn short(&mut self) -> u64 {
        u16::from_le_bytes(self.take()).into()
    }

    /// A word that may mean something.
    fn word(&mut self, near: u64) -> u64 {
        let [choice, by] = self.take();
        match choice % 4 {
            0 => by.into(),
            1 => near.wrapping_add(u64::from(by)).wrapping_sub(128),
            2 => u64::MAX - u64::from(by),
            _ => u64::from_le_bytes(self.take()),
        }
    }
}

struct Steps<'a> {
    session: Session,
    peer: Hostile,
    bytes: Bytes<'a>,
    /// The number of the next record.
    announced: u64,
    unsent: Option<(Header, Vec<u8>)>,
    /// The id of the next request of a client.
    asked: u64,
}

impl Steps<'_> {
    fn all(mut self) {
        while let [step, rest @ ..] = self.bytes.0 {
            self.bytes.0 = rest;
            if self.step(step % 15).is_err() {
                break;
            }
        }
    }

    /// Fails when the session is over.
    fn step(&mut self, step: u8) -> Result<(), ErrorKind> {
        let peer = &self.peer;
        match step {
            0..=2 => self.message(),
            3 => {
                let length = self.bytes.word(0) as u32;
                peer.announce(self.announced, length);
                self.announced += 1;
            }
            4 => peer.announce(self.bytes.word(self.announced), self.bytes.short() as u32),
            5 => {
                let (at, word) = (self.bytes.word(0), self.bytes.word(self.announced));
                peer.write(at % (peer.size() / 8) * 8, &word.to_ne_bytes());
            }
            6 => {
                let taken =
                    if peer.is_server { ring::REQUESTS_TAKEN } else { ring::RESPONSES_TAKEN };
                peer.write(taken, &self.bytes.word(self.asked).to_ne_bytes());
            }
            7 => {
                let [whose, what] = self.bytes.take();
                let at = if whose % 2 == 0 { ring::CLIENT_SLEEPS } else { ring::SERVER_SLEEPS };
                peer.write(at, &u64::from(what % 5).to_ne_bytes());
            }
            8 => peer.wake(),
            9 => {
                let [len] = self.bytes.take();
                let _ = peer.peer.try_send_at_once(&vec![len; len.into()]);
            }
            10 => {
                let (from, len) = (self.bytes.short() * 64, self.bytes.short() * 64 + 1);
                let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                fallocate(&peer.memory, hole, from % peer.size(), len).unwrap();
            }
            11 => {
                let received = self.session.try_receive();
                self.received(received)?;
            }
            12 => {
                let received = self.session.receive(Wait::at_most(Duration::ZERO));
                self.received(received.map(Some))?;
            }
            13 => self.send()?,
            _ => {
                let [how] = self.bytes.take();
                match how % 8 {
                    0 => peer.peer.hang_up(),
                    1 => peer.peer.hang_up_half(),
                    // Mostly it lives on.
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Puts in a message that is as it should be, but for its content and perhaps its id.
    fn message(&mut self) {
        let [id, flags] = self.bytes.take();
        let payload_len = self.bytes.short() as u32;
        let kind = if self.peer.is_server { Kind::Response } else { Kind::Request };
        let mut header = Header { kind, ..Header::request(CODE, id.into(), payload_len) };
        if flags == 1 {
            (header.flags, header.item_count) = (Header::BATCH, 2);
        }
        let (slots, at, bulk) = self.peer.own();
        self.peer.write(at + SLOT * (self.announced % slots) + 8, &header.to_bytes());
        let mut left = 32 + u64::from(payload_len);
        while left > 0 {
            let length = left.min(56 + bulk / 4);
            self.peer.announce(self.announced, length as u32);
            (self.announced, left) = (self.announced + 1, left - length);
        }
    }

    fn received(&self, received: netipc::Result<Option<Header>>) -> Result<(), ErrorKind> {
        let Some(header) = received.map_err(|error| error.kind())? else { return Ok(()) };
        let wanted = if self.peer.is_server { Kind::Response } else { Kind::Request };
        assert_eq!(header.kind, wanted);
        assert_eq!(self.session.payload().len(), header.payload_len as usize);
        assert!(header.payload_len <= LIMIT);
        Ok(())
    }

    fn send(&mut self) -> Result<(), ErrorKind> {
        let (header, payload) = self.unsent.take().unwrap_or_else(|| {
            let payload = vec![1; self.bytes.short() as usize];
            let kind = if self.peer.is_server { Kind::Request } else { Kind::Response };
            self.asked += 1;
            (Header { kind, ..Header::request(CODE, self.asked - 1, 0) }, payload)
        });
        match self.session.try_send(&header, &payload) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.unsent = Some((header, payload));
                Ok(())
            }
            // Nothing was sent, and the session can be used further.
            Err(error) if error.kind() == ErrorKind::LimitExceeded => Ok(()),
            Err(error) => Err(error.kind()),
        }
    }
}
