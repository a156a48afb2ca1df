//! The caller's end of a service.

use std::{
    fmt,
    marker::PhantomData,
    mem,
    path::{Path, PathBuf},
    time::Duration,
};

use netipc_proto::{
    Agreement, Ceilings, Found, Header, Kind, Lookup, Mismatch, Service, Status, Step, Stitch,
    retry::{Capacity, Failure, Next, Retry},
};

use crate::{
    batch::{self, Answers},
    error::{Error, ErrorKind, Result},
    link::{HANDSHAKE, Session},
    options::SessionOptions,
    sys::Abort,
    wait::Wait,
};

/// How a client connects and calls.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// What sessions it asks for.
    pub session: SessionOptions,
    /// How long a call may take in all: connecting again, sending, receiving and every retry. Zero
    /// stands for 30 seconds.
    pub timeout: Duration,
    /// How much one lookup may take, however many requests it is.
    pub ceilings: Ceilings,
}

/// How long a call may take if nobody says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

impl Default for ClientOptions {
    fn default() -> Self {
        ClientOptions {
            session: SessionOptions::default(),
            timeout: DEFAULT_TIMEOUT,
            ceilings: Ceilings::default(),
        }
    }
}

/// What became of a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientState {
    /// It has no session: none was tried, or the last try failed halfway.
    Disconnected,
    /// It is making a session. Never seen from outside.
    Connecting,
    /// It has a session.
    Ready,
    /// Nobody listens at the endpoint.
    NotFound,
    /// The server expects another token.
    AuthFailed,
    /// The server speaks another version, has no profile in common, or takes only shorter requests.
    Incompatible,
    /// Its session broke.
    Broken,
}

/// What a client did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientStatus {
    /// What became of the connection.
    pub state: ClientState,
    /// How often it connected without having been connected before.
    pub connect_count: u32,
    /// How often it connected again after a session broke.
    pub reconnect_count: u32,
    /// How many requests were answered.
    pub call_count: u32,
    /// How many calls failed.
    pub error_count: u32,
}

/// A connection to one service, made when needed and made again when it breaks.
///
/// It belongs to one thread at a time and has none of its own: all it does it does within the
/// calls. Only its [`Abort`] is for other threads. Nothing is sent but within a call, and a client
/// that is not called makes no wake-ups.
///
/// ```
/// use netipc::{Client, kinds::CgroupsSnapshot};
///
/// let mut client = Client::<CgroupsSnapshot>::new("/run/no-such-directory", "cgroups-snapshot");
/// client.refresh();
/// if !client.ready() {
///     // No provider yet. Nothing is lost: refresh again later.
///     assert!(client.call(()).is_err());
/// }
/// ```
pub struct Client<S> {
    dir: PathBuf,
    service: String,
    options: ClientOptions,
    abort: Abort,
    session: Option<Session>,
    status: ClientStatus,
    last_error: Option<Error>,
    /// What is asked of the server, which grows when it turns out too small.
    request_wish: Capacity,
    response_wish: Capacity,
    /// The request of the current call. It outlives the sessions that carry it.
    request: Vec<u8>,
    /// The answers of a lookup that took several requests.
    stitched: Vec<u8>,
    /// Whether they are the reply to the last call.
    is_stitched: bool,
    kind: PhantomData<fn() -> S>,
}

