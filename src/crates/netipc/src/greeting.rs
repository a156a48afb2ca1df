//! Both sides of the handshake over a socket (PROTOCOL.md, section 10).

use std::{
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
    link::Session,
    options::SessionOptions,
    shm::{self, Place, Shared},
    sys::Socket,
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
}

impl Host {
    /// The endpoint of the service must be held: what servers that were killed left of their
    /// sessions is removed.
    pub(crate) fn new(dir: &Path, service: &str) -> Self {
        // If something cannot be removed it does no harm now: a session that needs its name takes
        // the next number.
        let _ = shm::sweep(dir, service);
        Host { dir: dir.to_owned(), service: service.to_owned(), session_ids: AtomicU64::new(1) }
    }

    /// Takes the HELLO of a client, if it is there, and answers it on these terms.
    ///
    /// # Errors
    ///
    /// Why there is no session. The client was told, where the protocol says so.
    pub(crate) fn greet(&self, socket: &Arc<Socket>, terms: Terms) -> Result<Option<Session>> {
        let Some(packet) = receive_short(socket)? else { return Ok(None) };
        let context = || String::from("agree with a client");
        match Hello::from_packet(&packet).and_then(|hello| self.agree(socket, &hello, terms)) {
            Ok(session) => match socket.send(&session.agreement().packet(), &[]) {
                Ok(true) => Ok(Some(session)),
                Ok(false) => Err(Error::new(ErrorKind::Disconnected, context())),
                Err(cause) => Err(Error::system(context(), cause)),
            },
            Err(refusal) => {
                if let Some(packet) = refusal.packet() {
                    // It is hung up on anyway: whether it gets to know why is up to it.
                    let _ = socket.send(&packet, &[]);
                }
                Err(refused(refusal, context()))
            }
        }
    }

    /// Decides on a session. The memory it uses exists when this returns.
    fn agree(
        &self,
        socket: &Arc<Socket>,
        hello: &Hello,
        mut terms: Terms,
    ) -> Result<Session, Refusal> {
        loop {
            let number = self.session_ids.fetch_add(1, Relaxed);
            let agreement = terms.agree(hello, number)?;
            let shared = if agreement.uses_shared_memory() {
                match self.create(&agreement, terms.auth_token) {
                    Ok(shared) => Some(shared),
                    // A server that lives has a session of that number: the next may be free.
                    Err(error) if error.kind() == ErrorKind::AddressInUse => continue,
                    Err(_) => {
                        terms.supported_profiles &= !profile::SHM;
                        continue;
                    }
                }
            } else {
                None
            };
            return Ok(Session::over(Role::Server, Arc::clone(socket), shared, agreement));
        }
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

/// Connects a socket and asks for a session.
pub(crate) fn greet(
    path: &Path,
    options: &SessionOptions,
    wait: Wait<'_>,
) -> Result<(Socket, Agreement)> {
    let wait = wait.capped(HANDSHAKE);
    let socket = Socket::connect(path, wait)?;
    let offer = options.offer(socket.max_packet());
    let context = || format!("agree with {}", path.display());
    let asked = ask(&socket, &offer, wait).map_err(|error| error.within(context()))?;
    let agreement = offer.agreement(&asked).map_err(|refusal| refused(refusal, context()))?;
    Ok((socket, agreement))
}

/// Sends a HELLO and returns the packet that answers it.
fn ask(socket: &Socket, offer: &Hello, wait: Wait<'_>) -> Result<Vec<u8>> {
    let hello = offer.packet();
    while !socket.send(&hello, &[]).map_err(|cause| Error::system("send a HELLO", cause))? {
        socket.wait_writable(wait)?;
    }
    loop {
        if let Some(packet) = receive_short(socket)? {
            return Ok(packet);
        }
        socket.wait_readable(wait)?;
    }
}

/// Takes one packet of the handshake if it is there. Longer ones are cut: what counts stands first.
pub(crate) fn receive_short(socket: &Socket) -> Result<Option<Vec<u8>>> {
    let mut bytes = [0; 128];
    match socket.receive(&mut bytes, &mut []) {
        Ok(None) => Ok(None),
        Ok(Some(packet)) if packet.len == 0 => Err(ErrorKind::Disconnected.into()),
        Ok(Some(packet)) => Ok(Some(bytes[..packet.len].to_vec())),
        Err(cause) => {
            let error = Error::system("receive a step of the handshake", cause);
            Err(error.with_kind(ErrorKind::Disconnected))
        }
    }
}

/// A refusal as the failure of what `context` says.
pub(crate) fn refused(refusal: Refusal, context: String) -> Error {
    let kind = match refusal {
        Refusal::Malformed(_) | Refusal::BadHello(_) | Refusal::Unexpected => ErrorKind::Protocol,
        Refusal::BadGrant(_) => ErrorKind::Protocol,
        Refusal::Incompatible => ErrorKind::Incompatible,
        Refusal::NoProfile => ErrorKind::NoCommonProfile,
        Refusal::AuthFailed => ErrorKind::AuthenticationFailed,
        Refusal::LimitExceeded => ErrorKind::LimitExceeded,
        Refusal::Other(_) => ErrorKind::Rejected,
    };
    Error::new(kind, format!("{context}: {refusal}"))
}
