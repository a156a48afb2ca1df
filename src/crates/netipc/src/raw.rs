//! What sessions and servers are made of, for the C interface, whose structs are their own state.
//!
//! Not for others: it may change with any version.

#[cfg(target_os = "linux")]
mod descriptors;
#[cfg(windows)]
mod handles;
mod link;

use std::{io, path::Path, ptr::NonNull, time::Instant};

use netipc_proto::{Agreement, Service};

use crate::{
    client::Client,
    endpoint::{Endpoint, ListenOptions},
    error::{Error, ErrorKind, Result},
    link::Session,
    shm::{self, LaneError, RegionError, Shared, Taken},
    sys,
    wait::Wait,
};

#[cfg(target_os = "linux")]
pub use self::descriptors::{disown, socket_of};
#[cfg(windows)]
pub use self::handles::{disown, fnv1a_64, pipe_name, socket_of};
pub use self::link::{Expected, Link};
pub use crate::shm::Place;

/// One end of a connection that carries packets.
#[derive(Debug)]
pub struct Socket(sys::Socket);

/// A packet that was received.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// How many bytes were stored, the head included.
    pub len: usize,
    /// The packet was longer, and the rest of it is lost.
    pub truncated: bool,
}

impl Socket {
    /// Sends one packet and waits for room if there is none. Without a `wait`: `false` if there is none.
    ///
    /// # Errors
    ///
    /// What the system says; those of waiting.
    fn send(&self, head: &[u8], body: &[u8], wait: Option<Wait<'_>>) -> Result<bool> {
        let failed = |cause| Error::system("send to the peer", cause);
        while !self.0.send(head, body).map_err(failed)? {
            let Some(wait) = wait else { return Ok(false) };
            self.0.wait_writable(wait)?;
        }
        Ok(true)
    }

    /// Waits for a packet; its first bytes go to `head`, the others to `body`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Disconnected`] if the peer hung up; what the system says; those of waiting.
    fn receive(&self, head: &mut [u8], body: &mut [u8], wait: Wait<'_>) -> Result<Packet> {
        // An abort or a deadline wins over what is there.
        if wait.deadline().is_some() || wait.abort().is_some() {
            self.0.wait_readable(wait)?;
        }
        loop {
            match self.try_receive(head, body)? {
                Some(packet) => return Ok(packet),
                None => self.0.wait_readable(wait)?,
            }
        }
    }

    /// The same, if there is a packet now.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), without those of waiting.
    fn try_receive(&self, head: &mut [u8], body: &mut [u8]) -> Result<Option<Packet>> {
        let failed = |cause| Error::system("receive from the peer", cause);
        self.0.receive(head, body).map_err(failed)?.map(Packet::received).transpose()
    }
}

impl Packet {
    /// What the system says was received.
    fn received(packet: sys::Packet) -> Result<Self> {
        match packet.len {
            0 => Err(Error::new(ErrorKind::Disconnected, "receive from the peer")),
            len => Ok(Packet { len, truncated: packet.truncated }),
        }
    }
}

/// Where clients connect. When it is dropped its name is free again.
#[derive(Debug)]
pub struct Listener(Endpoint);

impl Listener {
    /// Takes the name of `service` in `dir`; `backlog` clients may wait, 16 if it is 0.
    ///
    /// # Errors
    ///
    /// As [`Server::bind`](crate::Server::bind).
    pub fn listen(dir: &Path, service: &str, backlog: u32) -> Result<Self> {
        let options = ListenOptions { backlog, ..ListenOptions::default() };
        Endpoint::listen(dir, service, &options).map(Listener)
    }

    /// The name in the file system.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Waits for a client.
    ///
    /// # Errors
    ///
    /// What the system says; those of waiting.
    pub fn accept(&self, wait: Wait<'_>) -> Result<Socket> {
        let socket = self.0.socket();
        let failed =
            |cause: io::Error| Error::system(format!("accept at {}", self.path().display()), cause);
        loop {
            match socket.accept().map_err(failed)? {
                Some(client) => return Ok(Socket(client)),
                None => socket.wait_readable(wait)?,
            }
        }
    }
}

/// Makes a client go on with the session it has under other limits than were agreed.
pub fn amend<S: Service>(client: &mut Client<S>, agreement: Agreement) {
    if let Some(session) = client.session_mut() {
        session.amend(agreement);
    }
}

