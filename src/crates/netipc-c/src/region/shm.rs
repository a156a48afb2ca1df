//! `netipc_shm.h`: a region is a file.

use std::{
    ffi::{c_char, c_void},
    os::fd::{AsFd, AsRawFd, RawFd},
    ptr,
};

use netipc::{
    RegionFault,
    raw::{Place, Region, sweep},
};

pub(super) use self::{
    NIPC_SHM_ERR_BAD_HEADER as ERR_BAD_HEADER, NIPC_SHM_ERR_BAD_PARAM as ERR_BAD_PARAM,
    NIPC_SHM_ERR_MSG_TOO_LARGE as ERR_MSG_TOO_LARGE, NIPC_SHM_ERR_TIMEOUT as ERR_CLOSED,
    NIPC_SHM_ERR_TIMEOUT as ERR_TIMEOUT, NIPC_SHM_OK as OK, nipc_shm_error_t as Code,
};
use super::{ROLE_CLIENT, ROLE_SERVER, open};
use crate::{
    border::{endpoint, text},
    errors::{error_codes, note},
};
pub(crate) use nipc_shm_ctx_t as Context;

pub(crate) type nipc_shm_error_t = u32;

error_codes! { nipc_shm_error_t, nipc_shm_error_name:
    NIPC_SHM_OK = 0 c"OK",
    NIPC_SHM_ERR_PATH_TOO_LONG = 1 c"PATH_TOO_LONG",
    NIPC_SHM_ERR_OPEN = 2 c"OPEN",
    NIPC_SHM_ERR_TRUNCATE = 3 c"TRUNCATE",
    NIPC_SHM_ERR_MMAP = 4 c"MMAP",
    NIPC_SHM_ERR_BAD_MAGIC = 5 c"BAD_MAGIC",
    NIPC_SHM_ERR_BAD_VERSION = 6 c"BAD_VERSION",
    NIPC_SHM_ERR_BAD_HEADER = 7 c"BAD_HEADER",
    NIPC_SHM_ERR_BAD_SIZE = 8 c"BAD_SIZE",
    NIPC_SHM_ERR_ADDR_IN_USE = 9 c"ADDR_IN_USE",
    NIPC_SHM_ERR_NOT_READY = 10 c"NOT_READY",
    NIPC_SHM_ERR_MSG_TOO_LARGE = 11 c"MSG_TOO_LARGE",
    NIPC_SHM_ERR_TIMEOUT = 12 c"TIMEOUT",
    NIPC_SHM_ERR_BAD_PARAM = 13 c"BAD_PARAM",
    NIPC_SHM_ERR_PEER_DEAD = 14 c"PEER_DEAD",
    NIPC_SHM_ERR_ALLOCATE = 15 c"ALLOCATE",
}

const NIPC_SHM_DEFAULT_SPIN: u32 = 128;

#[repr(C)]
pub(crate) struct nipc_shm_ctx_t {
    pub(super) role: u32,
    pub(super) fd: RawFd,
    pub(super) base: *mut c_void,
    pub(super) region_size: usize,
    pub(super) request_offset: u32,
    pub(super) request_capacity: u32,
    pub(super) response_offset: u32,
    pub(super) response_capacity: u32,
    pub(super) local_req_seq: u64,
    pub(super) local_resp_seq: u64,
    pub(super) spin_tries: u32,
    pub(super) owner_generation: u32,
    pub(super) path: [c_char; 256],
    /// A boxed [`Region`]; null when closed, and where the region is a client's.
    pub(super) _region: *mut c_void,
    /// The `_client` of a client, which has the region in its session.
    pub(super) _client: *mut c_void,
}

impl nipc_shm_ctx_t {
    pub(super) const CLOSED: Self = nipc_shm_ctx_t {
        role: 0,
        fd: -1,
        base: ptr::null_mut(),
        region_size: 0,
        request_offset: 0,
        request_capacity: 0,
        response_offset: 0,
        response_capacity: 0,
        local_req_seq: 0,
        local_resp_seq: 0,
        spin_tries: 0,
        owner_generation: 0,
        path: [0; 256],
        _region: ptr::null_mut(),
        _client: ptr::null_mut(),
    };

    /// What of `region` only this system has.
    pub(super) fn of(region: &Region<'_>) -> Self {
        nipc_shm_ctx_t {
            fd: region.as_fd().as_raw_fd(),
            owner_generation: region.owner_generation(),
            // Paths too long for the array are refused when the region is made.
            path: text(region.path().as_os_str().as_encoded_bytes()).unwrap_or([0; 256]),
            spin_tries: NIPC_SHM_DEFAULT_SPIN,
            ..nipc_shm_ctx_t::CLOSED
        }
    }

