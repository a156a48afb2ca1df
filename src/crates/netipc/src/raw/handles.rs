//! What sessions and servers are made of where those have handles.

use std::{
    mem,
    os::windows::io::{AsHandle, BorrowedHandle},
};

use netipc_proto::Service;

use super::Socket;
use crate::{client::Client, link::Session};

impl AsHandle for Socket {
    /// The pipe. Reads of it are under way now and then, so nobody else may read from it.
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.as_handle()
    }
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
