//! A session: whole messages out, whole messages in, over a socket or shared memory
//! (PROTOCOL.md, sections 6 to 9).

use std::{
    mem,
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

use crate::{
    endpoint::socket_path,
    error::{Error, ErrorKind, Result},
    greeting::greet,
    options::SessionOptions,
    shm::{Place, Shared, Taken},
    spin::{Spin, Spinner},
    sys::{PeerCredentials, Socket},
    wait::Wait,
};

/// Shared memory has no descriptor to wait for, so the socket and the abort are looked at this
/// often while somebody waits there whom nobody rings. A message ends the wait at once all the same.
const GLANCE: Duration = Duration::from_millis(20);

/// What room is kept for messages that are yet to come; more is given back.
const KEPT_ROOM: usize = 1 << 20;

/// A connected session.
///
/// It belongs to one thread at a time. Messages are whole: cutting large ones into packets and
/// joining them is done here. Requests may be pipelined over a socket; over shared memory each is
/// followed by its response before the next.
///
/// Who runs an own event loop waits until the descriptor is readable and calls
/// [`try_receive`](Self::try_receive), or until it is writable and calls
/// [`try_send`](Self::try_send); neither blocks. Over shared memory the descriptor only tells that
/// the peer hung up, and messages are waited for with [`receive`](Self::receive).
#[derive(Debug)]
pub struct Session {
    /// Dropped before the socket, so that the region is gone when the peer notices the end.
    shared: Option<Shared>,
    socket: Arc<Socket>,
    agreement: Agreement,
    rules: Rules,
    outgoing: Option<Outgoing>,
    incoming: Option<Join>,
    /// Where messages arrive, envelope first. Its length is the room there is; how much of it is the
    /// current payload, `payload_len` says.
    inbox: Vec<u8>,
    payload_len: usize,
    /// The envelope of a message that was too large to receive.
    refused: Option<Header>,
    fallback: Option<Error>,
    spinner: Spinner,
}

/// A message of which some packets are sent.
#[derive(Debug)]
struct Outgoing {
    header: Header,
    cut: Cut,
    next: Part,
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
        let (socket, agreement) = greet(&path, options, wait)?;
        let over = |socket: Socket, shared, agreement| {
            let mut session = Session::over(Role::Client, socket.into(), shared, agreement);
            session.set_spin(options.spin);
            session
        };
        if !agreement.uses_shared_memory() {
            return Ok(over(socket, None, agreement));
        }
        let place = Place {
            dir,
            service,
            session_id: agreement.session_id,
            profile: agreement.selected_profile,
            auth_token: options.auth_token,
        };
        match Shared::attach(&place) {
            Ok(shared) => Ok(over(socket, Some(shared), agreement)),
            Err(error) => {
                let cause = Error::from(error);
                drop(socket);
                let baseline = SessionOptions {
                    supported_profiles: options.supported_profiles & !profile::SHM,
                    preferred_profiles: options.preferred_profiles & !profile::SHM,
                    ..options.clone()
                };
                if baseline.supported_profiles == 0 {
                    // A region that is missing is not a service that is missing.
                    let kind = match cause.kind() {
                        ErrorKind::NotFound | ErrorKind::PermissionDenied => ErrorKind::System,
                        kind => kind,
                    };
                    return Err(cause.with_kind(kind));
                }
                let (socket, agreement) = greet(&path, &baseline, wait)?;
                let mut session = over(socket, None, agreement);
                session.fallback = Some(cause);
                Ok(session)
            }
        }
    }

    /// A session that was agreed on over `socket`.
    pub(crate) fn over(
        role: Role,
        socket: Arc<Socket>,
        shared: Option<Shared>,
        agreement: Agreement,
    ) -> Self {
        Session {
            shared,
            socket,
            rules: Rules::new(role, &agreement),
            agreement,
            outgoing: None,
            incoming: None,
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

    /// Whether messages travel through shared memory.
    pub fn is_shared_memory(&self) -> bool {
        self.shared.is_some()
    }

    /// Why messages travel over the socket although shared memory was agreed on first.
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
            self.socket.wait_writable(wait)?;
        }
        Ok(())
    }

    /// Sends a message as far as there is room. `false` if there was not enough: call it again
    /// with the same message when the descriptor is writable.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn try_send(&mut self, header: &Header, payload: &[u8]) -> Result<bool> {
        let mut outgoing = match self.outgoing.take() {
            Some(begun) => begun,
            None => {
                let payload_len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
                let header = Header { payload_len, ..*header };
                self.rules.send(&header)?;
                if self.shared.is_some() {
                    return self.send_shared(&header, payload).map(|()| true);
                }
                let begun = Cut::new(&header, self.agreement.agreed_packet_size);
                let mut cut = begun.inspect_err(|_| self.rules.unsend(&header))?;
                let next = cut.next().expect("every message has a first packet");
                Outgoing { header, cut, next }
            }
        };
        loop {
            let Part { head, payload: range } = &outgoing.next;
            match self.socket.send(head, &payload[range.clone()]) {
                Ok(true) => match outgoing.cut.next() {
                    Some(next) => outgoing.next = next,
                    None => return Ok(true),
                },
                Ok(false) => {
                    self.outgoing = Some(outgoing);
                    return Ok(false);
                }
                Err(cause) => {
                    self.rules.unsend(&outgoing.header);
                    return Err(Error::system("send to the peer", cause));
                }
            }
        }
    }

    fn send_shared(&mut self, header: &Header, payload: &[u8]) -> Result<()> {
        let shared = self.shared.as_mut().expect("only called with shared memory");
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
        if self.shared.is_some() {
            return self.receive_shared(wait, GLANCE);
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
        let found = spinner.look(|| self.try_receive(), may_go_on);
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

    /// From here on the session is waited for by other means, until [`wake`](Self::wake).
    pub(crate) fn lie_down(&mut self) {
        self.spinner.lie_down(Instant::now());
    }

    /// It was waited for by other means, and now there is something.
    pub(crate) fn wake(&mut self) {
        self.spinner.wake();
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
        if let Some(shared) = &mut self.shared {
            let limit = message_limit(&self.rules);
            return match shared.poll(limit)? {
                Some(length) => self.take_shared(length).map(Some),
                None => Ok(None),
            };
        }
        self.receive_packets(None)
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
            let shared = self.shared.as_mut().expect("only called with shared memory");
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
        let shared = self.shared.as_ref().expect("only called with shared memory");
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

    pub(crate) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    pub(crate) fn into_socket(self) -> Arc<Socket> {
        self.socket
    }

    pub(crate) fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }

    pub(crate) fn shared_mut(&mut self) -> Option<&mut Shared> {
        self.shared.as_mut()
    }
}

fn head_of(packet: &mut [u8]) -> &mut [u8; Header::LEN] {
    packet.first_chunk_mut().expect("there is room for an envelope")
}

/// The longest message that may come in, envelope included.
fn message_limit(rules: &Rules) -> usize {
    (rules.incoming.payload_bytes as usize).saturating_add(Header::LEN)
}
