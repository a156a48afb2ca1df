//! The answering end of a service: many clients, few threads.

mod alone;
mod clock;
mod conn;
mod core;
mod hold;
mod life;
mod permits;

use std::{
    fmt,
    marker::PhantomData,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use netipc_proto::{Handler, Header, Response, Service, respond};

use crate::{error::Result, options::SessionOptions, shm::atomic, sys::PeerCredentials};

use self::core::Core;

/// Decides whether a peer may have a session at all, before anything is said to it.
pub type AllowRule = Arc<dyn Fn(&PeerCredentials) -> bool + Send + Sync>;

/// How a server listens and serves.
#[derive(Clone)]
pub struct ServerOptions {
    /// What sessions it grants.
    pub session: SessionOptions,
    /// How many requests may be handled at once; also the number of threads that serve sockets, but
    /// for that of a client that is alone. It does not limit how many clients are connected. Less than
    /// 1 stands for 1.
    pub workers: usize,
    /// How many sessions there may be at once. Clients beyond that are hung up on before they are
    /// answered, and see no session.
    pub max_sessions: usize,
    /// The permissions of the socket. On Windows the user of the process may connect in any case, and
    /// every other local user if others may write; the rest has no meaning there.
    pub mode: u32,
    /// The group of the socket, if not the one the system gives it. There is none on Windows.
    pub group: Option<u32>,
    /// How many clients may wait to be accepted. 0 stands for 16.
    pub backlog: u32,
    /// Who may have a session, beside the token and the permissions of the socket.
    pub allow: Option<AllowRule>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions {
            session: SessionOptions::default(),
            workers: 8,
            max_sessions: 4096,
            mode: 0o600,
            group: None,
            backlog: 0,
            allow: None,
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("session", &self.session)
            .field("workers", &self.workers)
            .field("max_sessions", &self.max_sessions)
            .field("mode", &format_args!("{:#o}", self.mode))
            .field("group", &self.group)
            .field("backlog", &self.backlog)
            .field("allow", &self.allow.is_some())
            .finish()
    }
}

/// Turns one request message into one response message: what a server does, of any kind.
pub trait Respond: Send + Sync {
    /// Answers `request` into `out`, whose length is the session's limit.
    fn respond(&self, request: &Header, payload: &[u8], out: &mut [u8]) -> Response;

    /// Told when a client came or went how many there are, those agreeing on a session included.
    /// One call at a time, which must not wait for anything of the server.
    fn sessions(&self, count: usize) {
        let _ = count;
    }
}

struct Typed<S, H>(H, PhantomData<fn() -> S>);

impl<S: Service, H: Handler<S>> Respond for Typed<S, H> {
    fn respond(&self, request: &Header, payload: &[u8], out: &mut [u8]) -> Response {
        respond::<S>(&self.0, request, payload, out)
    }
}

/// A service: an endpoint, and a handler that answers what clients ask.
///
/// A silent client costs nobody else anything, and a slow request delays only its own session
/// while another worker is free. Sessions over sockets and rings share the worker threads; a session
/// over the shared memory of Netdata plugin-ipc, which has nothing to wait for but a futex, takes a
/// thread of its own while it lives. So may, on Unix, the only client of a server over a socket, as long
/// as it is alone. Nothing wakes up while nothing happens.
///
/// Clones are handles of the same server, for other threads.
///
/// ```
/// use netipc::{Declined, Server, ServerOptions, kinds::Increment};
///
/// # let dir = std::env::temp_dir().join(format!("netipc-doc-server-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// let server = Server::<Increment>::bind(
///     &dir,
///     "increment",
///     ServerOptions::default(),
///     |&asked: &u64, reply: &mut netipc::kinds::increment::Number<'_>| {
///         reply.value = asked.checked_add(1).ok_or(Declined::Failed)?;
///         Ok(())
///     },
/// )?;
/// // From here on clients can connect; they are served while `run` runs.
/// let running = std::thread::spawn({
///     let server = server.clone();
///     move || server.run()
/// });
///
/// let mut client = netipc::Client::<Increment>::new(&dir, "increment");
/// client.refresh();
/// assert_eq!(client.call(41)?, 42);
///
/// server.stop();
/// running.join().unwrap();
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Server<S> {
    core: Arc<Core>,
    kind: PhantomData<fn() -> S>,
}

impl<S> Clone for Server<S> {
    fn clone(&self) -> Self {
        Server { core: Arc::clone(&self.core), kind: PhantomData }
    }
}

impl<S> fmt::Debug for Server<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("path", &self.path()).finish_non_exhaustive()
    }
}

impl<S: Service> Server<S> {
    /// Takes the endpoint of `service` in `dir`: clients can connect when it returns.
    ///
    /// What a dead server left behind is removed. Of a live one nothing is touched.
    ///
    /// # Errors
    ///
    /// [`AddressInUse`](crate::ErrorKind::AddressInUse) if a live server has it,
    /// [`NotFound`](crate::ErrorKind::NotFound) if there is no such directory,
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) and
    /// [`NameTooLong`](crate::ErrorKind::NameTooLong) for names that cannot be, and what else
    /// the system says.
    pub fn bind(
        dir: impl AsRef<Path>,
        service: &str,
        options: ServerOptions,
        handler: impl Handler<S> + 'static,
    ) -> Result<Self> {
        Self::bind_responder(dir, service, options, Typed(handler, PhantomData))
    }
}

impl<S> Server<S> {
    /// As [`bind`](Server::bind), with something that answers whole messages.
    ///
    /// # Errors
    ///
    /// As [`bind`](Server::bind).
    pub fn bind_responder(
        dir: impl AsRef<Path>,
        service: &str,
        options: ServerOptions,
        responder: impl Respond + 'static,
    ) -> Result<Self> {
        let core = Core::bind(dir.as_ref(), service, options, Box::new(responder))?;
        Ok(Server { core: Arc::new(core), kind: PhantomData })
    }

    /// Serves until [`stop`](Self::stop), then waits for the requests being handled, which are
    /// answered. Returns at once if it was stopped before. A server runs once.
    pub fn run(&self) {
        Core::run(&self.core);
    }

    /// As [`run`](Self::run), but returns when the server is stopped: what is being handled ends
    /// without it, and [`drain`](Self::drain) waits for that.
    #[doc(hidden)]
    pub fn run_until_stopped(&self) {
        Core::run_until_stopped(&self.core);
    }

    /// Ends the server, from any thread. A request being handled is finished and answered; those
    /// not yet read are dropped. Sticky: a server that is stopped before it runs does not run.
    pub fn stop(&self) {
        self.core.stop();
    }

    /// Stops, and waits up to `timeout` for the requests being handled; then cuts off the sessions
    /// that are left. Whether none had to be cut off.
    ///
    /// Returns within a second after `timeout`, even if a handler never does: its session is closed
    /// and its thread left behind.
    pub fn drain(&self, timeout: Duration) -> bool {
        self.core.drain(timeout)
    }

    /// How many sessions there are, those being agreed on included.
    pub fn sessions(&self) -> usize {
        self.core.sessions()
    }

    /// Where clients connect, while the server has the endpoint.
    pub fn path(&self) -> Option<PathBuf> {
        self.core.path()
    }

    /// Gives up the endpoint, once the server has ended. Otherwise the last handle does.
    pub fn close(&self) {
        self.core.close();
    }
}
