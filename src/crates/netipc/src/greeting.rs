//! Both sides of the handshake over a socket (PROTOCOL.md, section 10).

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use netipc_proto::{Agreement, Header, Hello, Refusal, Role, Terms, handshake::profile};

use crate::{
    error::{Error, ErrorKind, Result},
    link::{Awaited, Handed, Handover, Link, RingEnd, Session, grant, receive_grant},
    options::SessionOptions,
    shm::{self, Place, Shared},
    sys::{Packet, Socket},
    wait::Wait,
};

/// The longest a peer may take for its step of the handshake.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(5);

/// Who makes sessions: a service, and the numbers it gives them.
#[derive(Debug)]
pub(crate) struct Host {
    dir: PathBuf,
    service: String,
    session_ids: AtomicU64,
    awaited: Awaited,
}

impl Host {
    /// The endpoint of the service must be held: what servers that were killed left of their
    /// sessions is removed.
    pub(crate) fn new(dir: &Path, service: &str, awaited: Awaited) -> Self {
        // If something cannot be removed it does no harm now: a session that needs its name takes
        // the next number.
        let _ = shm::sweep(dir, service);
        let (dir, service) = (dir.to_owned(), service.to_owned());
        Host { dir, service, session_ids: AtomicU64::new(1), awaited }
    }

    /// Takes the HELLO of a client, if it is there, and answers it on these terms.
    ///
    /// # Errors
    ///
    /// Why there is no session. The client was told, where the protocol says so.
    pub(crate) fn greet(&self, socket: &Arc<Socket>, mut terms: Terms) -> Result<Option<Session>> {
        let Some(packet) = receive_short(socket)? else { return Ok(None) };
        loop {
            let agreed =
                Hello::from_packet(&packet).and_then(|hello| self.agree(socket, &hello, terms));
            let (session, handover) = agreed.map_err(|refusal| refuse(socket, refusal))?;
            match reply(socket, session.agreement(), handover.as_ref()) {
                Ok(true) => return Ok(Some(session)),
                Ok(false) => return Err(Error::new(ErrorKind::Disconnected, AGREE)),
                // This user has too many descriptors under way, perhaps to clients that take none.
                Err(_) if handover.is_some() => terms.supported_profiles &= !profile::RING,
                Err(cause) => return Err(Error::system(AGREE, cause)),
            }
        }
    }

    /// Decides on a session. The memory it uses exists when this returns.
    fn agree(
        &self,
        socket: &Arc<Socket>,
        hello: &Hello,
        mut terms: Terms,
    ) -> Result<(Session, Option<Handover>), Refusal> {
        loop {
            let number = self.session_ids.fetch_add(1, Relaxed);
            let agreement = terms.agree(hello, number)?;
            let (link, handover) = match self.link(socket, &agreement, terms.auth_token) {
                Ok(made) => made,
                // A server that lives has a session of that number: the next may be free.
                Err(error) if error.kind() == ErrorKind::AddressInUse => continue,
                Err(_) => {
                    let without = if agreement.uses_rings() { profile::RING } else { profile::SHM };
                    terms.supported_profiles &= !without;
                    continue;
                }
            };
            let session = Session::over(Role::Server, Arc::clone(socket), link, agreement);
            return Ok((session, handover));
        }
    }

    /// Makes what carries the messages of a session, and what the client needs to be given of it.
    fn link(
        &self,
        socket: &Socket,
        agreement: &Agreement,
        auth_token: u64,
    ) -> Result<(Link, Option<Handover>)> {
        if agreement.uses_rings() {
            let (ring, handover) = RingEnd::create(socket, agreement, self.awaited)?;
            return Ok((Link::Ring(ring.into()), Some(handover)));
        }
        if agreement.uses_shared_memory() {
            return Ok((Link::Region(self.create(agreement, auth_token)?), None));
        }
        Ok((Link::Socket, None))
    }

    /// Creates the region of a session.
    fn create(&self, agreement: &Agreement, auth_token: u64) -> Result<Shared> {
        let capacity = |payload: u32| {
            let too_large = || Error::new(ErrorKind::Exhausted, "messages too large to be shared");
            payload.checked_add(Header::LEN as u32).ok_or_else(too_large)
        };
        let place = Place {
            dir: &self.dir,
            service: &self.service,
            session_id: agreement.session_id,
            profile: agreement.selected_profile,
            auth_token,
        };
        Ok(Shared::create(
            &place,
            capacity(agreement.agreed_max_request_payload_bytes)?,
            capacity(agreement.agreed_max_response_payload_bytes)?,
        )?)
    }
}

/// Grants a session. Whether there was room for the packet.
pub(crate) fn reply(
    socket: &Socket,
    agreement: &Agreement,
    handover: Option<&Handover>,
) -> io::Result<bool> {
    let packet = agreement.packet();
    match handover {
        Some(handover) => grant(socket, &packet, handover),
        None => socket.send(&packet, &[]),
    }
}

