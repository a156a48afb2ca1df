//! Listeners, and how sessions are made at both ends.

use std::{
    ffi::{c_char, c_int, c_void},
    io,
    os::{
        fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    ptr,
};

use netipc::{
    Error, ErrorKind, SessionOptions, Wait,
    raw::{Listener, Socket},
};
use netipc_proto::Agreement;

use super::{
    NIPC_UDS_ERR_ACCEPT, NIPC_UDS_ERR_CONNECT, NIPC_UDS_ERR_PATH_TOO_LONG, NIPC_UDS_ERR_SOCKET,
    NIPC_UDS_OK, bad_param, handshake_code, nipc_uds_client_config_t, nipc_uds_error_t,
    session::{NIPC_UDS_ROLE_CLIENT, NIPC_UDS_ROLE_SERVER, nipc_uds_session_t},
};
use crate::{
    border::{endpoint, text},
    errors::note_error,
};

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct nipc_uds_server_config_t {
    pub(crate) supported_profiles: u32,
    pub(crate) preferred_profiles: u32,
    pub(crate) max_request_payload_bytes: u32,
    pub(crate) max_request_batch_items: u32,
    pub(crate) max_response_payload_bytes: u32,
    pub(crate) max_response_batch_items: u32,
    pub(crate) auth_token: u64,
    pub(crate) packet_size: u32,
    pub(crate) backlog: c_int,
}

impl nipc_uds_server_config_t {
    /// What it grants.
    fn options(&self) -> SessionOptions {
        let &nipc_uds_server_config_t {
            supported_profiles,
            preferred_profiles,
            max_request_payload_bytes,
            max_request_batch_items,
            max_response_payload_bytes,
            max_response_batch_items,
            auth_token,
            packet_size,
            backlog: _,
        } = self;
        let same = nipc_uds_client_config_t {
            supported_profiles,
            preferred_profiles,
            max_request_payload_bytes,
            max_request_batch_items,
            max_response_payload_bytes,
            max_response_batch_items,
            auth_token,
            packet_size,
        };
        same.options()
    }
}

#[repr(C)]
pub(crate) struct nipc_uds_listener_t {
    pub(crate) fd: RawFd,
    pub(crate) config: nipc_uds_server_config_t,
    pub(crate) path: [c_char; 108],
    /// A boxed [`Listener`], null when closed.
    pub(crate) _endpoint: *mut c_void,
}

impl nipc_uds_listener_t {
    pub(crate) const CLOSED: Self = nipc_uds_listener_t {
        fd: -1,
        config: nipc_uds_server_config_t {
            supported_profiles: 0,
            preferred_profiles: 0,
            max_request_payload_bytes: 0,
            max_request_batch_items: 0,
            max_response_payload_bytes: 0,
            max_response_batch_items: 0,
            auth_token: 0,
            packet_size: 0,
            backlog: 0,
        },
        path: [0; 108],
        _endpoint: ptr::null_mut(),
    };

    /// What listens; `None` when closed, by the library or by the program behind its back.
    ///
    /// # Safety
    ///
    /// The struct was made by `nipc_uds_listen`, or is all zero.
    unsafe fn endpoint(&self) -> Option<&Listener> {
        // SAFETY: null, or what `nipc_uds_listen` boxed.
        let endpoint = unsafe { self._endpoint.cast::<Listener>().as_ref() };
        endpoint.filter(|endpoint| endpoint.as_fd().as_raw_fd() == self.fd)
    }

    /// Gives the endpoint up.
    ///
    /// # Safety
    ///
    /// As of [`endpoint`](Self::endpoint).
    unsafe fn close(&mut self) {
        if self._endpoint.is_null() {
            return;
        }
        // SAFETY: as promised by the caller.
        let is_open = unsafe { self.endpoint() }.is_some();
        // SAFETY: what `nipc_uds_listen` boxed, and nothing points to it any more.
        let endpoint = unsafe { Box::from_raw(self._endpoint.cast::<Listener>()) };
        (self.fd, self._endpoint) = (-1, ptr::null_mut());
        if !is_open {
            endpoint.disown();
        }
    }
}

/// Writes a session, or a closed one, to `out`.
///
/// # Safety
///
/// `out` can be written.
unsafe fn finish(
    made: Result<(Socket, Agreement), Error>,
    role: u32,
    otherwise: nipc_uds_error_t,
    out: *mut nipc_uds_session_t,
) -> nipc_uds_error_t {
    let (session, code) = match made {
        Ok((socket, agreement)) => {
            let fd = OwnedFd::from(socket).into_raw_fd();
            (nipc_uds_session_t::agreed(fd, role, &agreement), NIPC_UDS_OK)
        }
        Err(error) => (nipc_uds_session_t::CLOSED, handshake_code(&error, otherwise)),
    };
    // SAFETY: as promised by the caller.
    unsafe { out.write(session) };
    code
}

abi! {
    fn nipc_uds_connect(
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_uds_client_config_t,
        out: *mut nipc_uds_session_t,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_CONNECT) {
        if out.is_null() {
            return bad_param("connect without a place for the session");
        }
        out.write(nipc_uds_session_t::CLOSED);
        let Some((dir, service)) = endpoint(run_dir, service_name) else {
            return bad_param("connect without a directory or a name that can be one");
        };
        let options = config.as_ref().copied().unwrap_or_default().options();
        let made = Socket::connect(dir, service, &options, Wait::FOREVER);
        finish(made, NIPC_UDS_ROLE_CLIENT, NIPC_UDS_ERR_CONNECT, out)
    }

    fn nipc_uds_listen(
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_uds_server_config_t,
        out: *mut nipc_uds_listener_t,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_SOCKET) {
        if out.is_null() {
            return bad_param("listen without a place for the listener");
        }
        out.write(nipc_uds_listener_t::CLOSED);
        let Some((dir, service)) = endpoint(run_dir, service_name) else {
            return bad_param("listen without a directory or a name that can be one");
        };
        let config = config.as_ref().copied().unwrap_or_default();
        let backlog = u32::try_from(config.backlog).unwrap_or(0);
        let listener = match Listener::listen(dir, service, backlog) {
            Ok(listener) => listener,
            Err(error) => return handshake_code(&error, NIPC_UDS_ERR_SOCKET),
        };
        let Some(path) = text(listener.path().as_os_str().as_bytes()) else {
            note_error(&Error::new(ErrorKind::NameTooLong, "path of the socket"));
            return NIPC_UDS_ERR_PATH_TOO_LONG;
        };
        let fd = listener.as_fd().as_raw_fd();
        let _endpoint = Box::into_raw(Box::new(listener)).cast();
        out.write(nipc_uds_listener_t { fd, config, path, _endpoint });
        NIPC_UDS_OK
    }

    fn nipc_uds_accept(
        listener: *mut nipc_uds_listener_t,
        session_id: u64,
        out: *mut nipc_uds_session_t,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_ACCEPT) {
        if out.is_null() {
            return bad_param("accept without a place for the session");
        }
        out.write(nipc_uds_session_t::CLOSED);
        let Some(listener) = listener.as_ref() else {
            return bad_param("accept without a listener");
        };
        let Some(endpoint) = listener.endpoint() else {
            note_error(&Error::system("accept", io::Error::from_raw_os_error(libc::EBADF)));
            return NIPC_UDS_ERR_ACCEPT;
        };
        let socket = match endpoint.accept(Wait::FOREVER) {
            Ok(socket) => socket,
            Err(error) => {
                note_error(&error);
                return NIPC_UDS_ERR_ACCEPT;
            }
        };
        let agreed = socket.agree(&listener.config.options(), session_id, Wait::FOREVER);
        let made = agreed.map(|agreement| (socket, agreement));
        finish(made, NIPC_UDS_ROLE_SERVER, NIPC_UDS_ERR_ACCEPT, out)
    }

    fn nipc_uds_listener_fd(listener: *const nipc_uds_listener_t) -> RawFd, or(-1) {
        listener.as_ref().map_or(-1, |listener| listener.fd)
    }

    fn nipc_uds_close_listener(listener: *mut nipc_uds_listener_t) {
        if let Some(listener) = listener.as_mut() {
            listener.close();
        }
    }
}
