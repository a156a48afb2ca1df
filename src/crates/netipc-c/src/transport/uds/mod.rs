//! `netipc_uds.h`: sessions over a socket.

mod listener;

use std::{
    ffi::{c_char, c_int, c_void},
    mem::ManuallyDrop,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    ptr,
};

use netipc::{
    Abort, Error, SessionOptions, Wait,
    raw::{Link, Socket, socket_of},
    transport,
};
use netipc_proto::Agreement;

pub(super) use self::{
    NIPC_UDS_ERR_ABORTED as ERR_ABORTED, NIPC_UDS_ERR_ACCEPT as ERR_ACCEPT,
    NIPC_UDS_ERR_ADDR_IN_USE as ERR_ADDR_IN_USE, NIPC_UDS_ERR_ALLOC as ERR_ALLOC,
    NIPC_UDS_ERR_AUTH_FAILED as ERR_AUTH_FAILED, NIPC_UDS_ERR_BAD_PARAM as ERR_BAD_PARAM,
    NIPC_UDS_ERR_CHUNK as ERR_CHUNK, NIPC_UDS_ERR_CONNECT as ERR_CONNECT,
    NIPC_UDS_ERR_DUPLICATE_MSG_ID as ERR_DUPLICATE_MSG_ID, NIPC_UDS_ERR_HANDSHAKE as ERR_HANDSHAKE,
    NIPC_UDS_ERR_INCOMPATIBLE as ERR_INCOMPATIBLE,
    NIPC_UDS_ERR_LIMIT_EXCEEDED as ERR_LIMIT_EXCEEDED, NIPC_UDS_ERR_NO_PROFILE as ERR_NO_PROFILE,
    NIPC_UDS_ERR_PATH_TOO_LONG as ERR_NAME_TOO_LONG, NIPC_UDS_ERR_PROTOCOL as ERR_PROTOCOL,
    NIPC_UDS_ERR_RECV as ERR_RECV, NIPC_UDS_ERR_SOCKET as ERR_LISTEN,
    NIPC_UDS_ERR_TIMEOUT as ERR_TIMEOUT, NIPC_UDS_ERR_UNKNOWN_MSG_ID as ERR_UNKNOWN_MSG_ID,
    NIPC_UDS_OK as OK, nipc_uds_error_t as Code,
};
pub(crate) use self::{
    listener::{nipc_uds_listener_t as Listener, nipc_uds_listener_t},
    nipc_uds_server_config_t as ServerConfig, nipc_uds_session_t as Session,
};
use super::{
    ClientConfig,
    message::Carrier,
    session::{self, Held, ROLE_CLIENT, ROLE_SERVER, wait_for},
};
use crate::{
    errors::{error_codes, note_error},
    protocol::nipc_header_t,
};

pub(crate) type nipc_uds_error_t = u32;

error_codes! { nipc_uds_error_t, nipc_uds_error_name:
    NIPC_UDS_OK = 0 c"OK",
    NIPC_UDS_ERR_PATH_TOO_LONG = 1 c"PATH_TOO_LONG",
    NIPC_UDS_ERR_SOCKET = 2 c"SOCKET",
    NIPC_UDS_ERR_CONNECT = 3 c"CONNECT",
    NIPC_UDS_ERR_ACCEPT = 4 c"ACCEPT",
    NIPC_UDS_ERR_SEND = 5 c"SEND",
    NIPC_UDS_ERR_RECV = 6 c"RECV",
    NIPC_UDS_ERR_HANDSHAKE = 7 c"HANDSHAKE",
    NIPC_UDS_ERR_AUTH_FAILED = 8 c"AUTH_FAILED",
    NIPC_UDS_ERR_NO_PROFILE = 9 c"NO_PROFILE",
    NIPC_UDS_ERR_INCOMPATIBLE = 10 c"INCOMPATIBLE",
    NIPC_UDS_ERR_PROTOCOL = 11 c"PROTOCOL",
    NIPC_UDS_ERR_ADDR_IN_USE = 12 c"ADDR_IN_USE",
    NIPC_UDS_ERR_CHUNK = 13 c"CHUNK",
    NIPC_UDS_ERR_ALLOC = 14 c"ALLOC",
    NIPC_UDS_ERR_LIMIT_EXCEEDED = 15 c"LIMIT_EXCEEDED",
    NIPC_UDS_ERR_BAD_PARAM = 16 c"BAD_PARAM",
    NIPC_UDS_ERR_DUPLICATE_MSG_ID = 17 c"DUPLICATE_MSG_ID",
    NIPC_UDS_ERR_UNKNOWN_MSG_ID = 18 c"UNKNOWN_MSG_ID",
    NIPC_UDS_ERR_TIMEOUT = 19 c"TIMEOUT",
    NIPC_UDS_ERR_ABORTED = 20 c"ABORTED",
}

