//! A session: whole messages out, whole messages in, over a socket or shared memory
//! (PROTOCOL.md, sections 6 to 9).

#[cfg(not(target_os = "linux"))]
mod no_ring;
mod packets;
mod records;
mod region;
#[cfg(target_os = "linux")]
mod ring;
mod waiting;
#[cfg(not(target_os = "linux"))]
use no_ring as ring;

use std::{path::Path, sync::Arc, time::Instant};

use netipc_proto::{
    Agreement, Header, Role, Rules,
    parts::{Cut, Join},
};

use records::Partial;
use region::GLANCE;

#[cfg(doc)]
use crate::error::ErrorKind;
use crate::{
    endpoint::socket_path,
    error::{Error, Result},
    greeting::{Agreed, connect},
    options::SessionOptions,
    shm::{Place, Shared},
    spin::Spinner,
    sys::{PeerCredentials, Socket},
    wait::Wait,
};

pub(crate) use {
    records::push,
    ring::{Handed, Handover, RingEnd, grant, receive_grant},
};

/// What room is kept for messages that are yet to come; more is given back.
const KEPT_ROOM: usize = 1 << 20;

/// A connected session.
///
/// It belongs to one thread at a time. Messages are whole: cutting large ones into packets and
/// joining them is done here. Requests may be pipelined over a socket and over rings; over the shared
/// memory of Netdata plugin-ipc each is followed by its response before the next.
///
/// Who runs an own event loop waits until the descriptor is readable and calls
/// [`try_receive`](Self::try_receive), or until it is writable and calls
/// [`try_send`](Self::try_send); neither blocks. Over rings the descriptor is never writable: it is
/// readable when there is a message and when there is room, and in both cases `try_receive` is to be
/// called first, until it finds none. Over the shared memory of Netdata plugin-ipc the descriptor
/// only tells that the peer hung up, and messages are waited for with [`receive`](Self::receive).
#[derive(Debug)]
pub struct Session {
    /// Dropped before the socket, so that the region is gone when the peer notices the end.
    link: Link,
    socket: Arc<Socket>,
    agreement: Agreement,
    rules: Rules,
    outgoing: Option<Outgoing>,
    incoming: Option<Join>,
    partial: Option<Partial>,
    /// Where messages arrive, envelope first. Its length is the room there is; how much of it is the
    /// current payload, `payload_len` says.
    inbox: Vec<u8>,
    payload_len: usize,
    /// The envelope of a message that was too large to receive.
    refused: Option<Header>,
    fallback: Option<Error>,
    spinner: Spinner,
}

/// What carries the messages of a session once it was agreed on.
#[derive(Debug)]
pub(crate) enum Link {
    /// The socket itself.
    Socket,
    /// A region of the shared memory of Netdata plugin-ipc.
    Region(Shared),
    /// Rings.
    Ring(Box<RingEnd>),
}

/// How a server waits for what happens to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// By itself: it has one descriptor for all of it.
    Alone,
    /// Beside others, by a poller that watches whatever descriptors it has.
    Together,
}

/// What carries the messages of a session, as its users are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Carrier {
    /// The socket.
    Socket,
    /// The shared memory of Netdata plugin-ipc: one message at a time in each direction.
    SharedMemory,
    /// Rings in shared memory: many messages at a time.
    Rings,
}

/// A message that is sent in part.
#[derive(Debug)]
enum Outgoing {
    /// What follows the packets that were sent.
    Packets(Cut),
    Records {
        header: Header,
        done: usize,
    },
}

impl Session {
    /// Connects to `service` in `dir` and agrees on a session.
    ///
    /// If shared memory was agreed on and cannot be used, a second session without it takes the
    /// place of the first; [`fallback`](Self::fallback) then says why. Each step of the peer may
    /// take 5 seconds at most.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] and the other failures of connecting;
    /// [`ErrorKind::AuthenticationFailed`], [`ErrorKind::Incompatible`],
    /// [`ErrorKind::NoCommonProfile`], [`ErrorKind::LimitExceeded`] if the server refuses;
    /// [`ErrorKind::Disconnected`] if it hangs up instead of answering; [`ErrorKind::Protocol`] if
    /// its answer is none; [`ErrorKind::TimedOut`]; [`ErrorKind::Aborted`].
    pub fn connect(
        dir: &Path,
        service: &str,
        options: &SessionOptions,
        wait: Wait<'_>,
    ) -> Result<Session> {
        let join = |socket: &Socket, agreement: &Agreement, handed| {
            Link::join(dir, service, options.auth_token, socket, agreement, handed)
        };
        let Agreed { socket, agreement, link, fallback } =
            connect(&socket_path(dir, service)?, options, wait, join)?;
        let mut session = Session::over(Role::Client, socket.into(), link, agreement);
        session.set_spin(options.spin);
        session.fallback = fallback;
        Ok(session)
    }

