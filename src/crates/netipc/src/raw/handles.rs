//! What sessions and servers are made of where those have handles.

use std::{
    mem,
    os::windows::io::{AsHandle, BorrowedHandle, RawHandle},
    path::{Path, PathBuf},
};

use netipc_proto::Service;

use super::{Listener, Region, Socket};
use crate::{
    client::Client,
    endpoint,
    error::{Error, ErrorKind, Result},
    link::Session,
    wait::Wait,
};

impl AsHandle for Socket {
    /// The pipe. Reads of it are under way now and then, so nobody else may read from it.
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.as_handle()
    }
}

impl Clone for Socket {
    /// The same end of the same pipe.
    fn clone(&self) -> Self {
        Socket(self.0.share())
    }
}

impl Socket {
    /// The one a session uses, to be used past the session's rules.
    pub fn of(session: &Session) -> Self {
        Socket(session.socket().share())
    }

    /// Waits until there is a packet to receive.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Disconnected`] if there will be none; those of waiting.
    pub fn wait_for_packet(&self, wait: Wait<'_>) -> Result<()> {
        loop {
            match self.0.has_packet() {
                Some(true) => return Ok(()),
                Some(false) => {
                    return Err(Error::new(ErrorKind::Disconnected, "wait for the peer"));
                }
                None => self.0.wait_readable(wait)?,
            }
        }
    }
}

impl Listener {
    /// An instance of the pipe that waits for a client. After an accept it may be another one.
    pub fn instance(&self) -> RawHandle {
        self.0.socket().instance()
    }
}

impl Region<'_> {
    /// The memory, as an object of the system.
    pub fn object(&self) -> BorrowedHandle<'_> {
        self.shared().region().object()
    }

    /// The profile it is of.
    pub fn profile(&self) -> u32 {
        self.shared().region().profile()
    }

    /// The events of requests and of responses. None if nobody sleeps on any.
    pub fn events(&self) -> Option<[BorrowedHandle<'_>; 2]> {
        self.shared().region().events()
    }
}

/// The pipe of a service.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for a name that is none, [`ErrorKind::NameTooLong`].
pub fn pipe_name(dir: &Path, service: &str) -> Result<PathBuf> {
    endpoint::socket_path(dir, service)
}

/// What names of pipes and regions have in the place of a directory (PROTOCOL.md, section 25.1).
pub fn fnv1a_64(bytes: &[u8]) -> u64 {
    endpoint::fnv1a_64(bytes)
}

/// The pipe of a session, for as long as it lasts.
pub fn socket_of(session: &Session) -> BorrowedHandle<'_> {
    session.socket().as_handle()
}

/// Makes a client forget its session, whose pipe somebody else has closed.
pub fn disown<S: Service>(client: &mut Client<S>) {
    let socket = client.lose_session().map(Session::into_socket);
    // The handle may be another file's by now, so no operation can be called off by it; what the
    // last of them uses is given up for lost.
    mem::forget(socket);
}
