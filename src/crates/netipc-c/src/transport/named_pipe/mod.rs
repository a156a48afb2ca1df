//! `netipc_named_pipe.h`: sessions over a pipe.

mod listener;

use std::{
    ffi::{c_char, c_int, c_void},
    mem,
    os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle},
    ptr, slice,
    time::Duration,
};

use netipc::{
    Abort, Error, ErrorKind, Wait,
    raw::{Link, Socket, fnv1a_64, pipe_name, socket_of},
    transport,
};
use netipc_proto::Agreement;
use windows_sys::Win32::Foundation::{ERROR_PIPE_NOT_CONNECTED, HANDLE, INVALID_HANDLE_VALUE};

use self::listener::{wchar_t, wide};
pub(super) use self::{
    NIPC_NP_ERR_ABORTED as ERR_ABORTED, NIPC_NP_ERR_ACCEPT as ERR_ACCEPT,
    NIPC_NP_ERR_ADDR_IN_USE as ERR_ADDR_IN_USE, NIPC_NP_ERR_ALLOC as ERR_ALLOC,
    NIPC_NP_ERR_AUTH_FAILED as ERR_AUTH_FAILED, NIPC_NP_ERR_BAD_PARAM as ERR_BAD_PARAM,
    NIPC_NP_ERR_CHUNK as ERR_CHUNK, NIPC_NP_ERR_CONNECT as ERR_CONNECT,
    NIPC_NP_ERR_CREATE_PIPE as ERR_LISTEN, NIPC_NP_ERR_DUPLICATE_MSG_ID as ERR_DUPLICATE_MSG_ID,
    NIPC_NP_ERR_HANDSHAKE as ERR_HANDSHAKE, NIPC_NP_ERR_INCOMPATIBLE as ERR_INCOMPATIBLE,
    NIPC_NP_ERR_LIMIT_EXCEEDED as ERR_LIMIT_EXCEEDED, NIPC_NP_ERR_NO_PROFILE as ERR_NO_PROFILE,
    NIPC_NP_ERR_PIPE_NAME as ERR_NAME_TOO_LONG, NIPC_NP_ERR_PROTOCOL as ERR_PROTOCOL,
    NIPC_NP_ERR_RECV as ERR_RECV, NIPC_NP_ERR_TIMEOUT as ERR_TIMEOUT,
    NIPC_NP_ERR_UNKNOWN_MSG_ID as ERR_UNKNOWN_MSG_ID, NIPC_NP_OK as OK, nipc_np_error_t as Code,
};
pub(crate) use self::{
    listener::{nipc_np_listener_t as Listener, nipc_np_listener_t},
    nipc_np_server_config_t as ServerConfig, nipc_np_session_t as Session,
};
use super::{
    ClientConfig, bad_param,
    message::Carrier,
    session::{self, Held, ROLE_CLIENT, wait_for},
};
use crate::{
    border::{bytes, endpoint},
    errors::{error_codes, note, note_error},
    protocol::nipc_header_t,
    service::{hang_up, socket_of_client},
};

pub(crate) type nipc_np_error_t = u32;

