//! A session: whole messages out, whole messages in, over a socket or shared memory
//! (PROTOCOL.md, sections 6 to 9).

#[cfg(not(target_os = "linux"))]
mod no_ring;
mod records;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(not(target_os = "linux"))]
use no_ring as ring;

use std::{
    io, mem,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use netipc_proto::{
    Agreement, Fault, Header, Role, Rules,
    handshake::profile,
    parts::{Cut, Join, Part},
    session::check_batch,
};

use records::Partial;

use crate::{
    endpoint::socket_path,
    error::{Error, ErrorKind, Result},
    greeting::greet,
    options::SessionOptions,
    shm::{Place, Shared, Taken},
    spin::{Spin, Spinner},
    sys::{Interest, PeerCredentials, Poller, Socket},
    wait::Wait,
};

pub(crate) use ring::{Handed, Handover, RingEnd, grant, receive_grant};

/// A region has no descriptor to wait for, so the socket and the abort are looked at this
/// often while somebody waits there whom nobody rings. A message ends the wait at once all the same.
const GLANCE: Duration = Duration::from_millis(20);

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
    Packets { header: Header, cut: Cut, next: Part },
    Records { header: Header, done: usize },
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
        let path = socket_path(dir, service)?;
        let mut offered = options.clone();
        let mut fallback = None;
        loop {
            let (socket, agreement, handed) = greet(&path, &offered, wait)?;
            let cause = match Link::join(dir, service, &offered, &socket, &agreement, handed) {
                Ok(link) => {
                    let mut session = Session::over(Role::Client, socket.into(), link, agreement);
                    session.set_spin(options.spin);
                    session.fallback = fallback;
                    return Ok(session);
                }
                Err(cause) => cause,
            };
            // On the same session the server would wait where this side is not.
            drop(socket);
            let without = match agreement.uses_rings() {
                true => !profile::RING,
                false => !profile::SHM,
            };
            offered.supported_profiles &= without;
            offered.preferred_profiles &= without;
            if offered.supported_profiles == 0 {
                // Memory that is missing is not a service that is missing.
                let kind = match cause.kind() {
                    ErrorKind::NotFound | ErrorKind::PermissionDenied => ErrorKind::System,
                    kind => kind,
                };
                return Err(cause.with_kind(kind));
            }
            fallback.get_or_insert(cause);
        }
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

    /// How messages are waited for from now on.
    pub(crate) fn set_spin(&mut self, spin: Spin) {
        self.spinner = Spinner::new(spin);
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
                Link::Ring(ring) => {
                    ring.wait(&self.socket, wait)?;
                    // Hung up or not, the next attempt tells.
                    ring.rise(&self.socket)?;
                }
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
        let outgoing = match self.outgoing.take() {
            Some(begun) => begun,
            None => {
                let payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                let header = Header { payload_len, ..*header };
                self.rules.send(&header)?;
                match &self.link {
                    Link::Region(_) => return self.send_shared(&header, payload).map(|()| true),
                    Link::Ring(_) => Outgoing::Records { header, done: 0 },
                    Link::Socket => {
                        let begun = Cut::new(&header, self.agreement.agreed_packet_size);
                        let mut cut = begun.inspect_err(|_| self.rules.unsend(&header))?;
                        let next = cut.next().expect("every message has a first packet");
                        Outgoing::Packets { header, cut, next }
                    }
                }
            }
        };
        match outgoing {
            Outgoing::Packets { header, cut, next } => {
                self.send_packets(header, cut, next, payload)
            }
            Outgoing::Records { header, done } => self.send_records(header, payload, done),
        }
    }

    fn send_packets(
        &mut self,
        header: Header,
        mut cut: Cut,
        mut next: Part,
        payload: &[u8],
    ) -> Result<bool> {
        loop {
            match self.socket.send(&next.head, &payload[next.payload.clone()]) {
                Ok(true) => match cut.next() {
                    Some(following) => next = following,
                    None => return Ok(true),
                },
                Ok(false) => {
                    self.outgoing = Some(Outgoing::Packets { header, cut, next });
                    return Ok(false);
                }
                Err(cause) => {
                    self.rules.unsend(&header);
                    return Err(Error::system("send to the peer", cause));
                }
            }
        }
    }

    fn send_shared(&mut self, header: &Header, payload: &[u8]) -> Result<()> {
        let Link::Region(shared) = &mut self.link else { unreachable!("only called with one") };
        if self.rules.in_flight() > 1 {
            self.rules.unsend(header);
            let why = "send over shared memory before the response to the last request";
            return Err(Error::new(ErrorKind::InvalidInput, why));
        }
        shared.publish(&header.to_bytes(), payload).map_err(|error| {
            self.rules.unsend(header);
            error.into()
        })
    }

    /// Waits for a message and returns its envelope; [`payload`](Self::payload) has the rest.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Disconnected`], [`ErrorKind::TimedOut`], [`ErrorKind::Aborted`];
    /// [`ErrorKind::LimitExceeded`], [`ErrorKind::Protocol`], [`ErrorKind::Parts`],
    /// [`ErrorKind::UnknownId`] if the peer breaks the rules. The session cannot be used further.
    pub fn receive(&mut self, wait: Wait<'_>) -> Result<Header> {
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
        let now = Instant::now();
        self.spinner.lie_down(now);
        let header = self.receive_packets(Some((wait, now)))?;
        let header = header.expect("it blocks until there is one");
        self.spinner.wake();
        Ok(header)
    }

    /// Looks for a message, as long as that pays and `may_go_on`.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    pub(crate) fn look(&mut self, may_go_on: impl FnMut() -> bool) -> Result<Option<Header>> {
        let mut spinner = mem::take(&mut self.spinner);
        let found = spinner.look(|| self.take(), may_go_on);
        self.spinner = spinner;
        found
    }

    /// As [`look`](Self::look), for who is to wait by means that tell of what is there already: does
    /// nothing where a look of late never found something.
    pub(crate) fn look_on(&mut self, may_go_on: impl FnMut() -> bool) -> Result<Option<Header>> {
        if !self.spinner.is_worth_a_look() {
            return Ok(None);
        }
        self.look(may_go_on)
    }

    /// From here on the session is waited for by other means, until [`wake`](Self::wake). Whether it
    /// may be: `false` if there is something after all.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), without those of waiting.
    pub(crate) fn lie_down(&mut self) -> Result<bool> {
        if let Link::Ring(ring) = &mut self.link
            && !ring.await_record(&self.socket)?
        {
            return Ok(false);
        }
        self.spinner.lie_down(Instant::now());
        Ok(true)
    }

    /// It was waited for by other means, and now there is something.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), without those of waiting.
    pub(crate) fn wake(&mut self) -> Result<()> {
        self.spinner.wake();
        match &mut self.link {
            Link::Ring(ring) => ring.rise(&self.socket),
            _ => Ok(()),
        }
    }

    /// As [`receive`](Self::receive) in shared memory, without looking around: for who rings the
    /// session's bell when the socket hangs up.
    pub(crate) fn receive_until_rung(&mut self) -> Result<Header> {
        self.receive_shared(Wait::FOREVER, Duration::MAX)
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

    /// Receives from the socket until a message is whole. Blocks for it if there is a `wait`, which
    /// begins now.
    fn receive_packets(&mut self, mut wait: Option<(Wait<'_>, Instant)>) -> Result<Option<Header>> {
        self.payload_len = 0;
        let packet_size = self.agreement.agreed_packet_size;
        loop {
            let range = match &self.incoming {
                Some(join) => join.next(),
                None => 0..message_limit(&self.rules).min(packet_size as usize) - Header::LEN,
            };
            let end = Header::LEN + range.end;
            if self.inbox.len() < end {
                match self.incoming {
                    // Fresh zeroes cost no memory until they are used, and most messages are small.
                    None => self.inbox = vec![0; end],
                    Some(_) => self.inbox.resize(end, 0),
                }
            }
            // The head of a part comes to lie on the end of the part before, which is put back.
            let packet_room = &mut self.inbox[range.start..end];
            let overlaid = *head_of(packet_room);
            let packet = match wait {
                Some((wait, now)) => self.socket.receive_within(packet_room, wait, now)?,
                None => match self.socket.receive(packet_room, &mut []) {
                    Ok(Some(packet)) => packet,
                    Ok(None) => return Ok(None),
                    Err(cause) => {
                        let error = Error::system("receive from the peer", cause);
                        return Err(error.with_kind(ErrorKind::Disconnected));
                    }
                },
            };
            let head = *head_of(packet_room);
            if self.incoming.is_some() {
                *head_of(packet_room) = overlaid;
            }
            if packet.len == 0 {
                return Err(Error::new(ErrorKind::Disconnected, "receive from the peer"));
            }
            let payload_len = packet.len.saturating_sub(Header::LEN);
            let head = &head[..packet.len.min(Header::LEN)];
            let join = match &mut self.incoming {
                Some(join) => {
                    if packet.truncated {
                        return Err(Fault::WrongPart.into());
                    }
                    join.push(head, payload_len)?;
                    join
                }
                none => {
                    let header = Header::read(head).map_err(Fault::Malformed)?;
                    self.rules.receive(&header).inspect_err(|_| self.refused = Some(header))?;
                    if packet.truncated {
                        return Err(Fault::Trailing.into());
                    }
                    none.insert(Join::start(&header, payload_len, packet_size)?)
                }
            };
            if join.is_complete() {
                let header = *join.header();
                self.incoming = None;
                self.payload_len = header.payload_len as usize;
                check_batch(&header, self.payload())?;
                return Ok(Some(header));
            }
            if let Some((_, now)) = &mut wait {
                *now = Instant::now();
            }
        }
    }

    /// Waits in shared memory, no longer than `glance` without a look at the socket and the abort.
    fn receive_shared(&mut self, wait: Wait<'_>, glance: Duration) -> Result<Header> {
        wait.check_abort()?;
        if let Some(header) = self.look(|| true)? {
            return Ok(header);
        }
        let mut now = Instant::now();
        self.spinner.lie_down(now);
        loop {
            let remaining = wait.remaining_at(now)?;
            let limit = message_limit(&self.rules);
            let Link::Region(shared) = &mut self.link else { unreachable!("only called with one") };
            let slice = remaining.map_or(glance, |left| left.min(glance));
            let until = now.checked_add(slice);
            match shared.take(limit, until)? {
                Taken::Message(length) => {
                    self.spinner.wake();
                    return self.take_shared(length);
                }
                Taken::Rung => return Err(ErrorKind::Aborted.into()),
                Taken::Closed => {
                    return Err(Error::new(ErrorKind::Disconnected, "receive from the peer"));
                }
                Taken::TimedOut => {}
            }
            if self.socket.peer_gone() {
                // It may have answered just before it went.
                return match self.try_receive()? {
                    Some(header) => Ok(header),
                    None => Err(Error::new(ErrorKind::Disconnected, "receive from the peer")),
                };
            }
            now = Instant::now();
        }
    }

    /// Copies the message of `length` bytes out of shared memory, then looks at the copy.
    fn take_shared(&mut self, length: usize) -> Result<Header> {
        let Link::Region(shared) = &self.link else { unreachable!("only called with one") };
        let Some(payload_len) = length.checked_sub(Header::LEN) else {
            return Err(Fault::Length.into());
        };
        if self.inbox.len() < length {
            self.inbox.resize(length, 0);
        }
        shared.copy(0, &mut self.inbox[..length]);
        let header = Header::read(head_of(&mut self.inbox)).map_err(Fault::Malformed)?;
        self.rules.receive(&header)?;
        if header.payload_len as usize != payload_len {
            return Err(Fault::Length.into());
        }
        self.payload_len = payload_len;
        check_batch(&header, self.payload())?;
        Ok(header)
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

    /// What a send without room waits for.
    pub(crate) fn interest_to_send(&self) -> Interest {
        match self.link {
            Link::Ring(_) => Interest::Readable,
            _ => Interest::Writable,
        }
    }

    /// Lets `poller`, which knows the socket by `token`, watch the session for one event more.
    pub(crate) fn rearm(
        &mut self,
        poller: &Poller,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        match &mut self.link {
            Link::Ring(ring) => ring.rearm(&self.socket, poller, token, interest),
            _ => poller.rearm(&*self.socket, token, interest),
        }
    }

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    pub(crate) fn into_socket(self) -> Arc<Socket> {
        self.socket
    }

    pub(crate) fn shared(&self) -> Option<&Shared> {
        match &self.link {
            Link::Region(shared) => Some(shared),
            _ => None,
        }
    }

    pub(crate) fn shared_mut(&mut self) -> Option<&mut Shared> {
        match &mut self.link {
            Link::Region(shared) => Some(shared),
            _ => None,
        }
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
        options: &SessionOptions,
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
                auth_token: options.auth_token,
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
