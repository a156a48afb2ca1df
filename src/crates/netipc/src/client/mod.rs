//! The caller's end of a service.

mod exchange;
mod lookup;

use std::{
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use netipc_proto::{Ceilings, Service, retry::Capacity};

use crate::{
    batch::{self, Answers},
    error::{Error, ErrorKind, Result},
    greeting::HANDSHAKE,
    link::Session,
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
    /// A call under way fails with [`ErrorKind::Aborted`], at once over a socket or rings and within
    /// 20 ms over the shared memory of Netdata plugin-ipc; so do calls that begin while it is set.
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

    /// Goes on counting where another client left off.
    #[doc(hidden)]
    pub fn count_on(&mut self, counts: ClientStatus) {
        self.status = ClientStatus { state: self.status.state, ..counts };
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
        self.logical_call(timeout, |client, wait, now| {
            let len = S::request_len(request);
            client.request.resize(len, 0);
            S::write_request(request, &mut client.request)
                .map_err(|why| Error::new(ErrorKind::InvalidInput, why.to_string()))?;
            client.is_stitched = false;
            Ok(client.exchange(wait, now, 1)?)
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
    /// As [`call`](Self::call). If one request fails, all do. [`ErrorKind::InvalidInput`] for more
    /// than one request of a kind that is not asked [in batches](Service::IN_BATCHES).
    pub fn call_batch(&mut self, requests: &[S::Request<'_>]) -> Result<Answers<'_, S>> {
        let count = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        if requests.is_empty() {
            return Ok(Answers::read(&[], 0)?);
        }
        self.logical_call(Duration::ZERO, |client, wait, now| {
            if count > 1 && !S::IN_BATCHES {
                let context =
                    format!("batch of {count} requests: this kind is asked one at a time");
                return Err(Error::new(ErrorKind::InvalidInput, context).into());
            }
            let limit = client
                .session
                .as_ref()
                .map_or(0, |session| session.agreement().agreed_max_request_batch_items);
            if count > limit {
                // No other session would allow more: this is configured, and does not grow.
                let context = format!("batch of {count} requests, of {limit} agreed on");
                return Err(Error::new(ErrorKind::LimitExceeded, context).into());
            }
            batch::write::<S>(requests, &mut client.request)
                .map_err(|why| Error::new(ErrorKind::InvalidInput, why.to_string()))?;
            Ok(client.exchange(wait, now, count)?)
        })?;
        let session = self.session.as_ref().expect("a successful call leaves its session");
        Ok(Answers::read(session.payload(), count)?)
    }

    /// `timeout`, or what stands for it if it is zero.
    fn timeout_or(&self, timeout: Duration) -> Duration {
        let timeouts = [timeout, self.options.timeout];
        timeouts.into_iter().find(|timeout| !timeout.is_zero()).unwrap_or(DEFAULT_TIMEOUT)
    }

    /// Runs one public call, which begins now: one deadline, one count, one error to remember.
    fn logical_call(
        &mut self,
        timeout: Duration,
        run: impl FnOnce(&mut Self, Wait<'_>, Instant) -> Result<(), Failed>,
    ) -> Result<()> {
        let abort = self.abort.clone();
        let timeout = self.timeout_or(timeout);
        let done = if self.ready() {
            let now = Instant::now();
            let wait = Wait::at_most_from(now, timeout).or(&abort);
            wait.check_abort().map_err(Failed::from).and_then(|()| run(self, wait, now))
        } else {
            Err(Failed::Call(ErrorKind::NotReady.into()))
        };
        done.map_err(|failed| {
            let error = match failed {
                Failed::Call(error) => {
                    self.status.error_count = self.status.error_count.wrapping_add(1);
                    error
                }
                Failed::BetweenRequests(error) => error,
            };
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
}

/// How a public call failed, as far as its counters care.
enum Failed {
    /// In the ordinary way: it counts as an error.
    Call(Error),
    /// Its time was over, or it was called off, while no request was under way: the session is as
    /// good as before, and nothing is counted.
    BetweenRequests(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Failed::Call(error)
    }
}