/// The code of a failure to send.
pub(super) fn send_code(_: &Error) -> Code {
    NIPC_UDS_ERR_SEND
}

/// The code of a failure to receive.
pub(super) fn receive_code(_: &Error, _: Option<Wait<'_>>) -> Code {
    NIPC_UDS_ERR_RECV
}

pub(crate) type nipc_uds_client_config_t = ClientConfig;

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
    pub(crate) spin_us: i32,
}

impl nipc_uds_server_config_t {
    /// What it grants.
    pub(super) fn options(&self) -> SessionOptions {
        ClientConfig::from(*self).options()
    }

    /// How many clients may wait to be accepted; 0 for the usual number.
    pub(crate) fn backlog(&self) -> u32 {
        u32::try_from(self.backlog).unwrap_or(0)
    }
}

impl From<ClientConfig> for nipc_uds_server_config_t {
    fn from(config: ClientConfig) -> Self {
        nipc_uds_server_config_t {
            supported_profiles: config.supported_profiles,
            preferred_profiles: config.preferred_profiles,
            max_request_payload_bytes: config.max_request_payload_bytes,
            max_request_batch_items: config.max_request_batch_items,
            max_response_payload_bytes: config.max_response_payload_bytes,
            max_response_batch_items: config.max_response_batch_items,
            auth_token: config.auth_token,
            packet_size: config.packet_size,
            backlog: 0,
            spin_us: config.spin_us,
        }
    }
}

impl From<nipc_uds_server_config_t> for ClientConfig {
    fn from(config: nipc_uds_server_config_t) -> Self {
        ClientConfig {
            supported_profiles: config.supported_profiles,
            preferred_profiles: config.preferred_profiles,
            max_request_payload_bytes: config.max_request_payload_bytes,
            max_request_batch_items: config.max_request_batch_items,
            max_response_payload_bytes: config.max_response_payload_bytes,
            max_response_batch_items: config.max_response_batch_items,
            auth_token: config.auth_token,
            packet_size: config.packet_size,
            spin_us: config.spin_us,
        }
    }
}

#[repr(C)]
pub(crate) struct nipc_uds_session_t {
    pub(super) fd: RawFd,
    pub(crate) role: u32,
    pub(crate) max_request_payload_bytes: u32,
    pub(crate) max_request_batch_items: u32,
    pub(crate) max_response_payload_bytes: u32,
    pub(crate) max_response_batch_items: u32,
    pub(crate) packet_size: u32,
    pub(crate) selected_profile: u32,
    pub(crate) session_id: u64,
    pub(crate) recv_buf: *mut u8,
    pub(crate) recv_buf_size: usize,
    pub(crate) inflight_ids: *mut u64,
    pub(crate) inflight_count: u32,
    pub(crate) inflight_capacity: u32,
    /// A boxed [`Carrier`]; null when closed, made by hand, or a client's.
    pub(super) _link: *mut c_void,
}

impl nipc_uds_session_t {
    pub(crate) const CLOSED: Self = nipc_uds_session_t {
        fd: -1,
        role: 0,
        max_request_payload_bytes: 0,
        max_request_batch_items: 0,
        max_response_payload_bytes: 0,
        max_response_batch_items: 0,
        packet_size: 0,
        selected_profile: 0,
        session_id: 0,
        recv_buf: ptr::null_mut(),
        recv_buf_size: 0,
        inflight_ids: ptr::null_mut(),
        inflight_count: 0,
        inflight_capacity: 0,
        _link: ptr::null_mut(),
    };