    /// A session that was agreed on over `socket`.
    pub(crate) fn over(role: Role, socket: Arc<Socket>, link: Link, agreement: Agreement) -> Self {
        Session {
            link,
            socket,
            rules: Rules::new(role, &agreement),
            agreement,
            outgoing: None,
            incoming: None,
            partial: None,
            inbox: Vec::new(),
            payload_len: 0,
            refused: None,
            fallback: None,
            spinner: Spinner::default(),
        }
    }

    /// What was agreed: limits, profile and the number of the session.
    pub fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Goes on under other limits than were agreed.
    pub(crate) fn amend(&mut self, agreement: Agreement) {
        let Rules { outgoing, incoming, .. } = Rules::new(self.rules.role, &agreement);
        (self.rules.outgoing, self.rules.incoming) = (outgoing, incoming);
        self.agreement = agreement;
    }

    /// What carries the messages.
    pub fn carrier(&self) -> Carrier {
        match self.link {
            Link::Socket => Carrier::Socket,
            Link::Region(_) => Carrier::SharedMemory,
            Link::Ring(_) => Carrier::Rings,
        }
    }

    /// Whether messages travel through shared memory of either kind.
    pub fn is_shared_memory(&self) -> bool {
        self.carrier() != Carrier::Socket
    }

    /// Why messages do not travel through the shared memory that was agreed on first.
    pub fn fallback(&self) -> Option<&Error> {
        self.fallback.as_ref()
    }

