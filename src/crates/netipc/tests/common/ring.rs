//! Rings by hand: what a peer can do that has the memory of a session and no scruples
//! (PROTOCOL.md, section 27).

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use netipc::proto::{Agreement, Header, Hello, handshake::profile};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

use super::peer::{Peer, RawListener, grant, hello};

/// Where things lie in the memory that this library makes.
pub const CLIENT_SLEEPS: u64 = 128;
pub const SERVER_SLEEPS: u64 = 256;
pub const REQUESTS_TAKEN: u64 = 384;
pub const RESPONSES_TAKEN: u64 = 512;
pub const SLOTS: u64 = 128;
pub const SLOT: u64 = 64;
pub const REQUESTS: u64 = 1024;
pub const RESPONSES: u64 = REQUESTS + SLOTS * SLOT;

/// The longest record of a ring with the most bulk that this library makes.
pub const LONGEST: u32 = 56 + 32768 / 4;

/// What a side sleeps for.
pub const RECORDS: u64 = 1;

pub const SEALED: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// One end of a session: its socket, its memory, and the bells, the server's first, if it has some.
pub struct Intruder {
    pub peer: Peer,
    pub agreement: Agreement,
    pub memory: OwnedFd,
    pub bells: Vec<OwnedFd>,
}

impl Intruder {
    /// A client.
    pub fn connect(dir: &Path) -> Self {
        let peer = Peer::connect(dir, "increment");
        let hello = Hello {
            supported_profiles: profile::RING,
            max_request_payload_bytes: 65536,
            ..hello()
        };
        peer.send(&hello.packet());
        let (packet, mut handed) = peer.receive_with();
        let agreement = hello.agreement(&packet).unwrap();
        assert!(agreement.uses_rings());
        Intruder { peer, agreement, memory: handed.remove(0), bells: handed }
    }

    /// A server, of the next client that comes.
    pub fn accept(listener: &RawListener) -> Self {
        let memory = memory(HEADER, SEALED);
        let peer = give(listener, &[memory.as_fd()]);
        Intruder { peer: peer.0, agreement: peer.1, memory, bells: Vec::new() }
    }

    pub fn write(&self, at: u64, bytes: &[u8]) {
        assert_eq!(rustix::io::pwrite(&self.memory, bytes, at).unwrap(), bytes.len());
    }

    pub fn write_word(&self, at: u64, word: u64) {
        self.write(at, &word.to_ne_bytes());
    }

    pub fn word(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        assert_eq!(rustix::io::pread(&self.memory, &mut word, at).unwrap(), 8);
        u64::from_ne_bytes(word)
    }

    /// The bytes of a slot behind its announcement.
    pub fn record(&self, at: u64) -> [u8; 56] {
        let mut record = [0; 56];
        assert_eq!(rustix::io::pread(&self.memory, &mut record, at + 8).unwrap(), 56);
        record
    }

    /// Says that record `number` of the ring at `ring` is there.
    pub fn announce(&self, ring: u64, number: u64, length: u32) {
        let word = u64::from(length) << 32 | (number + 1) & u64::from(u32::MAX);
        self.write_word(ring + SLOT * (number % SLOTS), word);
    }

    /// Writes the envelope of a request of so many bytes, as the first record.
    pub fn begin(&self, payload_len: u32) {
        self.write(REQUESTS + 8, &Header::request(1, 1, payload_len).to_bytes());
    }

    /// Puts a request in by the rules, as the record of its own number.
    pub fn ask(&self, number: u64, asked: u64) {
        let at = REQUESTS + SLOT * (number % SLOTS);
        self.write(at + 8, &Header::request(1, number, 8).to_bytes());
        self.write_word(at + 40, asked);
        self.announce(REQUESTS, number, 40);
    }

    /// The answer to request `number` if it is there.
    pub fn answer(&self, number: u64) -> Option<u64> {
        let at = RESPONSES + SLOT * (number % SLOTS);
        let is_there = self.word(at) as u32 == number as u32 + 1;
        is_there.then(|| self.word(at + 40))
    }

    /// Rings the peer's bell or knocks, asked to or not.
    pub fn wake_server(&self) {
        match self.bells.first() {
            Some(bell) => drop(rustix::io::write(bell, &1u64.to_ne_bytes()).unwrap()),
            None => drop(self.peer.send_at_once(&[0])),
        }
    }
}

/// Grants rings, with these descriptors, to the next client, who must ask for them.
pub fn give(listener: &RawListener, handed: &[BorrowedFd<'_>]) -> (Peer, Agreement) {
    let peer = listener.accept();
    let hello = peer.hello();
    assert_ne!(hello.supported_profiles & profile::RING, 0);
    let rings = granted(&hello);
    peer.send_with(&rings.packet(), handed);
    (peer, rings)
}

/// Grants all of an offer, over rings.
pub fn granted(hello: &Hello) -> Agreement {
    let selected = profile::RING;
    Agreement { server_supported_profiles: selected, selected_profile: selected, ..grant(hello) }
}

/// Slots and bulk of requests, then of responses, as this library makes them.
pub const HEADER: [u32; 4] = [SLOTS as u32, 32768, SLOTS as u32, 32768];

/// As many bytes as a header asks for.
pub fn size(header: [u32; 4]) -> u64 {
    let [request_slots, request_bulk, response_slots, response_bulk] = header.map(u64::from);
    REQUESTS + SLOT * (request_slots + response_slots) + request_bulk + response_bulk
}

/// Memory as a server has to make it.
pub fn memory(header: [u32; 4], seals: SealFlags) -> OwnedFd {
    let fd = memfd_create(c"hand-made", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    fill(&fd, header);
    fcntl_add_seals(&fd, seals).unwrap();
    fd
}

/// Makes a file as long as its header asks for, and writes that.
pub fn fill(fd: impl AsFd, header: [u32; 4]) {
    ftruncate(&fd, size(header)).unwrap();
    let [a, b, c, d] = header;
    let words = [0x4E52_4E47, 24 << 16 | 1, a, b, c, d];
    let bytes: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
    assert_eq!(rustix::io::pwrite(&fd, &bytes, 0).unwrap(), bytes.len());
}