    /// A session over `carrier`, which becomes the struct's.
    pub(super) fn over(carrier: Carrier, role: u32, agreement: &Agreement) -> Self {
        let fd = carrier.link.socket().as_fd().as_raw_fd();
        let _link = Box::into_raw(Box::new(carrier)).cast();
        nipc_uds_session_t { fd, _link, ..nipc_uds_session_t::agreed(role, agreement) }
    }

    /// A struct that shows a client's session, whose socket stays the client's.
    pub(crate) fn of_client(session: &transport::Session, _client: *mut c_void) -> Self {
        let fd = socket_of(session).as_raw_fd();
        nipc_uds_session_t { fd, ..nipc_uds_session_t::agreed(ROLE_CLIENT, session.agreement()) }
    }

    /// Whether it has the socket of that session.
    pub(crate) fn shows(&self, session: &transport::Session) -> bool {
        socket_of(session).as_raw_fd() == self.fd
    }

    /// Whether it was ever opened: a struct of zero bytes has descriptor 0, which is not ours.
    fn is_open(&self) -> bool {
        self.fd >= 0 && matches!(self.role, ROLE_CLIENT | ROLE_SERVER)
    }

    /// What carries it. `None` when closed, by the library or by the program behind its back.
    ///
    /// # Safety
    ///
    /// There is no other one of this session.
    pub(super) unsafe fn carrier<'a>(&self) -> Option<Held<'a>> {
        if !self.is_open() {
            return None;
        }
        // SAFETY: null or what `over` or `keep` boxed, and nobody else has it.
        let kept = unsafe { self._link.cast::<Carrier>().as_mut() };
        if let Some(kept) = kept.filter(|kept| kept.link.socket().as_fd().as_raw_fd() == self.fd) {
            return Some(Held::Kept(kept));
        }
        // SAFETY: the descriptor is open as long as the struct says so, and is not closed by this.
        let socket = Socket::from(unsafe { OwnedFd::from_raw_fd(self.fd) });
        Some(Held::Lent(ManuallyDrop::new(Link::from(socket).into())))
    }

    /// Keeps what was made for one use for more of them.
    pub(super) fn keep<'a>(&mut self, lent: Lent) -> &'a mut Carrier {
        self.lose_link();
        let kept = Box::into_raw(Box::new(ManuallyDrop::into_inner(lent)));
        self._link = kept.cast();
        // SAFETY: it stays until `lose_link`, and nobody else has it.
        unsafe { &mut *kept }
    }

    /// Frees what is behind the struct, but for the socket.
    fn lose_link(&mut self) {
        if !self._link.is_null() {
            // SAFETY: what `over` or `keep` boxed, and nothing points to it any more.
            let carrier = unsafe { Box::from_raw(self._link.cast::<Carrier>()) };
            // The descriptor is the struct's.
            let _ = OwnedFd::from(carrier.link.into_socket()).into_raw_fd();
            self._link = ptr::null_mut();
        }
    }

    /// Frees what it holds, and leaves the socket to whose it is.
    pub(crate) fn forget(&mut self) {
        self.lose_link();
        self.fd = -1;
        self.free();
    }

    /// Closes it and frees what it holds.
    fn close(&mut self) {
        let fd = if self.is_open() { self.fd } else { -1 };
        self.forget();
        if fd >= 0 {
            // SAFETY: the descriptor was the struct's, which has forgotten it. A program may have
            // closed it already: then this fails, as it would in C.
            unsafe { libc::close(fd) };
        }
    }
}

/// What carries a session for one use: its descriptor stays open.
pub(super) type Lent = ManuallyDrop<Carrier>;

