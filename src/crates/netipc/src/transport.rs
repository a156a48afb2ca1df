//! Sessions, for those who run them in a loop of their own.
//!
//! A [`Listener`] takes clients, each of which becomes a [`Session`] once it has said what it wants;
//! the other end comes from [`Session::connect`]. What is in the messages is up to both. Nothing
//! here blocks but what takes a [`Wait`], and all of it has descriptors to wait for with `poll`. (Pipes
//! on Windows have none: there, wait with what takes a [`Wait`].)
//!
//! ```
//! use std::time::Duration;
//! use netipc::{SessionOptions, Wait, proto::{Header, Kind}, transport::{Listener, Session}};
//!
//! # let dir = std::env::temp_dir().join(format!("netipc-doc-transport-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! let wait = Wait::at_most(Duration::from_secs(5));
//! let listener = Listener::bind(&dir, "echo", &Default::default())?;
//! let echo = std::thread::spawn(move || -> netipc::Result<()> {
//!     let mut session = listener.accept(wait)?;
//!     let request = session.receive(wait)?;
//!     let payload = session.payload().to_vec();
//!     session.send(&Header { kind: Kind::Response, ..request }, &payload, wait)
//! });
//!
//! let mut session = Session::connect(&dir, "echo", &SessionOptions::default(), wait)?;
//! session.send(&Header::request(99, 1, 0), b"hello", wait)?;
//! let response = session.receive(wait)?;
//! assert_eq!((response.code, session.payload()), (99, &b"hello"[..]));
//! echo.join().unwrap()?;
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    endpoint::{Endpoint, ListenOptions},
    error::{Error, Result},
    greeting::{HANDSHAKE, Host},
    link::Awaited,
    options::SessionOptions,
    sys::{PeerCredentials, Socket},
    wait::Wait,
};

pub use crate::link::{Carrier, Session};

/// How a listener takes clients.
#[derive(Clone, Debug)]
pub struct ListenerOptions {
    /// What sessions it grants.
    pub session: SessionOptions,
    /// The permissions of the socket, as in [`ServerOptions`](crate::ServerOptions).
    pub mode: u32,
    /// The group of the socket, if not the one the system gives it. There is none on Windows.
    pub group: Option<u32>,
    /// How many clients may wait to be accepted. 0 stands for 16.
    pub backlog: u32,
}

impl Default for ListenerOptions {
    fn default() -> Self {
        ListenerOptions { session: SessionOptions::default(), mode: 0o600, group: None, backlog: 0 }
    }
}

/// An endpoint where clients connect. When it is dropped its name is free again.
pub struct Listener {
    endpoint: Endpoint,
    host: Arc<Host>,
    session: SessionOptions,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener").field("path", &self.path()).finish_non_exhaustive()
    }
}

/// A client that was accepted and has not agreed on a session yet.
pub struct Greeting {
    socket: Arc<Socket>,
    host: Arc<Host>,
    session: SessionOptions,
}

impl fmt::Debug for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Greeting").finish_non_exhaustive()
    }
}

impl Listener {
    /// Takes the endpoint of `service` in `dir`.
    ///
    /// # Errors
    ///
    /// As [`Server::bind`](crate::Server::bind).
    pub fn bind(dir: impl AsRef<Path>, service: &str, options: &ListenerOptions) -> Result<Self> {
        let ListenerOptions { session, mode, group, backlog } = options.clone();
        let dir = dir.as_ref();
        let endpoint = Endpoint::listen(dir, service, &ListenOptions { mode, group, backlog })?;
        let host = Arc::new(Host::new(dir, service, Awaited::Alone));
        Ok(Listener { endpoint, host, session })
    }

    /// The name in the file system.
    pub fn path(&self) -> PathBuf {
        self.endpoint.path().to_owned()
    }

    /// Takes a client if one waits. `None` if not: try again when the descriptor is readable.
    ///
    /// # Errors
    ///
    /// What the system says, most likely that there is no descriptor left.
    pub fn try_accept(&self) -> Result<Option<Greeting>> {
        let accepted = self.endpoint.socket().accept();
        let context = || format!("accept on {}", self.endpoint.path().display());
        let socket = accepted.map_err(|cause| Error::system(context(), cause))?;
        Ok(socket.map(|socket| Greeting {
            socket: Arc::new(socket),
            host: Arc::clone(&self.host),
            session: self.session.clone(),
        }))
    }

    /// Waits for a client, then up to 5 seconds for what it wants, and agrees with it.
    ///
    /// # Errors
    ///
    /// Those of waiting, and of [`Greeting::advance`]. The next client can be accepted.
    pub fn accept(&self, wait: Wait<'_>) -> Result<Session> {
        let mut greeting = loop {
            match self.try_accept()? {
                Some(greeting) => break greeting,
                None => self.endpoint.socket().wait_readable(wait)?,
            }
        };
        let wait = wait.capped(HANDSHAKE);
        loop {
            match greeting.advance()? {
                Some(session) => return Ok(session),
                None => greeting.socket.wait_readable(wait)?,
            }
        }
    }
}

impl Greeting {
    /// Agrees with the client if it has said what it wants. `None` if not: try again when the
    /// descriptor is readable, and drop it if that takes too long.
    ///
    /// # Errors
    ///
    /// Why there is no session. The client is told when this is dropped, at the latest.
    pub fn advance(&mut self) -> Result<Option<Session>> {
        let terms = self.session.terms(self.socket.max_packet());
        let mut session = self.host.greet(&self.socket, terms)?;
        if let Some(session) = &mut session {
            session.set_spin(self.session.spin);
        }
        Ok(session)
    }

    /// Who the client is, as the kernel knows it.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn peer(&self) -> Result<PeerCredentials> {
        self.socket.peer().map_err(|cause| Error::system("ask who the peer is", cause))
    }
}

#[cfg(target_os = "linux")]
mod descriptors {
    use std::os::fd::{AsFd, BorrowedFd};

    use super::{Greeting, Listener, Session};

    impl AsFd for Listener {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.endpoint.socket().as_fd()
        }
    }

    impl AsFd for Greeting {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.socket.as_fd()
        }
    }

    impl AsFd for Session {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.watch()
        }
    }
}