/// A session that a client has agreed on.
pub(crate) struct Agreed<L> {
    pub(crate) socket: Socket,
    pub(crate) agreement: Agreement,
    /// What carries its messages.
    pub(crate) link: L,
    /// Why that is not what was agreed on first.
    pub(crate) fallback: Option<Error>,
}

/// Connects to `path` and agrees on a session, whose messages are carried by what `join` finds. If it
/// finds nothing, a session without that profile takes the place of the first.
///
/// # Errors
///
/// As [`Session::connect`].
pub(crate) fn connect<L>(
    path: &Path,
    options: &SessionOptions,
    wait: Wait<'_>,
    join: impl Fn(&Socket, &Agreement, Handed) -> Result<L>,
) -> Result<Agreed<L>> {
    let mut offered = options.clone();
    let mut fallback = None;
    loop {
        let (socket, agreement, handed) = greet(path, &offered, wait)?;
        let cause = match join(&socket, &agreement, handed) {
            Ok(link) => return Ok(Agreed { socket, agreement, link, fallback }),
            Err(cause) => cause,
        };
        // On the same session the server would wait where this side is not.
        drop(socket);
        let without = if agreement.uses_rings() { !profile::RING } else { !profile::SHM };
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

/// Connects a socket and asks for a session. Beside what was agreed: the descriptors that came along.
fn greet(
    path: &Path,
    options: &SessionOptions,
    wait: Wait<'_>,
) -> Result<(Socket, Agreement, Handed)> {
    let wait = wait.capped(HANDSHAKE);
    let socket = Socket::connect(path, wait)?;
    let offer = options.offer(socket.max_packet());
    let context = || format!("agree with {}", path.display());
    let (packet, handed) = ask(&socket, &offer, wait).map_err(|error| error.within(context()))?;
    let agreement = offer.agreement(&packet).map_err(|refusal| refused(refusal, context()))?;
    Ok((socket, agreement, handed))
}

/// Sends a HELLO and returns the packet that answers it, and the descriptors that came along.
fn ask(socket: &Socket, offer: &Hello, wait: Wait<'_>) -> Result<(Vec<u8>, Handed)> {
    let hello = offer.packet();
    while !socket.send(&hello, &[]).map_err(|cause| Error::system("send a HELLO", cause))? {
        socket.wait_writable(wait)?;
    }
    let mut handed = Handed::default();
    loop {
        let mut bytes = [0; LONGEST];
        if let Some(packet) = short(receive_grant(socket, &mut bytes, &mut handed), &bytes)? {
            return Ok((packet, handed));
        }
        socket.wait_readable(wait)?;
    }
}

/// What is read of a packet of the handshake. Longer ones are cut: what counts stands first.
const LONGEST: usize = 128;

/// Takes one packet of the handshake if it is there.
pub(crate) fn receive_short(socket: &Socket) -> Result<Option<Vec<u8>>> {
    let mut bytes = [0; LONGEST];
    short(socket.receive(&mut bytes, &mut []), &bytes)
}

fn short(received: io::Result<Option<Packet>>, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    match received {
        Ok(None) => Ok(None),
        Ok(Some(packet)) if packet.len == 0 => Err(ErrorKind::Disconnected.into()),
        Ok(Some(packet)) => Ok(Some(bytes[..packet.len].to_vec())),
        Err(cause) => {
            let error = Error::system("receive a step of the handshake", cause);
            Err(error.with_kind(ErrorKind::Disconnected))
        }
    }
}

/// What a server was about when it found no session for a client.
const AGREE: &str = "agree with a client";

/// Tells a client why there is no session, where the protocol says so. The failure for the server.
pub(crate) fn refuse(socket: &Socket, refusal: Refusal) -> Error {
    if let Some(packet) = refusal.packet() {
        // It is hung up on anyway: whether it gets to know why is up to it.
        let _ = socket.send(&packet, &[]);
    }
    refused(refusal, AGREE.into())
}

/// A refusal as the failure of what `context` says.
fn refused(refusal: Refusal, context: String) -> Error {
    let kind = match refusal {
        Refusal::Malformed(_) | Refusal::BadHello(_) | Refusal::Unexpected => ErrorKind::Protocol,
        Refusal::BadGrant(_) => ErrorKind::Protocol,
        Refusal::Incompatible => ErrorKind::Incompatible,
        // The kind says it all.
        Refusal::NoProfile => return Error::new(ErrorKind::NoCommonProfile, context),
        Refusal::AuthFailed => ErrorKind::AuthenticationFailed,
        Refusal::LimitExceeded => ErrorKind::LimitExceeded,
        Refusal::Other(_) => ErrorKind::Rejected,
    };
    Error::new(kind, format!("{context}: {refusal}"))
}
