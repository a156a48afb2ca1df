//! Listeners, and how sessions are made at both ends.

use std::ffi::c_char;

use netipc::{
    Error, Wait,
    raw::{self, Link},
};
use netipc_proto::Agreement;

use super::{
    ClientConfig, bad_param, handshake_code,
    imp::{Code, ERR_ACCEPT, ERR_CONNECT, ERR_LISTEN, Listener, OK, ServerConfig, Session},
    session::{ROLE_CLIENT, ROLE_SERVER},
};
use crate::{border::endpoint, errors::note_error};

/// Writes a session, or a closed one, to `out`.
///
/// # Safety
///
/// `out` can be written.
unsafe fn finish(
    made: Result<(Link, Agreement), Error>,
    role: u32,
    otherwise: Code,
    out: *mut Session,
) -> Code {
    let (session, code) = match made {
        Ok((link, agreement)) => (Session::over(link.into(), role, &agreement), OK),
        Err(error) => (Session::CLOSED, handshake_code(&error, otherwise)),
    };
    // SAFETY: as promised by the caller.
    unsafe { out.write(session) };
    code
}

/// # Safety
///
/// The pointers are what the header asks for, or null.
pub(super) unsafe fn connect(
    run_dir: *const c_char,
    service_name: *const c_char,
    config: *const ClientConfig,
    out: *mut Session,
) -> Code {
    if out.is_null() {
        return bad_param("connect without a place for the session");
    }
    // SAFETY: as promised by the caller.
    let (named, config) = unsafe {
        out.write(Session::CLOSED);
        (endpoint(run_dir, service_name), config.as_ref())
    };
    let Some((dir, service)) = named else {
        return bad_param("connect without a directory or a name that can be one");
    };
    let options = config.copied().unwrap_or_default().options();
    let made = Link::connect(&dir, service, &options, Wait::FOREVER);
    // SAFETY: as promised by the caller.
    unsafe { finish(made, ROLE_CLIENT, ERR_CONNECT, out) }
}

/// # Safety
///
/// As of [`connect`].
pub(super) unsafe fn listen(
    run_dir: *const c_char,
    service_name: *const c_char,
    config: *const ServerConfig,
    out: *mut Listener,
) -> Code {
    if out.is_null() {
        return bad_param("listen without a place for the listener");
    }
    // SAFETY: as promised by the caller.
    let (named, config) = unsafe {
        out.write(Listener::CLOSED);
        (endpoint(run_dir, service_name), config.as_ref())
    };
    let Some((dir, service)) = named else {
        return bad_param("listen without a directory or a name that can be one");
    };
    let config = config.copied().unwrap_or_default();
    let made = raw::Listener::listen(&dir, service, config.backlog());
    match made.and_then(|listener| Listener::of(listener, config)) {
        Ok(listener) => {
            // SAFETY: as promised by the caller.
            unsafe { out.write(listener) };
            OK
        }
        Err(error) => handshake_code(&error, ERR_LISTEN),
    }
}

/// # Safety
///
/// As of [`connect`].
pub(super) unsafe fn accept(listener: *mut Listener, session_id: u64, out: *mut Session) -> Code {
    if out.is_null() {
        return bad_param("accept without a place for the session");
    }
    // SAFETY: as promised by the caller.
    let listener = unsafe {
        out.write(Session::CLOSED);
        listener.as_mut()
    };
    let Some(listener) = listener else {
        return bad_param("accept without a listener");
    };
    // SAFETY: the struct is what `listen` made of it, or closed.
    let accepted = unsafe { listener.accept() };
    let socket = match accepted {
        Ok(socket) => socket,
        Err(error) => {
            note_error(&error);
            return ERR_ACCEPT;
        }
    };
    let options = listener.config.options();
    let made = Link::agree(socket, &options, session_id, Wait::FOREVER);
    // SAFETY: as promised by the caller.
    unsafe { finish(made, ROLE_SERVER, ERR_ACCEPT, out) }
}