/// An abort that is set while `fd` is readable; none for a negative one.
///
/// # Safety
///
/// A descriptor that is not negative is open.
unsafe fn watch(fd: RawFd) -> Result<Option<Abort>, Code> {
    if fd < 0 {
        return Ok(None);
    }
    // SAFETY: as promised by the caller.
    match unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned() {
        Ok(fd) => Ok(Some(Abort::watching(fd))),
        Err(cause) => {
            note_error(&Error::system("watch the abort descriptor", cause));
            Err(NIPC_UDS_ERR_BAD_PARAM)
        }
    }
}

abi! {
    fn nipc_uds_connect(
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_uds_client_config_t,
        out: *mut nipc_uds_session_t,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_CONNECT) {
        super::listener::connect(run_dir, service_name, config, out)
    }

    fn nipc_uds_listen(
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_uds_server_config_t,
        out: *mut nipc_uds_listener_t,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_SOCKET) {
        super::listener::listen(run_dir, service_name, config, out)
    }

    fn nipc_uds_accept(
        listener: *mut nipc_uds_listener_t,
        session_id: u64,
        out: *mut nipc_uds_session_t,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_ACCEPT) {
        super::listener::accept(listener, session_id, out)
    }

    fn nipc_uds_send(
        session: *mut nipc_uds_session_t,
        hdr: *mut nipc_header_t,
        payload: *const c_void,
        payload_len: usize,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_SEND) {
        session::send(session, hdr, payload, payload_len, Some(Wait::FOREVER))
    }

    fn nipc_uds_receive(
        session: *mut nipc_uds_session_t,
        buf: *mut c_void,
        buf_size: usize,
        hdr_out: *mut nipc_header_t,
        payload_out: *mut *const c_void,
        payload_len_out: *mut usize,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_RECV) {
        let outputs = (hdr_out, payload_out, payload_len_out);
        session::receive(session, buf, buf_size, outputs, Some(Wait::FOREVER))
    }

    fn nipc_uds_receive_timeout(
        session: *mut nipc_uds_session_t,
        buf: *mut c_void,
        buf_size: usize,
        hdr_out: *mut nipc_header_t,
        payload_out: *mut *const c_void,
        payload_len_out: *mut usize,
        timeout_ms: u32,
        abort_fd: RawFd,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_RECV) {
        let abort = match watch(abort_fd) {
            Ok(abort) => abort,
            Err(error) => return error,
        };
        let outputs = (hdr_out, payload_out, payload_len_out);
        let wait = wait_for(timeout_ms, abort.as_ref());
        session::receive(session, buf, buf_size, outputs, Some(wait))
    }

    fn nipc_uds_try_send(
        session: *mut nipc_uds_session_t,
        hdr: *mut nipc_header_t,
        payload: *const c_void,
        payload_len: usize,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_SEND) {
        session::send(session, hdr, payload, payload_len, None)
    }

    fn nipc_uds_try_receive(
        session: *mut nipc_uds_session_t,
        buf: *mut c_void,
        buf_size: usize,
        hdr_out: *mut nipc_header_t,
        payload_out: *mut *const c_void,
        payload_len_out: *mut usize,
    ) -> nipc_uds_error_t, or(NIPC_UDS_ERR_RECV) {
        let outputs = (hdr_out, payload_out, payload_len_out);
        session::receive(session, buf, buf_size, outputs, None)
    }

    fn nipc_uds_session_fd(session: *const nipc_uds_session_t) -> RawFd, or(-1) {
        let Some(session) = session.as_ref() else { return -1 };
        match session.carrier() {
            Some(Held::Kept(carrier)) => carrier.link.as_fd().as_raw_fd(),
            _ => session.fd,
        }
    }

    fn nipc_uds_listener_fd(listener: *const nipc_uds_listener_t) -> RawFd, or(-1) {
        listener.as_ref().map_or(-1, |listener| listener.fd)
    }

    fn nipc_uds_close_session(session: *mut nipc_uds_session_t) {
        if let Some(session) = session.as_mut() {
            session.close();
        }
    }

    fn nipc_uds_close_listener(listener: *mut nipc_uds_listener_t) {
        if let Some(listener) = listener.as_mut() {
            listener.close();
        }
    }
}