error_codes! { nipc_np_error_t, nipc_np_error_name:
    NIPC_NP_OK = 0 c"OK",
    NIPC_NP_ERR_PIPE_NAME = 1 c"PIPE_NAME",
    NIPC_NP_ERR_CREATE_PIPE = 2 c"CREATE_PIPE",
    NIPC_NP_ERR_CONNECT = 3 c"CONNECT",
    NIPC_NP_ERR_ACCEPT = 4 c"ACCEPT",
    NIPC_NP_ERR_SEND = 5 c"SEND",
    NIPC_NP_ERR_RECV = 6 c"RECV",
    NIPC_NP_ERR_HANDSHAKE = 7 c"HANDSHAKE",
    NIPC_NP_ERR_AUTH_FAILED = 8 c"AUTH_FAILED",
    NIPC_NP_ERR_NO_PROFILE = 9 c"NO_PROFILE",
    NIPC_NP_ERR_INCOMPATIBLE = 10 c"INCOMPATIBLE",
    NIPC_NP_ERR_PROTOCOL = 11 c"PROTOCOL",
    NIPC_NP_ERR_ADDR_IN_USE = 12 c"ADDR_IN_USE",
    NIPC_NP_ERR_CHUNK = 13 c"CHUNK",
    NIPC_NP_ERR_ALLOC = 14 c"ALLOC",
    NIPC_NP_ERR_LIMIT_EXCEEDED = 15 c"LIMIT_EXCEEDED",
    NIPC_NP_ERR_BAD_PARAM = 16 c"BAD_PARAM",
    NIPC_NP_ERR_DUPLICATE_MSG_ID = 17 c"DUPLICATE_MSG_ID",
    NIPC_NP_ERR_UNKNOWN_MSG_ID = 18 c"UNKNOWN_MSG_ID",
    NIPC_NP_ERR_DISCONNECTED = 19 c"DISCONNECTED",
    NIPC_NP_ERR_TIMEOUT = 20 c"TIMEOUT",
    NIPC_NP_ERR_ABORTED = 21 c"ABORTED",
}

/// Whether it says that the peer has hung up.
fn is_hangup(error: &Error) -> bool {
    const NOT_CONNECTED: i32 = ERROR_PIPE_NOT_CONNECTED.cast_signed();
    error.kind() == ErrorKind::Disconnected || error.raw_os_error() == Some(NOT_CONNECTED)
}

/// The code of a failure to send.
pub(super) fn send_code(error: &Error) -> Code {
    if is_hangup(error) { NIPC_NP_ERR_DISCONNECTED } else { NIPC_NP_ERR_SEND }
}

/// The code of a failure to receive. Who waits for ever is not told apart a hang-up.
pub(super) fn receive_code(error: &Error, wait: Option<Wait<'_>>) -> Code {
    let waits_for_more =
        wait.is_none_or(|wait| wait.deadline().is_some() || wait.abort().is_some());
    if waits_for_more && is_hangup(error) { NIPC_NP_ERR_DISCONNECTED } else { NIPC_NP_ERR_RECV }
}

pub(crate) type nipc_np_client_config_t = ClientConfig;
pub(crate) type nipc_np_server_config_t = ClientConfig;

impl nipc_np_server_config_t {
    /// How many clients may wait to be accepted: there is no choice.
    pub(crate) fn backlog(&self) -> u32 {
        0
    }
}

#[repr(C)]
pub(crate) struct nipc_np_session_t {
    pub(super) pipe: HANDLE,
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
    /// A boxed [`Carrier`]; null when closed, and where the session is a client's.
    pub(super) _link: *mut c_void,
    /// The `_client` of a client, which has the session.
    pub(super) _client: *mut c_void,
}

impl nipc_np_session_t {
    pub(crate) const CLOSED: Self = nipc_np_session_t {
        pipe: INVALID_HANDLE_VALUE,
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
        _client: ptr::null_mut(),
    };

    /// A session over `carrier`, which becomes the struct's.
    pub(super) fn over(carrier: Carrier, role: u32, agreement: &Agreement) -> Self {
        let pipe = carrier.link.socket().as_handle().as_raw_handle();
        let _link = Box::into_raw(Box::new(carrier)).cast();
        nipc_np_session_t { pipe, _link, ..nipc_np_session_t::agreed(role, agreement) }
    }

    /// A struct that shows a client's session, whose pipe stays the client's.
    pub(crate) fn of_client(session: &transport::Session, _client: *mut c_void) -> Self {
        let pipe = socket_of(session).as_raw_handle();
        let agreed = nipc_np_session_t::agreed(ROLE_CLIENT, session.agreement());
        nipc_np_session_t { pipe, _client, ..agreed }
    }

    /// Whether it has the pipe of that session.
    pub(crate) fn shows(&self, session: &transport::Session) -> bool {
        socket_of(session).as_raw_handle() == self.pipe
    }

