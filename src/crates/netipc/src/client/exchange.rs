//! One request and its answer, over as many sessions as it takes.

use std::time::Instant;

use netipc_proto::{
    Agreement, Defect, Header, Kind, Service, Status,
    retry::{Failure, Next, Retry},
};

use super::{Client, ClientState};
use crate::{
    batch::Answers,
    error::{Error, ErrorKind, Result},
    link::Session,
    wait::Wait,
};

impl<S: Service> Client<S> {
    /// Sends the request in `self.request` and leaves the reply as the session's payload, making
    /// new sessions as need be. It is `now`.
    pub(super) fn exchange(&mut self, wait: Wait<'_>, now: Instant, items: u32) -> Result<()> {
        let mut retry = Retry::default();
        let mut begun = Some(now);
        loop {
            let now = begun.take().unwrap_or_else(Instant::now);
            let error = match self.attempt(wait, now, items) {
                Ok(()) => {
                    self.status.call_count = self.status.call_count.wrapping_add(1);
                    return Ok(());
                }
                Err(error) => error,
            };
            let failure = failure(error.kind());
            let before = self.limits();
            if keeps_session(error.kind()) && failure == Failure::Final {
                return Err(error);
            }
            match retry.after(failure) {
                Next::GiveUp => {
                    self.drop_session(ClientState::Broken);
                    return Err(error);
                }
                Next::Again => {
                    // If there is no session to be had, what broke the first one is what to tell.
                    if let Err(reconnect) = self.reconnect(wait) {
                        return Err(if is_over(wait) { reconnect } else { error });
                    }
                }
                Next::Grow => {
                    let wishes = (self.request_wish, self.response_wish);
                    let grew = self.grow(before);
                    match self.reconnect(wait) {
                        Ok(()) => {}
                        Err(refusal) if refusal.kind() == ErrorKind::LimitExceeded => {
                            // The server takes no requests that long. What it took before it will
                            // take again.
                            (self.request_wish, self.response_wish) = wishes;
                            let _ = self.reconnect(wait);
                            return Err(error);
                        }
                        Err(reconnect) => {
                            return Err(if is_over(wait) { reconnect } else { error });
                        }
                    }
                    let after = self.limits();
                    if !grew && after.0 <= before.0 && after.1 <= before.1 {
                        self.drop_session(ClientState::Broken);
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Sends the request once in the present session. It is `now`.
    fn attempt(&mut self, wait: Wait<'_>, now: Instant, items: u32) -> Result<()> {
        let session = self.session.as_mut().ok_or(ErrorKind::NotReady)?;
        let len = u32::try_from(self.request.len()).unwrap_or(u32::MAX);
        let mut header =
            Header::request(S::METHOD, u64::from(self.status.call_count.wrapping_add(1)), len);
        if items > 1 {
            (header.flags, header.item_count) = (Header::BATCH, items);
        }
        let response = if session.try_send(&header, &self.request)? {
            // Sending took no time that matters.
            session.receive_from(wait, || now)?
        } else {
            session.send(&header, &self.request, wait)?;
            session.receive(wait)?
        };
        if response.kind != Kind::Response {
            return Err(Header::LAYOUT.wrong("kind", Defect::BadKind, "is no response").into());
        }
        let answers = response.code == header.code && response.message_id == header.message_id;
        if !answers {
            return Err(Error::new(ErrorKind::Protocol, "the response is to another request"));
        }
        match Status::from_code(response.transport_status) {
            Some(Status::Ok) => {}
            Some(Status::LimitExceeded) => {
                return Err(Error::new(
                    ErrorKind::LimitExceeded,
                    format!(
                        "the server cannot answer within {} bytes",
                        session.agreement().agreed_max_response_payload_bytes
                    ),
                ));
            }
            Some(Status::Unsupported) => return Err(ErrorKind::Unsupported.into()),
            Some(Status::BadEnvelope) => return Err(ErrorKind::Rejected.into()),
            Some(Status::InternalError) => return Err(ErrorKind::HandlerFailed.into()),
            _ => {
                let status = response.transport_status;
                return Err(Error::new(ErrorKind::Rejected, format!("status {status}")));
            }
        }
        if items > 1 && (!response.is_batch() || response.item_count != items) {
            let why = "has other items than the request";
            return Err(Header::LAYOUT.wrong("item_count", Defect::BadItemCount, why).into());
        }
        Ok(Answers::<S>::read(session.payload(), items)?.check()?)
    }

    /// The limits of the present session.
    fn limits(&self) -> (u32, u32) {
        self.session.as_ref().map_or((0, 0), |session| {
            let Agreement {
                agreed_max_request_payload_bytes: request,
                agreed_max_response_payload_bytes: response,
                ..
            } = *session.agreement();
            (request, response)
        })
    }

    /// Asks for more where a message was larger than a session with `limits` allows.
    fn grow(&mut self, (request, response): (u32, u32)) -> bool {
        if self.request.len() > request as usize {
            self.request_wish.need(self.request.len() as u64)
        } else {
            self.response_wish.need(u64::from(response) * 2)
        }
    }

    /// Makes a session in place of the one that broke. Does not begin to when the call is over, and
    /// one that is over while it tries leaves the state it leaves anywhere else.
    pub(super) fn reconnect(&mut self, wait: Wait<'_>) -> Result<()> {
        self.drop_session(ClientState::Broken);
        wait.remaining()?;
        let connected = self.connect(wait);
        self.count_connection(ClientState::Broken, connected.is_ok());
        if connected.is_err() && is_over(wait) {
            self.status.state = ClientState::Broken;
            wait.remaining()?;
        }
        connected
    }

    /// Ends a session whose reply turned out to be unusable.
    #[doc(hidden)]
    pub fn break_off(&mut self) {
        self.drop_session(ClientState::Broken);
    }

    /// Lets go of the session without hanging up.
    pub(crate) fn lose_session(&mut self) -> Option<Session> {
        self.status.state = ClientState::Broken;
        self.session.take()
    }

    pub(super) fn drop_session(&mut self, state: ClientState) {
        self.session = None;
        self.status.state = state;
    }

    pub(super) fn connect(&mut self, wait: Wait<'_>) -> Result<()> {
        self.session = None;
        match Session::connect(&self.dir, &self.service, &self.proposal(), wait) {
            Ok(session) => {
                self.session = Some(session);
                self.status.state = ClientState::Ready;
                Ok(())
            }
            Err(error) => {
                self.status.state = match error.kind() {
                    ErrorKind::NotFound | ErrorKind::PermissionDenied => ClientState::NotFound,
                    // What the system calls incompatible is a socket, not a service.
                    ErrorKind::Incompatible if error.raw_os_error().is_some() => {
                        ClientState::NotFound
                    }
                    ErrorKind::AuthenticationFailed => ClientState::AuthFailed,
                    ErrorKind::Incompatible
                    | ErrorKind::NoCommonProfile
                    | ErrorKind::LimitExceeded => ClientState::Incompatible,
                    _ => ClientState::Disconnected,
                };
                Err(error)
            }
        }
    }

    pub(super) fn count_connection(&mut self, before: ClientState, connected: bool) {
        let count = match before {
            ClientState::Broken => &mut self.status.reconnect_count,
            _ => &mut self.status.connect_count,
        };
        *count = count.wrapping_add(u32::from(connected));
    }
}

/// What a failure of one attempt means for the next.
fn failure(kind: ErrorKind) -> Failure {
    match kind {
        ErrorKind::LimitExceeded => Failure::Overflow,
        ErrorKind::TimedOut
        | ErrorKind::Aborted
        | ErrorKind::NotReady
        | ErrorKind::InvalidInput
        | ErrorKind::Unsupported
        | ErrorKind::HandlerFailed => Failure::Final,
        _ => Failure::Broken,
    }
}

/// Whether the session can be used further after a failure: nothing is outstanding in it.
fn keeps_session(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Unsupported | ErrorKind::InvalidInput)
}

/// Whether the call's time is over, or it was called off. A peer that only took too long for its own
/// step leaves the call time for another.
fn is_over(wait: Wait<'_>) -> bool {
    wait.remaining().is_err()
}