/// One end of a region of shared memory, of its own or a session's.
#[derive(Debug)]
pub struct Region<'a>(End<'a>);

#[derive(Debug)]
enum End<'a> {
    Own(Box<Shared>),
    Session(&'a mut Shared),
}

/// Where things are in a region.
#[derive(Clone, Copy, Debug)]
pub struct RegionPlan {
    /// Where it is mapped, and how many bytes. The peer may write there at any time.
    pub start: NonNull<u8>,
    /// In bytes.
    pub size: usize,
    /// Offset and capacity of the area for requests, in bytes.
    pub request: (u32, u32),
    /// Offset and capacity of the area for responses, in bytes.
    pub response: (u32, u32),
}

/// What a wait for a message in shared memory came back with.
#[derive(Clone, Copy, Debug)]
pub enum Arrival {
    /// A message of so many bytes, copied out.
    Message(usize),
    /// A message of so many bytes, which was more than there was room for, and is lost.
    TooLarge(usize),
    /// A message of no bytes, which nobody can have sent.
    Empty,
    /// The peer has left, and all it sent was taken. Windows only: elsewhere the socket says so.
    Closed,
    /// The time is over.
    TimedOut,
}

impl<'a> Region<'a> {
    /// A server's end, in a new region with areas of these capacities.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub fn create(
        place: &Place<'_>,
        request_capacity: u32,
        response_capacity: u32,
    ) -> Result<Self, RegionError> {
        Shared::create(place, request_capacity, response_capacity)
            .map(|shared| Region(End::Own(Box::new(shared))))
    }

    /// A client's end, in a region that the server made.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn attach(place: &Place<'_>) -> Result<Self, RegionError> {
        Shared::attach(place).map(|shared| Region(End::Own(Box::new(shared))))
    }

    /// The one a session uses, to be used past the session's rules.
    pub fn of(session: &'a mut Session) -> Option<Self> {
        session.shared_mut().map(|shared| Region(End::Session(shared)))
    }

    fn shared(&self) -> &Shared {
        match &self.0 {
            End::Own(shared) => shared,
            End::Session(shared) => shared,
        }
    }

    fn shared_mut(&mut self) -> &mut Shared {
        match &mut self.0 {
            End::Own(shared) => shared,
            End::Session(shared) => shared,
        }
    }

    /// Where things are in it.
    pub fn plan(&self) -> RegionPlan {
        let region = self.shared().region();
        let layout = region.layout();
        RegionPlan {
            start: region.start(),
            size: region.size(),
            request: (layout.request.offset, layout.request.capacity),
            response: (layout.response.offset, layout.response.capacity),
        }
    }

    /// How many messages this end has taken and sent.
    pub fn sequences(&self) -> (u64, u64) {
        (self.shared().incoming_sequence(), self.shared().outgoing_sequence())
    }

    /// How often a wait looks for a message before it sleeps.
    pub fn set_spins(&mut self, spins: u32) {
        self.shared_mut().set_spins(spins);
    }

    /// Sends a message. Never waits.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an empty one, [`ErrorKind::LimitExceeded`].
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        Ok(self.shared_mut().publish(message, &[])?)
    }

    /// Waits for a message until `until` and copies it to the start of `into`.
    pub fn receive(&mut self, into: &mut [u8], until: Option<Instant>) -> Arrival {
        let shared = self.shared_mut();
        loop {
            match shared.take(into.len(), until) {
                Ok(Taken::Message(length)) => {
                    shared.copy(0, &mut into[..length]);
                    return Arrival::Message(length);
                }
                // Nobody rings the bell of an end that is used like this.
                Ok(Taken::Rung) => {}
                Ok(Taken::Closed) => return Arrival::Closed,
                Ok(Taken::TimedOut) => return Arrival::TimedOut,
                Err(LaneError::TooLarge { length, .. }) => return Arrival::TooLarge(length),
                Err(LaneError::NoLength | LaneError::Empty) => return Arrival::Empty,
            }
        }
    }
}

/// Removes the regions that dead servers of `service` left in `dir`.
///
/// # Errors
///
/// What the system says.
pub fn sweep(dir: &Path, service: &str) -> io::Result<()> {
    shm::sweep(dir, service)
}