impl<S> fmt::Debug for Client<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("dir", &self.dir)
            .field("service", &self.service)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl<S: Service> Client<S> {
    /// A client of `service` in `dir` with the usual options. Does not connect: see
    /// [`refresh`](Self::refresh).
    pub fn new(dir: impl AsRef<Path>, service: &str) -> Self {
        Self::with_options(dir, service, ClientOptions::default())
    }

    /// A client with these options. Does not connect.
    pub fn with_options(dir: impl AsRef<Path>, service: &str, options: ClientOptions) -> Self {
        Client {
            dir: dir.as_ref().to_owned(),
            service: service.to_owned(),
            abort: Abort::new(),
            session: None,
            status: ClientStatus {
                state: ClientState::Disconnected,
                connect_count: 0,
                reconnect_count: 0,
                call_count: 0,
                error_count: 0,
            },
            last_error: None,
            request_wish: options.session.request_wish(),
            response_wish: options.session.response_wish(),
            options,
            request: Vec::new(),
            stitched: Vec::new(),
            is_stitched: false,
            kind: PhantomData,
        }
    }

    /// Connects if there is no session. Whether the state has changed.
    ///
    /// Cheap when there is one: it is not asked whether the server still lives. May take as long as
    /// a call, but no more than 5 seconds for each step of the server. Does nothing while the abort
    /// is set.
    pub fn refresh(&mut self) -> bool {
        if self.ready() || self.abort.is_set() {
            return false;
        }
        let before = self.status.state;
        let timeout = self.timeout_or(Duration::ZERO).min(HANDSHAKE);
        let abort = self.abort.clone();
        let connected = self.connect(Wait::at_most(timeout).or(&abort));
        self.count_connection(before, connected.is_ok());
        self.last_error = connected.err();
        self.status.state != before
    }

    /// Whether there is a session. Looks at nothing outside.
    #[inline]
    pub fn ready(&self) -> bool {
        self.status.state == ClientState::Ready
    }

    /// What it did so far.
    pub fn status(&self) -> ClientStatus {
        self.status
    }

    /// Why the last refresh or call failed; `None` if it did not.
    pub fn last_error(&self) -> Option<&Error> {
        self.last_error.as_ref()
    }

    /// The session, which tells what was agreed and what carries the messages.
    pub fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    /// Calls off what this client does, from any thread, until it is cleared.
    ///
    /// A call under way fails with [`ErrorKind::Aborted`], at once over a socket and within 20 ms
    /// over shared memory; so do calls that begin while it is set.
    pub fn abort(&self) -> &Abort {
        &self.abort
    }

    /// How long calls may take from now on. Zero stands for 30 seconds.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.options.timeout = timeout;
    }

    /// The same client, session and all, to ask for another kind of service. A server serves one
    /// kind, so this is for callers who learn the kind late.
    #[doc(hidden)]
    pub fn into_kind<T: Service>(self) -> Client<T> {
        let Client { dir, service, options, abort, session, status, last_error, .. } = self;
        let Client { request_wish, response_wish, request, stitched, is_stitched, .. } = self;
        let kind = PhantomData;
        Client {
            dir,
            service,
            options,
            abort,
            session,
            status,
            last_error,
            request_wish,
            response_wish,
            request,
            stitched,
            is_stitched,
            kind,
        }
    }

    /// What the next session will be asked for: the options, grown by what was learned.
    #[doc(hidden)]
    pub fn proposal(&self) -> SessionOptions {
        SessionOptions {
            max_request_payload_bytes: self.request_wish.bytes(),
            max_response_payload_bytes: self.response_wish.bytes(),
            ..self.options.session.clone()
        }
    }

    /// Asks for this from the next session on, and forgets what was learned of sizes.
    #[doc(hidden)]
    pub fn propose(&mut self, session: SessionOptions) {
        (self.request_wish, self.response_wish) = (session.request_wish(), session.response_wish());
        self.options.session = session;
    }

    /// How much one lookup may take from now on.
    #[doc(hidden)]
    pub fn set_ceilings(&mut self, ceilings: Ceilings) {
        self.options.ceilings = ceilings;
    }

    /// The reply to the last call, as long as there is a session.
    #[doc(hidden)]
    pub fn reply(&self) -> &[u8] {
        match &self.session {
            Some(session) if !self.is_stitched => session.payload(),
            _ => &self.stitched,
        }
    }

    /// As [`session`](Self::session), to be used past the rules of this client.
    #[doc(hidden)]
    pub fn session_mut(&mut self) -> Option<&mut Session> {
        self.session.as_mut()
    }

    /// Hangs up, clears the abort and forgets buffers. It can be used again as if it were new, but
    /// for the counters and for what was learned of the sizes of messages.
    pub fn close(&mut self) {
        self.session = None;
        self.status.state = ClientState::Disconnected;
        self.request = Vec::new();
        self.stitched = Vec::new();
        self.abort.clear();
    }

    /// Asks once and waits for the answer, which borrows this client until its next call.
    ///
    /// If the session breaks, a new one is made and the request sent once more: a server may get it
    /// twice. If a message turns out too large, sessions with larger limits are tried.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotReady`] without a session; [`ErrorKind::TimedOut`], [`ErrorKind::Aborted`];
    /// [`ErrorKind::Disconnected`], [`ErrorKind::Protocol`] and the like if two sessions broke;
    /// [`ErrorKind::LimitExceeded`]; [`ErrorKind::Unsupported`], [`ErrorKind::Rejected`],
    /// [`ErrorKind::HandlerFailed`] if the server did not answer; [`ErrorKind::InvalidInput`] if the
    /// request has no form on the wire.
    pub fn call(&mut self, request: S::Request<'_>) -> Result<S::ReplyView<'_>> {
        self.call_within(request, Duration::ZERO)
    }

    /// As [`call`](Self::call), within `timeout`; zero stands for the client's own.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn call_within(
        &mut self,
        request: S::Request<'_>,
        timeout: Duration,
    ) -> Result<S::ReplyView<'_>> {
        self.logical_call(timeout, |client, wait| {
            let len = S::request_len(request);
            client.request.resize(len, 0);
            S::write_request(request, &mut client.request)
                .map_err(|why| Error::new(ErrorKind::InvalidInput, why.to_string()))?;
            client.is_stitched = false;
            client.exchange(wait, 1)
        })?;
        Ok(S::read_reply(self.reply())?)
    }

    /// Asks several times in one message and waits for all answers, which borrow this client until
    /// its next call. Of no requests nothing is sent.
    ///
    /// The session must allow as many in a batch: both sides set `max_request_batch_items`.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). If one request fails, all do.
    pub fn call_batch(&mut self, requests: &[S::Request<'_>]) -> Result<Answers<'_, S>> {
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        if requests.is_empty() {
            return Ok(Answers::read(&[], 0)?);
        }
        self.logical_call(Duration::ZERO, |client, wait| {
            let limit = client
                .session
                .as_ref()
                .map_or(0, |session| session.agreement().agreed_max_request_batch_items);
            if count > limit {
                // No other session would allow more: this is configured, and does not grow.
                let context = format!("batch of {count} requests, of {limit} agreed on");
                return Err(Error::new(ErrorKind::LimitExceeded, context));
            }
            batch::write::<S>(requests, &mut client.request)
                .map_err(|why| Error::new(ErrorKind::InvalidInput, why.to_string()))?;
            client.exchange(wait, count)
        })?;
        let session = self.session.as_ref().expect("a successful call leaves its session");
        Ok(Answers::read(session.payload(), count)?)
    }

    /// `timeout`, or what stands for it if it is zero.
    fn timeout_or(&self, timeout: Duration) -> Duration {
        let timeouts = [timeout, self.options.timeout];
        timeouts.into_iter().find(|timeout| !timeout.is_zero()).unwrap_or(DEFAULT_TIMEOUT)
    }

    /// Runs one public call: one deadline, one count, one error to remember.
    fn logical_call(
        &mut self,
        timeout: Duration,
        run: impl FnOnce(&mut Self, Wait<'_>) -> Result<()>,
    ) -> Result<()> {
        let abort = self.abort.clone();
        let timeout = self.timeout_or(timeout);
        let done = if self.ready() {
            let wait = Wait::at_most(timeout).or(&abort);
            wait.remaining().and_then(|_| run(self, wait))
        } else {
            Err(ErrorKind::NotReady.into())
        };
        done.map_err(|error| {
            self.status.error_count = self.status.error_count.wrapping_add(1);
            let error = error.within(format_args!("ask {}", self.service));
            // Why there is no session stays the thing to tell.
            if error.kind() != ErrorKind::NotReady || self.last_error.is_none() {
                self.last_error = Some(error.clone());
            }
            error
        })?;
        self.last_error = None;
        Ok(())
    }

    /// Sends the request in `self.request` and leaves the reply as the session's payload, making
    /// new sessions as need be.
    fn exchange(&mut self, wait: Wait<'_>, items: u32) -> Result<()> {
        let mut retry = Retry::default();
        loop {
            let error = match self.attempt(wait, items) {
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
                        return Err(if is_call_over(&reconnect) { reconnect } else { error });
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
                            return Err(if is_call_over(&reconnect) { reconnect } else { error });
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

    /// Sends the request once in the present session.
    fn attempt(&mut self, wait: Wait<'_>, items: u32) -> Result<()> {
        let session = self.session.as_mut().ok_or(ErrorKind::NotReady)?;
        let len = u32::try_from(self.request.len()).unwrap_or(u32::MAX);
        let mut header =
            Header::request(S::METHOD, u64::from(self.status.call_count.wrapping_add(1)), len);
        if items > 1 {
            (header.flags, header.item_count) = (Header::BATCH, items);
        }
        session.send(&header, &self.request, wait)?;
        let response = session.receive(wait)?;
        let answers = response.kind == Kind::Response
            && response.code == header.code
            && response.message_id == header.message_id;
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
            return Err(Error::new(ErrorKind::Protocol, "the response has other items"));
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

    /// Makes a session in place of the one that broke.
    fn reconnect(&mut self, wait: Wait<'_>) -> Result<()> {
        self.drop_session(ClientState::Broken);
        let connected = self.connect(wait);
        self.count_connection(ClientState::Broken, connected.is_ok());
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

    fn drop_session(&mut self, state: ClientState) {
        self.session = None;
        self.status.state = state;
    }

    fn connect(&mut self, wait: Wait<'_>) -> Result<()> {
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

    fn count_connection(&mut self, before: ClientState, connected: bool) {
        let count = match before {
            ClientState::Broken => &mut self.status.reconnect_count,
            _ => &mut self.status.connect_count,
        };
        *count = count.wrapping_add(u32::from(connected));
    }
}

impl<L: Lookup> Client<L> {
    /// Looks up `keys`, in as many requests as it takes, and answers in their order. The answers
    /// borrow this client until its next call.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call); [`ErrorKind::LimitExceeded`] also if there are more keys, requests
    /// or answers than the client's ceilings allow; [`ErrorKind::Protocol`] if the server answers
    /// other keys than were asked, or changes again and again while it is asked.
    pub fn lookup<'k>(&mut self, keys: &'k [L::Key<'k>]) -> Result<Found<'_, L>> {
        self.lookup_within(keys, Duration::ZERO)
    }

    /// As [`lookup`](Self::lookup), within `timeout`; zero stands for the client's own.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    pub fn lookup_within<'k>(
        &mut self,
        keys: &'k [L::Key<'k>],
        timeout: Duration,
    ) -> Result<Found<'_, L>> {
        self.logical_call(timeout, |client, wait| {
            let mut out = mem::take(&mut client.stitched);
            let done = client.stitch(keys, &mut out, wait);
            client.stitched = out;
            client.is_stitched = !done?;
            Ok(())
        })?;
        Ok(Found::again(self.reply())?)
    }

    /// Whether the session's last reply is the whole answer; otherwise it stands in `out`.
    fn stitch<'k>(
        &mut self,
        keys: &'k [L::Key<'k>],
        out: &mut Vec<u8>,
        wait: Wait<'_>,
    ) -> Result<bool> {
        let mut stitch = Stitch::<L>::new(keys, self.options.ceilings, out).map_err(mismatch)?;
        loop {
            wait.remaining()?;
            let session = self.session.as_ref().ok_or(ErrorKind::NotReady)?;
            match stitch.next(session.agreement()).map_err(mismatch)? {
                Step::Done => {
                    stitch.finish();
                    return Ok(false);
                }
                Step::Grow(needed) => {
                    if self.request_wish.need(needed as u64) {
                        self.reconnect(wait)?;
                    } else {
                        stitch.no_larger_request();
                    }
                }
                Step::Ask => {
                    self.request.resize(stitch.request_len(), 0);
                    stitch.write(&mut self.request).map_err(mismatch)?;
                    match self.exchange(wait, 1) {
                        Ok(()) => {
                            let session = self.session.as_ref().ok_or(ErrorKind::NotReady)?;
                            if stitch.take(Found::again(session.payload())?).map_err(mismatch)? {
                                return Ok(true);
                            }
                        }
                        // Larger sessions were tried; fewer keys at once may do.
                        Err(error) if error.kind() == ErrorKind::LimitExceeded => {
                            if !stitch.halve() {
                                return Err(error);
                            }
                            if !self.ready() {
                                self.reconnect(wait)?;
                            }
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
}

fn mismatch(mismatch: Mismatch) -> Error {
    let kind = match mismatch {
        Mismatch::Unwritable(_) => ErrorKind::InvalidInput,
        Mismatch::TooManyKeys
        | Mismatch::TooManyCalls
        | Mismatch::TooLong
        | Mismatch::KeyTooLong
        | Mismatch::NoProgress => ErrorKind::LimitExceeded,
        Mismatch::Count | Mismatch::Keys | Mismatch::Generation => ErrorKind::Protocol,
    };
    Error::new(kind, mismatch.to_string())
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

/// Whether a failure to connect ends the call by itself.
fn is_call_over(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Aborted)
}
