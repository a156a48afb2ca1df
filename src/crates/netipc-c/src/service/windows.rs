//! The structs of Windows: their locks and events are the system's.

use std::{
    cell::UnsafeCell,
    ffi::{c_char, c_int, c_void},
    ptr,
    sync::atomic::{
        AtomicI32, AtomicU16, AtomicU32,
        Ordering::{Acquire, Release},
    },
};

use netipc::raw::Socket;
use windows_sys::Win32::{
    Foundation::HANDLE,
    System::Threading::{
        CRITICAL_SECTION, DeleteCriticalSection, GetCurrentThreadId, InitializeCriticalSection,
    },
};

use super::{
    caller::Behind,
    ctx::{NIPC_CLIENT_DISCONNECTED, nipc_client_state_t},
    server::{nipc_server_handler_fn, nipc_server_typed_handler_t},
};
use crate::{
    region,
    transport::{ClientConfig, Listener, ServerConfig, Session},
};

#[repr(C)]
pub(crate) struct nipc_client_ctx_t {
    pub(super) state: nipc_client_state_t,
    pub(super) run_dir: [c_char; 256],
    pub(super) service_name: [c_char; 128],
    pub(super) transport_config: ClientConfig,
    pub(super) session: Session,
    pub(super) session_valid: bool,
    pub(super) shm: *mut region::Context,
    pub(super) abort_event: HANDLE,
    pub(super) call_timeout_ms: u32,
    pub(super) max_logical_lookup_items: u32,
    pub(super) max_logical_lookup_subcalls: u32,
    pub(super) max_logical_lookup_response_bytes: u32,
    /// Set by other threads.
    pub(super) abort_requested: AtomicU32,
    pub(super) connect_count: u32,
    pub(super) reconnect_count: u32,
    pub(super) call_count: u32,
    pub(super) error_count: u32,
    pub(super) response_buf: *mut u8,
    pub(super) response_buf_size: usize,
    pub(super) send_buf: *mut u8,
    pub(super) send_buf_size: usize,
    /// A boxed [`Behind`], null when closed.
    pub(super) _client: *mut c_void,
}

impl nipc_client_ctx_t {
    pub(super) fn closed() -> Self {
        nipc_client_ctx_t {
            state: NIPC_CLIENT_DISCONNECTED,
            run_dir: [0; 256],
            service_name: [0; 128],
            transport_config: ClientConfig::default(),
            session: Session::CLOSED,
            session_valid: false,
            shm: ptr::null_mut(),
            abort_event: ptr::null_mut(),
            call_timeout_ms: 0,
            max_logical_lookup_items: 0,
            max_logical_lookup_subcalls: 0,
            max_logical_lookup_response_bytes: 0,
            abort_requested: AtomicU32::new(0),
            connect_count: 0,
            reconnect_count: 0,
            call_count: 0,
            error_count: 0,
            response_buf: ptr::null_mut(),
            response_buf_size: 0,
            send_buf: ptr::null_mut(),
            send_buf_size: 0,
            _client: ptr::null_mut(),
        }
    }
}

#[repr(C)]
pub(crate) struct nipc_managed_server_t {
    pub(super) listener: Listener,
    pub(super) base_config: ServerConfig,
    pub(super) worker_count: c_int,
    pub(super) handler: nipc_server_handler_fn,
    pub(super) handler_user: *mut c_void,
    pub(super) typed_handler: nipc_server_typed_handler_t,
    /// Read for every request.
    pub(super) expected_method_code: AtomicU16,
    pub(super) learned_request_payload_bytes: u32,
    pub(super) learned_response_payload_bytes: u32,
    pub(super) request_payload_growth_ceiling: u32,
    pub(super) response_payload_growth_ceiling: u32,
    running: AtomicI32,
    accept_loop_active: AtomicI32,
    accept_loop_thread_id: u32,
    pub(super) sessions: *mut *mut c_void,
    /// Written as clients come and go.
    pub(super) session_count: AtomicI32,
    pub(super) session_capacity: c_int,
    pub(super) next_session_id: u64,
    sessions_lock: UnsafeCell<CRITICAL_SECTION>,
    pub(super) run_dir: [c_char; 256],
    pub(super) service_name: [c_char; 128],
    pub(super) auth_token: u64,
    /// A boxed `Behind` of the server, null when closed.
    pub(super) _server: *mut c_void,
}

impl nipc_managed_server_t {
    /// Fills what no other system has, of a struct that is zero else.
    ///
    /// # Safety
    ///
    /// `server` can be written, and no other thread uses it.
    pub(super) unsafe fn open(server: *mut Self) {
        // SAFETY: as promised by the caller.
        unsafe {
            (*server).auth_token = (*server).base_config.auth_token;
            InitializeCriticalSection((*server).sessions_lock.get());
        }
    }

    /// Gives that back.
    ///
    /// # Safety
    ///
    /// As of [`open`](Self::open), which was called.
    pub(super) unsafe fn close(server: *mut Self) {
        // SAFETY: as promised by the caller.
        unsafe {
            debug_assert_eq!((*server).running.load(Acquire), 0, "nobody is inside run");
            DeleteCriticalSection((*server).sessions_lock.get());
        }
    }

    /// Shows that this thread runs the server.
    ///
    /// # Safety
    ///
    /// `server` is open, and no other thread enters it now.
    pub(super) unsafe fn enter(server: *mut Self) {
        // SAFETY: as promised by the caller.
        unsafe {
            (*server).accept_loop_thread_id = GetCurrentThreadId();
            (*server).accept_loop_active.store(1, Release);
            (*server).running.store(1, Release);
        }
    }

    /// Shows that clients are served no more.
    ///
    /// # Safety
    ///
    /// `server` is open.
    pub(super) unsafe fn leave(server: *mut Self) {
        // SAFETY: as promised by the caller.
        unsafe {
            (*server).accept_loop_active.store(0, Release);
            (*server).running.store(0, Release);
        }
    }
}

/// The socket of a client's session.
///
/// # Safety
///
/// As of [`region_of_client`](super::region_of_client).
pub(crate) unsafe fn socket_of_client(behind: *mut c_void) -> Option<Socket> {
    // SAFETY: as promised by the caller.
    let behind = unsafe { behind.cast::<Behind>().as_ref() }?;
    // SAFETY: as promised by the caller.
    unsafe { &*behind.caller.get() }.session().map(Socket::of)
}

/// Ends the session of a client.
///
/// # Safety
///
/// As of [`region_of_client`](super::region_of_client).
pub(crate) unsafe fn hang_up(behind: *mut c_void) {
    // SAFETY: as promised by the caller.
    if let Some(behind) = unsafe { behind.cast::<Behind>().as_ref() } {
        // SAFETY: as promised by the caller.
        unsafe { &mut *behind.caller.get() }.break_off();
    }
}
