//! One end of a session over rings: what is sent and taken, and who wakes whom (PROTOCOL.md,
//! section 27).

use std::{
    io, mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Instant,
};

use netipc_proto::{Agreement, Fault, Role};

use super::{Awaited, Link, Session};
use crate::{
    error::{Error, ErrorKind, Result},
    shm::{
        Lengths, MappedRing, RingError, RingMemory,
        layout::Direction,
        ring::{self, sleep},
    },
    spin::{Spin, Spinner},
    sys::{Interest, Packet, Poller, Signal, Socket, Watch, effective_user, is_scarce},
    wait::Wait,
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

/// How the sides wake each other.
#[derive(Debug)]
enum Bells {
    /// By eventfds. Each side can make the other's writes to them block, so these are for peers of
    /// the same user, who could stop each other anyway.
    Events {
        /// Both the own bell and the socket; `None` where that is a poller's business. Dropped first:
        /// the bell is shared with the peer, so closing it here would not take it out of the set.
        watch: Option<Watch>,
        own: Signal,
        peer: Signal,
    },
    /// By packets of one byte on the socket, which costs more. No peer can make that block.
    Packets,
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

/// A side wakes the other with this.
const KNOCK: [u8; 1] = [0];

/// How many knocks are read at once. An honest peer has one under way.
const KNOCKS: usize = 16;

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

    /// Lets `poller`, which knows the socket by `token`, watch this end for one event more. With
    /// bells that is done for good the first time, and an event may come at any time from then on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn rearm(
        &mut self,
        socket: &Socket,
        poller: &Poller,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        match &self.bells {
            Bells::Events { .. } if self.is_followed => Ok(()),
            Bells::Events { own, .. } => {
                poller.remove(socket)?;
                poller.follow(socket, token, Interest::Hangup)?;
                poller.follow(own, token, Interest::Readable)?;
                self.is_followed = true;
                Ok(())
            }
            Bells::Packets => poller.rearm(socket, token, interest),
        }
    }

    /// Tells whoever watches the own bell, if there is one, that there may be something.
    pub(crate) fn ring_own_bell(&self) {
        if let Bells::Events { own, .. } = &self.bells {
            own.raise();
        }
    }

    /// Makes `poller` forget what it watches of this end, but for the socket.
    pub(crate) fn leave(&self, poller: &Poller) {
        if let Bells::Events { own, .. } = &self.bells {
            // It may never have come so far.
            let _ = poller.remove(own);
        }
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

    /// What is readable when there is something, or the peer has hung up. `None` if that is the
    /// socket.
    pub(crate) fn watch(&self) -> Option<BorrowedFd<'_>> {
        match &self.bells {
            Bells::Events { watch, .. } => watch.as_ref().map(AsFd::as_fd),
            Bells::Packets => None,
        }
    }

    /// Sleeps until there is something, or the peer hangs up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`], [`ErrorKind::Aborted`]; [`ErrorKind::Disconnected`] if the system
    /// knows of a failure.
    pub(crate) fn wait(&mut self, socket: &Socket, wait: Wait<'_>) -> Result<()> {
        self.sleep(socket, wait, |watch| watch.wait(wait))
    }

    /// As [`wait`](Self::wait), but cheaper where there is an abort: that may shut down the socket.
    pub(crate) fn wait_in(&mut self, socket: &Arc<Socket>, wait: Wait<'_>) -> Result<()> {
        self.sleep(socket, wait, |watch| watch.wait_in(socket, wait))
    }

    fn sleep(
        &mut self,
        socket: &Socket,
        wait: Wait<'_>,
        by_bell: impl FnOnce(&Watch) -> Result<()>,
    ) -> Result<()> {
        let Bells::Events { watch: Some(watch), .. } = &self.bells else {
            socket.wait_readable(wait)?;
            return self.rise(socket);
        };
        by_bell(watch)?;
        self.wake_up();
        self.wonders_why = true;
        Ok(())
    }

    /// Ends the sleep, if it sleeps.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Disconnected`] if the system knows of a failure.
    pub(crate) fn rise(&mut self, socket: &Socket) -> Result<()> {
        if self.asleep_for == 0 {
            return Ok(());
        }
        self.wake_up();
        if let Bells::Events { watch, .. } = &self.bells {
            watch.iter().for_each(Watch::take);
            // A poller tells of the end by itself.
            self.wonders_why = watch.is_some();
            return Ok(());
        }
        for _ in 0..KNOCKS {
            match socket.receive(&mut [0; 32], &mut []) {
                Ok(None) => break,
                Ok(Some(packet)) if packet.len > 0 => {}
                Ok(Some(_)) => {
                    self.hung_up = true;
                    break;
                }
                // The peer left without hearing our last knock. What it sent before is still there,
                // and its end is what is received next.
                Err(cause) if cause.kind() == io::ErrorKind::ConnectionReset => {}
                Err(cause) => {
                    let error = Error::system("receive from the peer", cause);
                    return Err(error.with_kind(ErrorKind::Disconnected));
                }
            }
        }
        Ok(())
    }

    /// Somebody saw that the peer has hung up.
    pub(crate) fn hear_of_end(&mut self) {
        self.hung_up = true;
    }

    /// Whether the peer has hung up, as far as that was seen. What it sent before is still there.
    pub(crate) fn has_hung_up(&mut self, socket: &Socket) -> bool {
        // Mostly it was the bell, so the socket is asked only where nothing else woke this end.
        if mem::take(&mut self.wonders_why) && socket.peer_gone() {
            self.hung_up = true;
        }
        self.hung_up
    }

    /// Wakes the peer if it sleeps for what was just done.
    fn did(&self, socket: &Socket, what: u64) -> Result<()> {
        if !ring::must_wake(self.memory.sleeps(self.peer), what) {
            return Ok(());
        }
        match &self.bells {
            Bells::Events { peer, .. } => peer.raise(),
            // Without room for it there are knocks that the peer has not heard yet.
            Bells::Packets => match socket.send(&KNOCK, &[]) {
                // Who has gone need not be woken, and what it sent before is still to be taken.
                Err(cause) if is_end(&cause) => {}
                knocked => drop(knocked.map_err(|cause| Error::system("wake the peer", cause))?),
            },
        }
        Ok(())
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

impl Bells {
    /// Bells, and what to give to the client of them: the server's, then the client's. None where
    /// descriptors are scarce, since a session with bells takes three or four of them instead of one.
    fn make(socket: &Socket, awaited: Awaited) -> io::Result<(Self, Option<[Signal; 2]>)> {
        let own = Signal::new()?;
        if is_scarce(&own) {
            return Ok((Bells::Packets, None));
        }
        let peer = Signal::new()?;
        let given = [own.share()?, peer.share()?];
        let watch = match awaited {
            Awaited::Alone => Some(Watch::new(&own, socket)?),
            Awaited::Together => None,
        };
        Ok((Bells::Events { watch, own, peer }, Some(given)))
    }
}

fn is_end(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
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