    /// What carries it. `None` when closed, by the library or by the program behind its back.
    ///
    /// # Safety
    ///
    /// There is no other one of this session.
    pub(super) unsafe fn carrier<'a>(&self) -> Option<Held<'a>> {
        let has_pipe = |socket: &Socket| socket.as_handle().as_raw_handle() == self.pipe;
        // SAFETY: null or what `over` boxed, and nobody else has it.
        if let Some(kept) = unsafe { self._link.cast::<Carrier>().as_mut() } {
            return has_pipe(kept.link.socket()).then_some(Held::Kept(kept));
        }
        // SAFETY: null or the `_client` of a client whose struct this is.
        let socket = unsafe { socket_of_client(self._client) }.filter(has_pipe)?;
        Some(Held::Lent(Box::new(Link::from(socket).into())))
    }

    /// Keeps what was made for one use for more of them.
    pub(super) fn keep<'a>(&mut self, lent: Lent) -> &'a mut Carrier {
        let kept = Box::into_raw(lent);
        self._link = kept.cast();
        // SAFETY: it stays until the session is closed, and nobody else has it.
        unsafe { &mut *kept }
    }

    /// Frees what it holds, and leaves the pipe to whose it is.
    pub(crate) fn forget(&mut self) {
        self.free();
        (self.pipe, self._client) = (INVALID_HANDLE_VALUE, ptr::null_mut());
    }

    /// Closes it and frees what it holds.
    fn close(&mut self) {
        // SAFETY: it is the only one, and gone at once.
        let is_open = unsafe { self.carrier() }.is_some();
        if !self._link.is_null() {
            // SAFETY: what `over` boxed, and nothing points to it any more.
            let carrier = unsafe { *Box::from_raw(self._link.cast::<Carrier>()) };
            self._link = ptr::null_mut();
            if !is_open {
                // The program has closed the pipe, and its handle may be another file's by now.
                mem::forget(carrier.link.into_socket());
            }
        } else if is_open {
            // SAFETY: the `_client` of a client whose struct this is.
            unsafe { hang_up(self._client) };
        }
        self.forget();
    }
}

/// What carries a session for one use.
pub(super) type Lent = Box<Carrier>;

/// An abort that is set while `event` is signalled; none for a null one.
///
/// # Safety
///
/// A handle that is not null is open.
unsafe fn watch(event: HANDLE) -> Result<Option<Abort>, Code> {
    if event.is_null() {
        return Ok(None);
    }
    // SAFETY: as promised by the caller.
    match unsafe { BorrowedHandle::borrow_raw(event) }.try_clone_to_owned() {
        Ok(event) => Ok(Some(Abort::watching(event))),
        Err(cause) => {
            note_error(&Error::system("watch the abort event", cause));
            Err(NIPC_NP_ERR_BAD_PARAM)
        }
    }
}