    /// What a struct that was closed still shows.
    pub(super) fn remains(&self) -> Self {
        nipc_shm_ctx_t { path: self.path, ..nipc_shm_ctx_t::CLOSED }
    }
}

pub(super) fn fault_code(fault: RegionFault) -> Code {
    match fault {
        RegionFault::PathTooLong => NIPC_SHM_ERR_PATH_TOO_LONG,
        RegionFault::Open => NIPC_SHM_ERR_OPEN,
        RegionFault::Allocate => NIPC_SHM_ERR_ALLOCATE,
        RegionFault::Map => NIPC_SHM_ERR_MMAP,
        RegionFault::NotReady => NIPC_SHM_ERR_NOT_READY,
        RegionFault::BadMagic => NIPC_SHM_ERR_BAD_MAGIC,
        RegionFault::BadVersion => NIPC_SHM_ERR_BAD_VERSION,
        RegionFault::BadHeader => NIPC_SHM_ERR_BAD_HEADER,
        RegionFault::BadSize => NIPC_SHM_ERR_BAD_SIZE,
        RegionFault::InUse => NIPC_SHM_ERR_ADDR_IN_USE,
        _ => NIPC_SHM_ERR_BAD_PARAM,
    }
}

abi! {
    fn nipc_shm_server_create(
        run_dir: *const c_char,
        service_name: *const c_char,
        session_id: u64,
        req_capacity: u32,
        resp_capacity: u32,
        out: *mut nipc_shm_ctx_t,
    ) -> nipc_shm_error_t, or(NIPC_SHM_ERR_BAD_PARAM) {
        open(run_dir, service_name, out, ROLE_SERVER, |dir, service| {
            Region::create(&Place::new(dir, service, session_id), req_capacity, resp_capacity)
        })
    }

    fn nipc_shm_client_attach(
        run_dir: *const c_char,
        service_name: *const c_char,
        session_id: u64,
        out: *mut nipc_shm_ctx_t,
    ) -> nipc_shm_error_t, or(NIPC_SHM_ERR_BAD_PARAM) {
        open(run_dir, service_name, out, ROLE_CLIENT, |dir, service| {
            Region::attach(&Place::new(dir, service, session_id))
        })
    }

    fn nipc_shm_send(ctx: *mut nipc_shm_ctx_t, msg: *const c_void, msg_len: usize)
        -> nipc_shm_error_t, or(NIPC_SHM_ERR_BAD_PARAM)
    {
        super::send(ctx, msg, msg_len)
    }

    fn nipc_shm_receive(
        ctx: *mut nipc_shm_ctx_t,
        buf: *mut c_void,
        buf_size: usize,
        msg_len_out: *mut usize,
        timeout_ms: u32,
    ) -> nipc_shm_error_t, or(NIPC_SHM_ERR_BAD_PARAM) {
        super::receive(ctx, buf, buf_size, msg_len_out, timeout_ms)
    }

    fn nipc_shm_owner_alive(ctx: *const nipc_shm_ctx_t) -> bool, or(false) {
        // Looks only, although what looks is shared with what does more.
        let Some(ctx) = ctx.cast_mut().as_mut() else { return false };
        let generation = ctx.owner_generation;
        let alive = |region: &mut Region<'_>| {
            region.owner_alive() && region.owner_generation() == generation
        };
        ctx.with(alive).unwrap_or(false)
    }

    fn nipc_shm_cleanup_stale(run_dir: *const c_char, service_name: *const c_char) {
        if let Some((dir, service)) = endpoint(run_dir, service_name)
            && let Err(cause) = sweep(&dir, service)
        {
            note(format!("remove stale regions of {service}: {cause}"));
        }
    }

    fn nipc_shm_fd(ctx: *const nipc_shm_ctx_t) -> RawFd, or(-1) {
        ctx.as_ref().map_or(-1, |ctx| ctx.fd)
    }

    fn nipc_shm_close(ctx: *mut nipc_shm_ctx_t) {
        if let Some(ctx) = ctx.as_mut() {
            ctx.close();
        }
    }

    fn nipc_shm_destroy(ctx: *mut nipc_shm_ctx_t) {
        // A region knows whether it is the server's, whose file goes with it.
        if let Some(ctx) = ctx.as_mut() {
            ctx.close();
        }
    }
}
