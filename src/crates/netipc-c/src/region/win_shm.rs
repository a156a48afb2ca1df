//! `netipc_win_shm.h`: a region is a named object of the system.

use std::{
    ffi::{c_char, c_void},
    os::windows::io::AsRawHandle,
    ptr,
};

use netipc::{
    RegionFault,
    raw::{Place, Region, sweep},
};
use windows_sys::Win32::Foundation::HANDLE;

pub(super) use self::{
    NIPC_WIN_SHM_ERR_BAD_HEADER as ERR_BAD_HEADER, NIPC_WIN_SHM_ERR_BAD_PARAM as ERR_BAD_PARAM,
    NIPC_WIN_SHM_ERR_DISCONNECTED as ERR_CLOSED,
    NIPC_WIN_SHM_ERR_MSG_TOO_LARGE as ERR_MSG_TOO_LARGE, NIPC_WIN_SHM_ERR_TIMEOUT as ERR_TIMEOUT,
    NIPC_WIN_SHM_OK as OK, nipc_win_shm_error_t as Code,
};
use super::{ROLE_CLIENT, ROLE_SERVER, open};
use crate::{
    border::endpoint,
    errors::{error_codes, note},
};
pub(crate) use nipc_win_shm_ctx_t as Context;

pub(crate) type nipc_win_shm_error_t = u32;

error_codes! { nipc_win_shm_error_t, nipc_win_shm_error_name:
    NIPC_WIN_SHM_OK = 0 c"OK",
    NIPC_WIN_SHM_ERR_BAD_PARAM = 1 c"BAD_PARAM",
    NIPC_WIN_SHM_ERR_CREATE_MAPPING = 2 c"CREATE_MAPPING",
    NIPC_WIN_SHM_ERR_OPEN_MAPPING = 3 c"OPEN_MAPPING",
    NIPC_WIN_SHM_ERR_MAP_VIEW = 4 c"MAP_VIEW",
    NIPC_WIN_SHM_ERR_CREATE_EVENT = 5 c"CREATE_EVENT",
    NIPC_WIN_SHM_ERR_OPEN_EVENT = 6 c"OPEN_EVENT",
    NIPC_WIN_SHM_ERR_ADDR_IN_USE = 7 c"ADDR_IN_USE",
    NIPC_WIN_SHM_ERR_BAD_MAGIC = 8 c"BAD_MAGIC",
    NIPC_WIN_SHM_ERR_BAD_VERSION = 9 c"BAD_VERSION",
    NIPC_WIN_SHM_ERR_BAD_HEADER = 10 c"BAD_HEADER",
    NIPC_WIN_SHM_ERR_BAD_PROFILE = 11 c"BAD_PROFILE",
    NIPC_WIN_SHM_ERR_MSG_TOO_LARGE = 12 c"MSG_TOO_LARGE",
    NIPC_WIN_SHM_ERR_TIMEOUT = 13 c"TIMEOUT",
    NIPC_WIN_SHM_ERR_DISCONNECTED = 14 c"DISCONNECTED",
}

const NIPC_WIN_SHM_DEFAULT_SPIN: u32 = 1024;

#[repr(C)]
pub(crate) struct nipc_win_shm_ctx_t {
    pub(super) role: u32,
    pub(super) mapping: HANDLE,
    pub(super) base: *mut c_void,
    pub(super) region_size: usize,
    pub(super) req_event: HANDLE,
    pub(super) resp_event: HANDLE,
    pub(super) profile: u32,
    pub(super) request_offset: u32,
    pub(super) request_capacity: u32,
    pub(super) response_offset: u32,
    pub(super) response_capacity: u32,
    pub(super) spin_tries: u32,
    pub(super) local_req_seq: u64,
    pub(super) local_resp_seq: u64,
    /// A boxed [`Region`]; null when closed, and where the region is a client's.
    pub(super) _region: *mut c_void,
    /// The `_client` of a client, which has the region in its session.
    pub(super) _client: *mut c_void,
}

impl nipc_win_shm_ctx_t {
    pub(super) const CLOSED: Self = nipc_win_shm_ctx_t {
        role: 0,
        mapping: ptr::null_mut(),
        base: ptr::null_mut(),
        region_size: 0,
        req_event: ptr::null_mut(),
        resp_event: ptr::null_mut(),
        profile: 0,
        request_offset: 0,
        request_capacity: 0,
        response_offset: 0,
        response_capacity: 0,
        spin_tries: 0,
        local_req_seq: 0,
        local_resp_seq: 0,
        _region: ptr::null_mut(),
        _client: ptr::null_mut(),
    };