abi! {
    fn nipc_fnv1a_64(data: *const c_void, len: usize) -> u64, or(0) {
        bytes(data, len).map_or(0, fnv1a_64)
    }

    fn nipc_np_build_pipe_name(
        dst: *mut wchar_t,
        dst_chars: usize,
        run_dir: *const c_char,
        service_name: *const c_char,
    ) -> c_int, or(-1) {
        let Some((dir, service)) = endpoint(run_dir, service_name).filter(|_| !dst.is_null()) else {
            note("name a pipe without a place for it, a directory or a service name");
            return -1;
        };
        let name = match pipe_name(&dir, service) {
            Ok(name) => name,
            Err(error) => {
                note_error(&error);
                return -1;
            }
        };
        // No name is longer, and so much room need not be there.
        let room = slice::from_raw_parts_mut(dst, dst_chars.min(256));
        wide(&name, room).map_or(-1, |()| 0)
    }

    fn nipc_np_connect(
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_np_client_config_t,
        out: *mut nipc_np_session_t,
    ) -> nipc_np_error_t, or(NIPC_NP_ERR_CONNECT) {
        super::listener::connect(run_dir, service_name, config, out)
    }

    fn nipc_np_listen(
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_np_server_config_t,
        out: *mut nipc_np_listener_t,
    ) -> nipc_np_error_t, or(NIPC_NP_ERR_CREATE_PIPE) {
        super::listener::listen(run_dir, service_name, config, out)
    }

    fn nipc_np_accept(
        listener: *mut nipc_np_listener_t,
        session_id: u64,
        out: *mut nipc_np_session_t,
    ) -> nipc_np_error_t, or(NIPC_NP_ERR_ACCEPT) {
        super::listener::accept(listener, session_id, out)
    }

    fn nipc_np_send(
        session: *mut nipc_np_session_t,
        hdr: *mut nipc_header_t,
        payload: *const c_void,
        payload_len: usize,
    ) -> nipc_np_error_t, or(NIPC_NP_ERR_SEND) {
        session::send(session, hdr, payload, payload_len, Some(Wait::FOREVER))
    }

    fn nipc_np_receive(
        session: *mut nipc_np_session_t,
        buf: *mut c_void,
        buf_size: usize,
        hdr_out: *mut nipc_header_t,
        payload_out: *mut *const c_void,
        payload_len_out: *mut usize,
    ) -> nipc_np_error_t, or(NIPC_NP_ERR_RECV) {
        let outputs = (hdr_out, payload_out, payload_len_out);
        session::receive(session, buf, buf_size, outputs, Some(Wait::FOREVER))
    }

    fn nipc_np_receive_timeout(
        session: *mut nipc_np_session_t,
        buf: *mut c_void,
        buf_size: usize,
        hdr_out: *mut nipc_header_t,
        payload_out: *mut *const c_void,
        payload_len_out: *mut usize,
        timeout_ms: u32,
        abort_event: HANDLE,
    ) -> nipc_np_error_t, or(NIPC_NP_ERR_RECV) {
        let abort = match watch(abort_event) {
            Ok(abort) => abort,
            Err(error) => return error,
        };
        let outputs = (hdr_out, payload_out, payload_len_out);
        let wait = wait_for(timeout_ms, abort.as_ref());
        session::receive(session, buf, buf_size, outputs, Some(wait))
    }

    fn nipc_np_wait_readable(
        session: *mut nipc_np_session_t,
        timeout_ms: u32,
        readable: *mut bool,
    ) -> nipc_np_error_t, or(NIPC_NP_ERR_RECV) {
        let Some(session) = session.as_ref().filter(|_| !readable.is_null()) else {
            return bad_param("wait without a session or a place for what is known");
        };
        let Some(carrier) = session.carrier() else {
            return bad_param("wait on a session that is closed");
        };
        let wait = Wait::at_most(Duration::from_millis(timeout_ms.into()));
        let waited = carrier.link.socket().wait_for_packet(wait);
        readable.write(waited.is_ok());
        match waited {
            Ok(()) => NIPC_NP_OK,
            Err(error) if error.kind() == ErrorKind::TimedOut => NIPC_NP_OK,
            Err(error) => {
                note_error(&error);
                NIPC_NP_ERR_DISCONNECTED
            }
        }
    }

    fn nipc_np_session_handle(session: *const nipc_np_session_t)
        -> HANDLE, or(INVALID_HANDLE_VALUE)
    {
        session.as_ref().map_or(INVALID_HANDLE_VALUE, |session| session.pipe)
    }

    fn nipc_np_listener_handle(listener: *const nipc_np_listener_t)
        -> HANDLE, or(INVALID_HANDLE_VALUE)
    {
        listener.as_ref().map_or(INVALID_HANDLE_VALUE, |listener| listener.pipe)
    }

    fn nipc_np_close_session(session: *mut nipc_np_session_t) {
        if let Some(session) = session.as_mut() {
            session.close();
        }
    }

    fn nipc_np_close_listener(listener: *mut nipc_np_listener_t) {
        if let Some(listener) = listener.as_mut() {
            listener.close();
        }
    }
}
