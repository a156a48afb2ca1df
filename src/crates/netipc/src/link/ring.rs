//! One end of a session over rings: what is sent and taken, and when it sleeps (PROTOCOL.md,
//! section 27).

mod bells;

use std::{
    io, mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use netipc_proto::{Agreement, Fault, Role};

use bells::Bells;

use super::{Awaited, Link, Session};
use crate::{
    error::{Error, ErrorKind, Result},
    shm::{
        Lengths, MappedRing, RingError, RingMemory,
        layout::Direction,
        ring::{self, sleep},
    },
    spin::{Spin, Spinner},
    sys::{Packet, Signal, Socket, Watch, effective_user},
};

/// One end of a session over rings.
#[derive(Debug)]
pub(crate) struct RingEnd {
    incoming: ring::Reader<MappedRing>,
    outgoing: ring::Writer<MappedRing>,
    memory: RingMemory,
    /// What this end sends, and what the peer sends.
    own: Direction,
    peer: Direction,
    bells: Bells,
    /// What is said of this end in memory.
    asleep_for: u64,
    /// Whether a message is waiting for room, and how that is waited for.
    awaits_room: bool,
    room: Spinner,
    hung_up: bool,
    /// Whether it was woken and has found nothing yet that explains it.
    wonders_why: bool,
    /// Whether a poller watches bell and socket.
    is_followed: bool,
}

/// What came along with a HELLO_ACK.
pub(crate) type Handed = Vec<OwnedFd>;

/// Grants a session with `packet`, a HELLO_ACK. Whether there was room for it.
///
/// # Errors
///
/// What the system says.
pub(crate) fn grant(socket: &Socket, packet: &[u8], handover: &Handover) -> io::Result<bool> {
    socket.send_with(packet, &handover.descriptors())
}

/// Receives a HELLO_ACK if it is there, and what comes along.
///
/// # Errors
///
/// What the system says.
pub(crate) fn receive_grant(
    socket: &Socket,
    buffer: &mut [u8],
    handed: &mut Handed,
) -> io::Result<Option<Packet>> {
    socket.receive_with(buffer, handed)
}

/// What a server hands over to its client with the HELLO_ACK.
#[derive(Debug)]
pub(crate) struct Handover {
    memory: OwnedFd,
    /// The server's bell, then the client's.
    bells: Option<[Signal; 2]>,
}

impl Handover {
    fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let bells = self.bells.iter().flatten().map(AsFd::as_fd);
        [self.memory.as_fd()].into_iter().chain(bells).collect()
    }
}