    /// Who the peer is, as the kernel knows it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn peer(&self) -> Result<PeerCredentials> {
        self.socket.peer().map_err(|cause| Error::system("ask who the peer is", cause))
    }

    /// Whether the peer hung up. What it sent before can still be received.
    pub fn peer_gone(&self) -> bool {
        self.socket.peer_gone()
    }

    /// How many requests of this side wait for their response.
    pub fn in_flight(&self) -> usize {
        self.rules.in_flight()
    }

    /// Sends a message, waiting for room if there is none.
    ///
    /// `header.payload_len` is set to the length of `payload`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::LimitExceeded`] and [`ErrorKind::DuplicateId`]: nothing was sent, and the
    /// session can be used further. After any other error it cannot.
    pub fn send(&mut self, header: &Header, payload: &[u8], wait: Wait<'_>) -> Result<()> {
        while !self.try_send(header, payload)? {
            match &mut self.link {
                // Hung up or not, the next attempt tells.
                Link::Ring(ring) => ring.wait_in(&self.socket, wait)?,
                _ => self.socket.wait_writable(wait)?,
            }
        }
        Ok(())
    }

    /// Sends a message as far as there is room. `false` if there was not enough: call it again
    /// with the same message when the descriptor is writable, or readable over rings.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn try_send(&mut self, header: &Header, payload: &[u8]) -> Result<bool> {
        match self.outgoing.take() {
            None => {}
            Some(Outgoing::Packets(cut)) => return self.send_packets(cut, payload),
            Some(Outgoing::Records { header, done }) => {
                return self.send_records(header, payload, done);
            }
        }
        let payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let header = Header { payload_len, ..*header };
        self.rules.send(&header)?;
        match &self.link {
            Link::Socket => {
                let cut = Cut::new(&header, self.agreement.agreed_packet_size);
                let cut = cut.inspect_err(|_| self.rules.unsend(&header))?;
                self.send_packets(cut, payload)
            }
            Link::Ring(_) => self.send_records(header, payload, 0),
            Link::Region(_) => self.send_shared(&header, payload).map(|()| true),
        }
    }

    /// Waits for a message and returns its envelope; [`payload`](Self::payload) has the rest.
    ///
    /// It sleeps until there is one. Over the shared memory of Netdata plugin-ipc, where a sleeper is
    /// not told that its peer died, it looks for that every 20 ms.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Disconnected`], [`ErrorKind::TimedOut`], [`ErrorKind::Aborted`];
    /// [`ErrorKind::LimitExceeded`], [`ErrorKind::Protocol`], [`ErrorKind::Parts`],
    /// [`ErrorKind::UnknownId`] if the peer breaks the rules. The session cannot be used further.
    pub fn receive(&mut self, wait: Wait<'_>) -> Result<Header> {
        self.receive_from(wait, Instant::now)
    }

    /// As [`receive`](Self::receive), for who knows since `when` it waits, if it has to.
    pub(crate) fn receive_from(
        &mut self,
        wait: Wait<'_>,
        when: impl FnOnce() -> Instant,
    ) -> Result<Header> {
        match self.link {
            Link::Region(_) => return self.receive_shared(wait, GLANCE),
            Link::Ring(_) => return self.receive_records(wait),
            Link::Socket => {}
        }
        wait.check_abort()?;
        // The answer to the only request is never there yet; looking for it once would cost a call.
        let is_alone = self.rules.role == Role::Client && self.rules.in_flight() == 1;
        if (!is_alone || self.spinner.pays())
            && let Some(header) = self.look(|| true)?
        {
            return Ok(header);
        }
        let now = when();
        self.spinner.lie_down(|| now);
        let header = self.receive_packets(Some((wait, now)))?;
        let header = header.expect("it blocks until there is one");
        self.spinner.wake();
        Ok(header)
    }

    /// The payload of the last message received, until the next is received.
    pub fn payload(&self) -> &[u8] {
        match self.payload_len {
            0 => &[],
            len => &self.inbox[Header::LEN..][..len],
        }
    }

    /// Takes the next message if all of it is there. `None` if not: call it again when the
    /// descriptor is readable.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), without those of waiting.
    pub fn try_receive(&mut self) -> Result<Option<Header>> {
        match self.link {
            Link::Ring(_) => self.try_receive_records(),
            _ => self.take(),
        }
    }

    /// As [`try_receive`](Self::try_receive), but nobody makes the descriptor readable afterwards.
    pub(crate) fn take(&mut self) -> Result<Option<Header>> {
        match &mut self.link {
            Link::Socket => self.receive_packets(None),
            Link::Ring(_) => self.take_records(),
            Link::Region(shared) => match shared.poll(message_limit(&self.rules))? {
                Some(length) => self.take_shared(length).map(Some),
                None => Ok(None),
            },
        }
    }

    /// Gives room back that only an unusually large message needed.
    pub(crate) fn forget_payload(&mut self) {
        self.payload_len = 0;
        if self.inbox.len() > KEPT_ROOM {
            self.inbox = Vec::new();
        }
    }

    /// The envelope of the message that broke the limits, after [`ErrorKind::LimitExceeded`].
    pub(crate) fn refused(&self) -> Option<&Header> {
        self.refused.as_ref()
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    pub(crate) fn into_socket(self) -> Arc<Socket> {
        self.socket
    }
}

fn head_of(packet: &mut [u8]) -> &mut [u8; Header::LEN] {
    packet.first_chunk_mut().expect("there is room for an envelope")
}

impl Link {
    /// The client's end of what was agreed on.
    fn join(
        dir: &Path,
        service: &str,
        auth_token: u64,
        socket: &Socket,
        agreement: &Agreement,
        handed: Handed,
    ) -> Result<Self> {
        if agreement.uses_rings() {
            return Ok(Link::Ring(RingEnd::join(socket, handed)?.into()));
        }
        if agreement.uses_shared_memory() {
            let place = Place {
                dir,
                service,
                session_id: agreement.session_id,
                profile: agreement.selected_profile,
                auth_token,
            };
            return Ok(Link::Region(Shared::attach(&place)?));
        }
        Ok(Link::Socket)
    }
}

/// The longest message that may come in, envelope included.
fn message_limit(rules: &Rules) -> usize {
    (rules.incoming.payload_bytes as usize).saturating_add(Header::LEN)
}
