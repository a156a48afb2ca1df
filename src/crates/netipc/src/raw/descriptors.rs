//! What sessions and servers are made of where those are files with descriptors.

use std::{
    os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use netipc_proto::Service;

use super::{Link, Listener, Region, Socket};
use crate::{client::Client, link::Session};

impl From<OwnedFd> for Socket {
    fn from(fd: OwnedFd) -> Self {
        Socket(fd.into())
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.0.into()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for Link {
    /// What is readable when there is something to receive, or the peer has hung up.
    fn as_fd(&self) -> BorrowedFd<'_> {
        let watch = self.ring.as_ref().and_then(|ring| ring.watch());
        watch.unwrap_or(self.socket.as_fd())
    }
}

impl Listener {
    /// Gives the name up, but leaves alone the descriptor, which somebody else has closed.
    pub fn disown(self) {
        self.0.disown();
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.socket().as_fd()
    }
}

/// The socket of a session, for as long as it lasts.
pub fn socket_of(session: &Session) -> BorrowedFd<'_> {
    session.socket().as_fd()
}

/// Makes a client forget its session, whose descriptor somebody else has closed.
pub fn disown<S: Service>(client: &mut Client<S>) {
    let socket = client.lose_session().map(Session::into_socket);
    if let Some(socket) = socket.and_then(Arc::into_inner) {
        // Closed already: the number may be another file's by now.
        let _ = OwnedFd::from(socket).into_raw_fd();
    }
}

impl Region<'_> {
    /// The name of the file.
    pub fn path(&self) -> &Path {
        self.shared().region().path()
    }

    /// Whether the server that made it lives.
    pub fn owner_alive(&self) -> bool {
        self.shared().region().owner_alive()
    }

    /// What tells this life of the server from others.
    pub fn owner_generation(&self) -> u32 {
        self.shared().region().owner_generation()
    }
}

impl AsFd for Region<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.shared().region().as_fd()
    }
}
