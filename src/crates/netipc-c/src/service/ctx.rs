//! `nipc_client_ctx_t`: the members that C programs read and set, and the client behind them.

use std::{ffi::c_char, ptr, sync::atomic::Ordering::Release, time::Duration};

use netipc::{
    Client, ClientOptions, ClientState, ClientStatus, SessionOptions,
    proto::{Ceilings, handshake::defaults},
};

use super::{
    caller::{Behind, Caller},
    imp::nipc_client_ctx_t,
};
use crate::{
    border::{or_usual, string},
    os, region,
    transport::{ClientConfig, spin, spin_us},
};

pub(crate) type nipc_client_state_t = u32;

pub(super) const NIPC_CLIENT_DISCONNECTED: nipc_client_state_t = 0;
pub(super) const NIPC_CLIENT_READY: nipc_client_state_t = 2;

const CALL_TIMEOUT_MS: u32 = 30_000;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct nipc_client_config_t {
    supported_profiles: u32,
    preferred_profiles: u32,
    max_request_payload_bytes: u32,
    max_request_batch_items: u32,
    max_response_payload_bytes: u32,
    auth_token: u64,
    call_timeout_ms: u32,
    max_logical_lookup_items: u32,
    max_logical_lookup_subcalls: u32,
    max_logical_lookup_response_bytes: u32,
    spin_us: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct nipc_client_status_t {
    state: nipc_client_state_t,
    connect_count: u32,
    reconnect_count: u32,
    call_count: u32,
    error_count: u32,
}

/// The longest text of a name that its array can show.
fn shown<const N: usize>(text: &[u8]) -> [c_char; N] {
    let mut array = [0; N];
    for (to, &from) in array[..N - 1].iter_mut().zip(text) {
        *to = from as c_char;
    }
    array
}

impl nipc_client_ctx_t {
    /// A client as it is after init. Without a directory or a name it never connects.
    ///
    /// # Safety
    ///
    /// The strings are null or end in NUL.
    pub(super) unsafe fn new(
        run_dir: *const c_char,
        service_name: *const c_char,
        config: &nipc_client_config_t,
    ) -> Self {
        // SAFETY: as promised by the caller.
        let (run_dir, service) = unsafe { (string(run_dir), string(service_name)) };
        let (run_dir, service) = (run_dir.unwrap_or_default(), service.unwrap_or_default());
        let mut ctx = nipc_client_ctx_t {
            run_dir: shown(run_dir),
            service_name: shown(service),
            ..nipc_client_ctx_t::closed()
        };
        ctx.call_timeout_ms = or_usual(config.call_timeout_ms, CALL_TIMEOUT_MS);
        let usual = Ceilings::default();
        ctx.max_logical_lookup_items = or_usual(config.max_logical_lookup_items, usual.items);
        ctx.max_logical_lookup_subcalls =
            or_usual(config.max_logical_lookup_subcalls, usual.subcalls);
        ctx.max_logical_lookup_response_bytes =
            or_usual(config.max_logical_lookup_response_bytes, usual.response_bytes);
        let session = SessionOptions {
            supported_profiles: config.supported_profiles,
            preferred_profiles: config.preferred_profiles,
            max_request_payload_bytes: config.max_request_payload_bytes,
            max_request_batch_items: config.max_request_batch_items,
            max_response_payload_bytes: config.max_response_payload_bytes,
            auth_token: config.auth_token,
            spin: spin(config.spin_us),
            ..SessionOptions::default()
        };
        ctx.open(run_dir, service, session);
        ctx
    }

    /// Puts a client behind the struct.
    fn open(&mut self, run_dir: &[u8], service: &[u8], session: SessionOptions) {
        let options = ClientOptions { session, timeout: self.timeout(), ceilings: self.ceilings() };
        // A name that is no text becomes one that no service can have.
        let service = String::from_utf8_lossy(service);
        let mut behind = Behind::new(Client::with_options(os::path(run_dir), &service, options));
        let caller = behind.caller.get_mut();
        caller.count_on(ClientStatus {
            state: ClientState::Disconnected,
            connect_count: self.connect_count,
            reconnect_count: self.reconnect_count,
            call_count: self.call_count,
            error_count: self.error_count,
        });
        self.transport_config = shown_proposal(caller);
        self._client = Box::into_raw(behind).cast();
    }

    /// Opens a client again that was closed, as its members say. One that never was open has no
    /// directory, and stays closed.
    pub(super) fn reopen(&mut self) {
        if self._client.is_null() && self.run_dir[0] != 0 {
            let (dir, service) = (unshown(&self.run_dir), unshown(&self.service_name));
            self.open(&dir, &service, session_options(&self.transport_config));
        }
    }

    /// Hangs up, and frees all but the members.
    pub(super) fn close(&mut self) {
        self.session.forget();
        self.session_valid = false;
        self.state = NIPC_CLIENT_DISCONNECTED;
        self.abort_requested.store(0, Release);
        (self.response_buf, self.response_buf_size) = (ptr::null_mut(), 0);
        // SAFETY: null or boxed by this library, and nobody uses the client any more.
        unsafe {
            free_shm(&mut self.shm);
            if !self._client.is_null() {
                drop(Box::from_raw(self._client.cast::<Behind>()));
                self._client = ptr::null_mut();
            }
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self._client.is_null()
    }

    pub(super) fn status(&self) -> nipc_client_status_t {
        let &nipc_client_ctx_t {
            state,
            connect_count,
            reconnect_count,
            call_count,
            error_count,
            ..
        } = self;
        nipc_client_status_t { state, connect_count, reconnect_count, call_count, error_count }
    }

    /// # Safety
    ///
    /// `ctx` is a struct that was initialised or is all zero.
    pub(super) unsafe fn set_call_timeout(ctx: *mut Self, timeout_ms: u32) {
        // SAFETY: as promised by the caller; heeded by the next call.
        unsafe { (*ctx).call_timeout_ms = or_usual(timeout_ms, CALL_TIMEOUT_MS) };
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(or_usual(self.call_timeout_ms, CALL_TIMEOUT_MS).into())
    }

    pub(super) fn ceilings(&self) -> Ceilings {
        Ceilings {
            items: self.max_logical_lookup_items,
            subcalls: self.max_logical_lookup_subcalls,
            response_bytes: self.max_logical_lookup_response_bytes,
        }
    }
}

/// What an array shows.
fn unshown<const N: usize>(array: &[c_char; N]) -> Vec<u8> {
    array.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect()
}

/// What a C program wants to propose.
pub(super) fn session_options(wanted: &ClientConfig) -> SessionOptions {
    SessionOptions {
        supported_profiles: wanted.supported_profiles,
        preferred_profiles: wanted.preferred_profiles,
        max_request_payload_bytes: wanted.max_request_payload_bytes,
        max_request_batch_items: wanted.max_request_batch_items,
        max_response_payload_bytes: wanted.max_response_payload_bytes,
        auth_token: wanted.auth_token,
        packet_size: wanted.packet_size,
        spin: spin(wanted.spin_us),
        ..SessionOptions::default()
    }
}

/// What a client will propose, as C programs know it.
pub(super) fn shown_proposal(caller: &Caller) -> ClientConfig {
    let proposal = caller.proposal();
    let items = or_usual(proposal.max_request_batch_items, defaults::BATCH_ITEMS);
    ClientConfig {
        supported_profiles: or_usual(proposal.supported_profiles, 1),
        preferred_profiles: proposal.preferred_profiles,
        max_request_payload_bytes: proposal.max_request_payload_bytes,
        max_request_batch_items: items,
        max_response_payload_bytes: proposal.max_response_payload_bytes,
        max_response_batch_items: items,
        auth_token: proposal.auth_token,
        packet_size: proposal.packet_size,
        spin_us: spin_us(proposal.spin),
    }
}

/// Frees what shows a region. The region is the session's.
///
/// # Safety
///
/// Null, or what `show` boxed.
pub(super) unsafe fn free_shm(shm: &mut *mut region::Context) {
    if !shm.is_null() {
        // SAFETY: as promised by the caller.
        drop(unsafe { Box::from_raw(*shm) });
        *shm = ptr::null_mut();
    }
}
