//! What carries the messages of a session whose rules somebody else keeps: packets, or the records of
//! rings.

use std::{path::Path, time::Instant};

use netipc_proto::{Agreement, Header, Hello, handshake::profile};

use super::{Packet, Socket};
use crate::{
    endpoint::socket_path,
    error::{Error, ErrorKind, Result},
    greeting::{Agreed, HANDSHAKE, connect, receive_short, refuse, reply},
    link::{Awaited, RingEnd, push},
    options::SessionOptions,
    spin::Spinner,
    sys,
    wait::Wait,
};

/// One end of a session that was agreed on.
#[derive(Debug)]
pub struct Link {
    /// Dropped before the socket, so that it is gone when the peer notices the end.
    pub(super) ring: Option<Box<RingEnd>>,
    /// `None` while nothing is to be learnt: see [`From`].
    spinner: Option<Spinner>,
    pub(super) socket: Socket,
}

impl From<Socket> for Link {
    /// The socket of a session that was made elsewhere, for one use. How it waits is always the same,
    /// and its descriptor is left as it is.
    fn from(socket: Socket) -> Self {
        Link { ring: None, spinner: None, socket }
    }
}

/// What a receive may expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The answer to what was just sent, or the rest of what has begun to come: mostly it is not there
    /// yet.
    Soon,
    /// A message that may have come long ago.
    Anytime,
}

impl Link {
    /// Connects to `service` in `dir` and agrees on a session. The published shared memory, if it is
    /// agreed on, is for the caller to attach.
    ///
    /// # Errors
    ///
    /// As [`Session::connect`](crate::transport::Session::connect).
    pub fn connect(
        dir: &Path,
        service: &str,
        options: &SessionOptions,
        wait: Wait<'_>,
    ) -> Result<(Link, Agreement)> {
        let join =
            |socket: &sys::Socket, agreement: &Agreement, handed| match agreement.uses_rings() {
                true => RingEnd::join(socket, handed).map(Some),
                false => Ok(None),
            };
        let Agreed { socket, agreement, link, fallback: _ } =
            connect(&socket_path(dir, service)?, options, wait, join)?;
        Ok((Link::new(Socket(socket), link, options), agreement))
    }

    /// Agrees on a session with a client that was accepted. It has 5 seconds for its part. The
    /// published shared memory, if it is agreed on, is for the caller to create.
    ///
    /// # Errors
    ///
    /// Why there is none. The client was told, if it could be.
    pub fn agree(
        socket: Socket,
        options: &SessionOptions,
        session_id: u64,
        wait: Wait<'_>,
    ) -> Result<(Link, Agreement)> {
        let wait = wait.capped(HANDSHAKE);
        let packet = loop {
            if let Some(packet) = receive_short(&socket.0)? {
                break packet;
            }
            socket.0.wait_readable(wait)?;
        };
        let mut terms = options.terms(socket.0.max_packet());
        loop {
            let agreed =
                Hello::from_packet(&packet).and_then(|hello| terms.agree(&hello, session_id));
            let agreement = agreed.map_err(|refusal| refuse(&socket.0, refusal))?;
            let (ring, handover) = match agreement.uses_rings() {
                true => match RingEnd::create(&socket.0, &agreement, Awaited::Alone) {
                    Ok((ring, handover)) => (Some(ring), Some(handover)),
                    Err(_) => {
                        terms.supported_profiles &= !profile::RING;
                        continue;
                    }
                },
                false => (None, None),
            };
            match reply(&socket.0, &agreement, handover.as_ref()) {
                Ok(true) => return Ok((Link::new(socket, ring, options), agreement)),
                Ok(false) => socket.0.wait_writable(wait)?,
                // This user has too many descriptors under way, perhaps to clients that take none.
                Err(_) if handover.is_some() => terms.supported_profiles &= !profile::RING,
                Err(cause) => return Err(Error::system("send to the peer", cause)),
            }
        }
    }

    fn new(socket: Socket, ring: Option<RingEnd>, options: &SessionOptions) -> Self {
        let spinner = Some(Spinner::new(options.spin));
        Link { ring: ring.map(Box::new), spinner, socket }
    }

    /// The socket of the session. Over rings nothing but its end is to be had there.
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Gives the rest up for the socket.
    pub fn into_socket(self) -> Socket {
        self.socket
    }

    /// Whether messages travel as records of rings, and not as packets.
    pub fn has_rings(&self) -> bool {
        self.ring.is_some()
    }