    /// What of `region` only this system has.
    pub(super) fn of(region: &Region<'_>) -> Self {
        let events = region.events().map(|events| events.map(|event| event.as_raw_handle()));
        let [req_event, resp_event] = events.unwrap_or([ptr::null_mut(); 2]);
        nipc_win_shm_ctx_t {
            mapping: region.object().as_raw_handle(),
            req_event,
            resp_event,
            profile: region.profile(),
            spin_tries: NIPC_WIN_SHM_DEFAULT_SPIN,
            ..nipc_win_shm_ctx_t::CLOSED
        }
    }

    /// What a struct that was closed still shows.
    pub(super) fn remains(&self) -> Self {
        nipc_win_shm_ctx_t::CLOSED
    }
}

pub(super) fn fault_code(fault: RegionFault) -> Code {
    match fault {
        RegionFault::Open => NIPC_WIN_SHM_ERR_OPEN_MAPPING,
        RegionFault::Allocate => NIPC_WIN_SHM_ERR_CREATE_MAPPING,
        RegionFault::Map => NIPC_WIN_SHM_ERR_MAP_VIEW,
        RegionFault::BadMagic => NIPC_WIN_SHM_ERR_BAD_MAGIC,
        RegionFault::BadVersion => NIPC_WIN_SHM_ERR_BAD_VERSION,
        RegionFault::BadHeader | RegionFault::BadSize => NIPC_WIN_SHM_ERR_BAD_HEADER,
        RegionFault::BadProfile => NIPC_WIN_SHM_ERR_BAD_PROFILE,
        RegionFault::InUse => NIPC_WIN_SHM_ERR_ADDR_IN_USE,
        _ => NIPC_WIN_SHM_ERR_BAD_PARAM,
    }
}

abi! {
    fn nipc_win_shm_server_create(
        run_dir: *const c_char,
        service_name: *const c_char,
        auth_token: u64,
        session_id: u64,
        profile: u32,
        req_capacity: u32,
        resp_capacity: u32,
        out: *mut nipc_win_shm_ctx_t,
    ) -> nipc_win_shm_error_t, or(NIPC_WIN_SHM_ERR_BAD_PARAM) {
        open(run_dir, service_name, out, ROLE_SERVER, |dir, service| {
            let place = Place { dir, service, session_id, profile, auth_token };
            Region::create(&place, req_capacity, resp_capacity)
        })
    }

    fn nipc_win_shm_client_attach(
        run_dir: *const c_char,
        service_name: *const c_char,
        auth_token: u64,
        session_id: u64,
        profile: u32,
        out: *mut nipc_win_shm_ctx_t,
    ) -> nipc_win_shm_error_t, or(NIPC_WIN_SHM_ERR_BAD_PARAM) {
        open(run_dir, service_name, out, ROLE_CLIENT, |dir, service| {
            Region::attach(&Place { dir, service, session_id, profile, auth_token })
        })
    }

    fn nipc_win_shm_send(ctx: *mut nipc_win_shm_ctx_t, msg: *const c_void, msg_len: usize)
        -> nipc_win_shm_error_t, or(NIPC_WIN_SHM_ERR_BAD_PARAM)
    {
        super::send(ctx, msg, msg_len)
    }

    fn nipc_win_shm_receive(
        ctx: *mut nipc_win_shm_ctx_t,
        buf: *mut c_void,
        buf_size: usize,
        msg_len_out: *mut usize,
        timeout_ms: u32,
    ) -> nipc_win_shm_error_t, or(NIPC_WIN_SHM_ERR_BAD_PARAM) {
        super::receive(ctx, buf, buf_size, msg_len_out, timeout_ms)
    }

    fn nipc_win_shm_cleanup_stale(run_dir: *const c_char, service_name: *const c_char) {
        if let Some((dir, service)) = endpoint(run_dir, service_name)
            && let Err(cause) = sweep(&dir, service)
        {
            note(format!("remove stale regions of {service}: {cause}"));
        }
    }

    fn nipc_win_shm_close(ctx: *mut nipc_win_shm_ctx_t) {
        if let Some(ctx) = ctx.as_mut() {
            ctx.close();
        }
    }

    fn nipc_win_shm_destroy(ctx: *mut nipc_win_shm_ctx_t) {
        // A region knows whether it is the server's.
        if let Some(ctx) = ctx.as_mut() {
            ctx.close();
        }
    }
}