impl RingEnd {
    /// The server's end in new memory, and what its client needs for the other end.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn create(
        socket: &Socket,
        agreement: &Agreement,
        awaited: Awaited,
    ) -> Result<(Self, Handover)> {
        let lengths = Lengths::for_payloads(
            agreement.agreed_max_request_payload_bytes,
            agreement.agreed_max_response_payload_bytes,
        );
        let (memory, fd) = RingMemory::create(lengths)?;
        let (bells, given) = match is_same_user(socket)? {
            true => {
                Bells::make(socket, awaited).map_err(|cause| Error::system("make a bell", cause))?
            }
            false => (Bells::Packets, None),
        };
        let end = RingEnd::new(Role::Server, memory, bells);
        Ok((end, Handover { memory: fd, bells: given }))
    }

    /// The client's end, from what came with the HELLO_ACK.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if that is not what has to come; what the system says.
    pub(crate) fn join(socket: &Socket, handed: Vec<OwnedFd>) -> Result<Self> {
        let context = "join a session over rings";
        let refuse = |why: &str| Error::new(ErrorKind::Protocol, format!("{context}: {why}"));
        let mut handed = handed.into_iter();
        // RM0
        let (memory, bells) = match [(); 4].map(|()| handed.next()) {
            [Some(memory), None, ..] => (memory, None),
            [Some(memory), Some(peer), Some(own), None] => (memory, Some([peer, own])),
            _ => {
                return Err(refuse("its memory did not come along, or not all that belongs to it"));
            }
        };
        let memory = RingMemory::attach(memory)?;
        let bells = match bells.map(|bells| bells.map(Signal::from)) {
            None => Bells::Packets,
            // RM7: what a stranger gives can be made to block.
            Some(_) if !is_same_user(socket)? => return Err(refuse("bells of another user")),
            Some([peer, own]) => {
                let watch = Watch::new(&own, socket);
                let watch = Some(watch.map_err(|cause| Error::system(context, cause))?);
                Bells::Events { watch, own, peer }
            }
        };
        Ok(RingEnd::new(Role::Client, memory, bells))
    }

    fn new(role: Role, memory: RingMemory, bells: Bells) -> Self {
        let (incoming, outgoing) = match role {
            Role::Client => (Direction::Response, Direction::Request),
            Role::Server => (Direction::Request, Direction::Response),
        };
        RingEnd {
            incoming: ring::Reader::new(memory.track(incoming)),
            outgoing: ring::Writer::new(memory.track(outgoing)),
            memory,
            own: outgoing,
            peer: incoming,
            bells,
            asleep_for: 0,
            awaits_room: false,
            room: Spinner::default(),
            hung_up: false,
            wonders_why: false,
            is_followed: false,
        }
    }

    /// How room is waited for from now on.
    pub(crate) fn set_spin(&mut self, spin: Spin) {
        self.room = Spinner::new(spin);
    }

    /// Sends what follows the first `done` bytes of `head` and `body`, as far as there is room. How
    /// many bytes more were sent.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`]; what the system says.
    pub(crate) fn send(
        &mut self,
        socket: &Socket,
        head: &[u8],
        body: &[u8],
        done: usize,
    ) -> Result<usize> {
        // A sleep for records is ended by who takes them.
        if self.asleep_for == sleep::ROOM {
            self.rise(socket)?;
        }
        if mem::take(&mut self.awaits_room) {
            self.room.wake();
        }
        let mut sent = 0;
        while done + sent < head.len() + body.len() {
            match self.outgoing.push(head, body, done + sent)? {
                0 => break,
                put => sent += put,
            }
            self.did(socket, sleep::RECORDS)?;
        }
        Ok(sent)
    }

    /// Looks for a record and tells its length. To be [copied](Self::copy) out and then
    /// [closed](Self::close) before the next call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`]; [`ErrorKind::Disconnected`] if there is none and the peer has hung up.
    pub(crate) fn open(&mut self, socket: &Socket) -> Result<Option<usize>> {
        match self.incoming.open()? {
            // What it sent before may have come after this look.
            None if self.has_hung_up(socket) => match self.incoming.open()? {
                None => Err(Error::new(ErrorKind::Disconnected, "receive from the peer")),
                found => Ok(found),
            },
            found => Ok(found),
        }
    }

    /// Whether the record found has the length it must have (RR5) where `left` bytes of its message
    /// are still to come. So nobody has to look at more records than the message needs.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`].
    pub(crate) fn check_length(&self, length: usize, left: usize) -> Result<()> {
        match length == left.min(self.incoming.longest()) {
            true => Ok(()),
            false if length > left => Err(Fault::Trailing.into()),
            false => Err(Fault::Length.into()),
        }
    }

    /// Copies bytes of the record found, from `at` on, a multiple of 8, until `into` is full.
    pub(crate) fn copy(&self, at: usize, into: &mut [u8]) {
        self.incoming.copy(at, into);
    }

    /// Goes on behind the record found.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn close(&mut self, socket: &Socket, length: usize) -> Result<()> {
        self.wonders_why = false;
        match self.incoming.close(length) {
            true => self.did(socket, sleep::ROOM),
            false => Ok(()),
        }
    }

    /// Says that this end sleeps until there is a record. Whether it may: `false` if there is one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`]; what the system says.
    pub(crate) fn await_record(&mut self, socket: &Socket) -> Result<bool> {
        self.fall_asleep(socket, sleep::RECORDS)?;
        let is_there = self.incoming.open()?.is_some();
        if is_there {
            self.wake_up();
        }
        Ok(!is_there)
    }

    /// Says that this end sleeps until there is room for more of a message of which `left` bytes
    /// are still to be sent. Whether it may: `false` if there is room.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`]; [`ErrorKind::Disconnected`]; what the system says.
    pub(crate) fn await_room(&mut self, socket: &Socket, left: usize) -> Result<bool> {
        if self.has_hung_up(socket) {
            return Err(Error::new(ErrorKind::Disconnected, "send to the peer"));
        }
        let (room, outgoing) = (&mut self.room, &mut self.outgoing);
        let mut look = || outgoing.has_room_for(left).map(|has_room| has_room.then_some(()));
        if room.look(&mut look, || true)?.is_some() {
            return Ok(false);
        }
        room.lie_down(Instant::now);
        self.awaits_room = true;
        self.fall_asleep(socket, sleep::ROOM)?;
        Ok(!self.outgoing.has_room_for(left)?)
    }

    /// What it slept for before it still sleeps for.
    fn fall_asleep(&mut self, socket: &Socket, what: u64) -> Result<()> {
        if self.incoming.settle() {
            self.did(socket, sleep::ROOM)?;
        }
        let room = if self.awaits_room { sleep::ROOM } else { 0 };
        self.asleep_for |= what | room;
        ring::fall_asleep(self.memory.sleeps(self.own), self.asleep_for);
        Ok(())
    }

    fn wake_up(&mut self) {
        ring::wake_up(self.memory.sleeps(self.own));
        self.asleep_for = 0;
    }
}

impl Session {
    /// What is readable when there is something to receive.
    pub(crate) fn watch(&self) -> BorrowedFd<'_> {
        match &self.link {
            Link::Ring(ring) => ring.watch().unwrap_or(self.socket.as_fd()),
            _ => self.socket.as_fd(),
        }
    }
}

fn is_same_user(socket: &Socket) -> Result<bool> {
    let peer = socket.peer().map_err(|cause| Error::system("ask who the peer is", cause))?;
    Ok(peer.uid == effective_user())
}

impl From<RingError> for Error {
    fn from(error: RingError) -> Self {
        Error::new(ErrorKind::Protocol, error.to_string())
    }
}