    /// Sends one packet and waits for room if there is none. Without a `wait`: `false` if there is none.
    ///
    /// # Errors
    ///
    /// What the system says; those of waiting.
    pub fn send(&self, head: &[u8], body: &[u8], wait: Option<Wait<'_>>) -> Result<bool> {
        self.socket.send(head, body, wait)
    }

    /// Receives a packet, its first bytes into `head` and the others into `body`. Without a `wait`:
    /// `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Disconnected`] if the peer hung up; what the system says; those of waiting.
    pub fn receive(
        &mut self,
        head: &mut [u8],
        body: &mut [u8],
        expected: Expected,
        wait: Option<Wait<'_>>,
    ) -> Result<Option<Packet>> {
        let socket = &self.socket;
        let Some(wait) = wait else { return socket.try_receive(head, body) };
        let Some(spinner) = &mut self.spinner else {
            return socket.receive(head, body, wait).map(Some);
        };
        wait.check_abort()?;
        if (expected == Expected::Anytime || spinner.pays())
            && let Some(packet) = spinner.look(|| socket.try_receive(head, body), || true)?
        {
            return Ok(Some(packet));
        }
        let now = Instant::now();
        spinner.lie_down(|| now);
        let packet = Packet::received(socket.0.receive_beside(head, body, wait, now)?)?;
        spinner.wake();
        Ok(Some(packet))
    }

    /// Sends a message over rings and waits for room where there is none. `done` of its bytes are sent
    /// already; those sent are added. Without a `wait`: `false` if there is no more room.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`], [`ErrorKind::Disconnected`]; what the system says; those of waiting.
    ///
    /// # Panics
    ///
    /// Without rings.
    pub fn push(
        &mut self,
        head: &[u8; Header::LEN],
        payload: &[u8],
        done: &mut usize,
        wait: Option<Wait<'_>>,
    ) -> Result<bool> {
        let (ring, socket) = (ring_of(&mut self.ring), &self.socket.0);
        if ring.has_hung_up(socket) {
            return Err(Error::new(ErrorKind::Disconnected, "send to the peer"));
        }
        loop {
            if push(ring, socket, head, payload, done)? {
                return Ok(true);
            }
            let Some(wait) = wait else { return Ok(false) };
            ring.wait(socket, wait)?;
        }
    }

    /// Waits for a record and tells its length. It is to be [copied](Self::copy) out and then
    /// [closed](Self::close) before the next call. Without a `wait`: `None` if there is none, and then
    /// the descriptor will tell of the next.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    ///
    /// # Panics
    ///
    /// Without rings.
    pub fn open(&mut self, wait: Option<Wait<'_>>) -> Result<Option<usize>> {
        let (ring, socket) = (ring_of(&mut self.ring), &self.socket.0);
        let spinner = self.spinner.as_mut().expect("rings come with a session of our own");
        let found = match wait {
            None => {
                ring.rise(socket)?;
                ring.open(socket)?
            }
            Some(wait) => {
                wait.check_abort()?;
                spinner.look(|| ring.open(socket), || true)?
            }
        };
        if found.is_some() {
            return Ok(found);
        }
        loop {
            if ring.await_record(socket)? {
                let Some(wait) = wait else { return Ok(None) };
                spinner.lie_down(Instant::now);
                ring.wait(socket, wait)?;
            }
            if let Some(length) = ring.open(socket)? {
                spinner.wake();
                return Ok(Some(length));
            }
        }
    }

    /// Whether the record found has the length it must have where `left` bytes of its message are still
    /// to come.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`].
    ///
    /// # Panics
    ///
    /// Without rings.
    pub fn check_length(&mut self, length: usize, left: usize) -> Result<()> {
        ring_of(&mut self.ring).check_length(length, left)
    }

    /// Copies bytes of the record found, from `at` on, a multiple of 8, until `into` is full.
    ///
    /// # Panics
    ///
    /// Without rings.
    pub fn copy(&mut self, at: usize, into: &mut [u8]) {
        ring_of(&mut self.ring).copy(at, into);
    }

    /// Goes on behind the record found.
    ///
    /// # Errors
    ///
    /// What the system says.
    ///
    /// # Panics
    ///
    /// Without rings.
    pub fn close(&mut self, length: usize) -> Result<()> {
        ring_of(&mut self.ring).close(&self.socket.0, length)
    }
}

fn ring_of(ring: &mut Option<Box<RingEnd>>) -> &mut RingEnd {
    ring.as_mut().expect("only called with rings")
}
