//! `netipc_shm.h`: messages through shared memory.

use std::{
    ffi::{c_char, c_void},
    os::{
        fd::{AsFd, AsRawFd, RawFd},
        unix::ffi::OsStrExt,
    },
    ptr,
    time::{Duration, Instant},
};

use netipc::{
    RegionError, RegionFault,
    raw::{Arrival, Place, Region, RegionPlan, sweep},
};

use crate::{
    border::{bytes, bytes_mut, endpoint, text},
    errors::{error_codes, note, note_error},
    service::region_of_client,
};

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

const NIPC_SHM_ROLE_SERVER: u32 = 1;
const NIPC_SHM_ROLE_CLIENT: u32 = 2;
const NIPC_SHM_DEFAULT_SPIN: u32 = 128;

#[repr(C)]
pub(crate) struct nipc_shm_ctx_t {
    role: u32,
    fd: RawFd,
    base: *mut c_void,
    region_size: usize,
    request_offset: u32,
    request_capacity: u32,
    response_offset: u32,
    response_capacity: u32,
    local_req_seq: u64,
    local_resp_seq: u64,
    spin_tries: u32,
    owner_generation: u32,
    path: [c_char; 256],
    /// A boxed [`Region`]; null when closed, and where the region is a client's.
    _region: *mut c_void,
    /// The `_client` of a client, which has the region in its session.
    _client: *mut c_void,
}

impl nipc_shm_ctx_t {
    const CLOSED: Self = nipc_shm_ctx_t {
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

    /// A struct that shows `region`.
    pub(crate) fn showing(region: &Region<'_>, role: u32, client: *mut c_void) -> Self {
        let RegionPlan { start, size, request, response } = region.plan();
        let mut ctx = nipc_shm_ctx_t {
            role,
            fd: region.as_fd().as_raw_fd(),
            base: start.as_ptr().cast(),
            region_size: size,
            request_offset: request.0,
            request_capacity: request.1,
            response_offset: response.0,
            response_capacity: response.1,
            spin_tries: NIPC_SHM_DEFAULT_SPIN,
            owner_generation: region.owner_generation(),
            // Paths too long for the array are refused when the region is made.
            path: text(region.path().as_os_str().as_bytes()).unwrap_or([0; 256]),
            _client: client,
            ..nipc_shm_ctx_t::CLOSED
        };
        ctx.show_sequences(region);
        ctx
    }

    /// The struct of a client's session.
    pub(crate) fn of_client(region: &Region<'_>, client: *mut c_void) -> Self {
        nipc_shm_ctx_t::showing(region, NIPC_SHM_ROLE_CLIENT, client)
    }

    pub(crate) fn show_sequences(&mut self, region: &Region<'_>) {
        let (incoming, outgoing) = region.sequences();
        (self.local_req_seq, self.local_resp_seq) = match self.role {
            NIPC_SHM_ROLE_SERVER => (incoming, outgoing),
            _ => (outgoing, incoming),
        };
    }

    /// Lets `used` use the region, then shows what became of it. `None` when closed; without its
    /// base, a region counts as closed.
    ///
    /// # Safety
    ///
    /// The struct was filled by this library, or is all zero.
    unsafe fn with<T>(&mut self, used: impl FnOnce(&mut Region<'_>) -> T) -> Option<T> {
        let &mut nipc_shm_ctx_t { spin_tries: spins, _region, _client, .. } = self;
        if self.base.is_null() {
            return None;
        }
        let run = |region: &mut Region<'_>| {
            region.set_spins(spins);
            let result = used(region);
            self.show_sequences(region);
            result
        };
        // SAFETY: null, or what `open` boxed.
        match unsafe { _region.cast::<Region<'static>>().as_mut() } {
            Some(region) => Some(run(region)),
            None => {
                // SAFETY: null, or the `_client` of a client whose struct this is.
                let mut region = unsafe { region_of_client(_client) }?;
                Some(run(&mut region))
            }
        }
    }

    /// Takes the region out of the struct, to be dropped.
    ///
    /// # Safety
    ///
    /// As of [`with`](Self::with).
    unsafe fn close(&mut self) {
        if !self._region.is_null() {
            // SAFETY: what `open` boxed, and nothing points to it any more.
            drop(unsafe { Box::from_raw(self._region.cast::<Region<'static>>()) });
            let path = self.path;
            *self = nipc_shm_ctx_t { path, ..nipc_shm_ctx_t::CLOSED };
        }
    }
}

/// Writes an open context, or a closed one, to `out`.
///
/// # Safety
///
/// `out` can be written.
unsafe fn open(
    made: Result<Region<'static>, RegionError>,
    role: u32,
    out: *mut nipc_shm_ctx_t,
) -> nipc_shm_error_t {
    let (ctx, code) = match made {
        Ok(region) => {
            let mut ctx = nipc_shm_ctx_t::showing(&region, role, ptr::null_mut());
            ctx._region = Box::into_raw(Box::new(region)).cast();
            (ctx, NIPC_SHM_OK)
        }
        Err(error) => (nipc_shm_ctx_t::CLOSED, region_code(&error)),
    };
    // SAFETY: as promised by the caller.
    unsafe { out.write(ctx) };
    code
}

fn region_code(error: &RegionError) -> nipc_shm_error_t {
    note(error.to_string());
    if let Some(number) = error.raw_os_error() {
        errno::set_errno(errno::Errno(number));
    }
    match error.fault() {
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

/// What a function needs was NULL, or of no use.
fn bad_param(why: &str) -> nipc_shm_error_t {
    note(why);
    NIPC_SHM_ERR_BAD_PARAM
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
        if out.is_null() {
            return bad_param("create a region without a place for it");
        }
        out.write(nipc_shm_ctx_t::CLOSED);
        let Some((dir, service)) = endpoint(run_dir, service_name) else {
            return bad_param("create a region without a directory or a name that can be one");
        };
        let made = Region::create(&Place::new(dir, service, session_id), req_capacity, resp_capacity);
        open(made, NIPC_SHM_ROLE_SERVER, out)
    }

    fn nipc_shm_client_attach(
        run_dir: *const c_char,
        service_name: *const c_char,
        session_id: u64,
        out: *mut nipc_shm_ctx_t,
    ) -> nipc_shm_error_t, or(NIPC_SHM_ERR_BAD_PARAM) {
        if out.is_null() {
            return bad_param("attach without a place for the region");
        }
        out.write(nipc_shm_ctx_t::CLOSED);
        let Some((dir, service)) = endpoint(run_dir, service_name) else {
            return bad_param("attach without a directory or a name that can be one");
        };
        open(Region::attach(&Place::new(dir, service, session_id)), NIPC_SHM_ROLE_CLIENT, out)
    }

    fn nipc_shm_send(ctx: *mut nipc_shm_ctx_t, msg: *const c_void, msg_len: usize)
        -> nipc_shm_error_t, or(NIPC_SHM_ERR_BAD_PARAM)
    {
        let (Some(ctx), Some(message)) = (ctx.as_mut(), bytes(msg, msg_len)) else {
            return bad_param("send without a region or a message");
        };
        if message.is_empty() {
            return bad_param("send a message of no bytes");
        }
        match ctx.with(|region| region.send(message)) {
            None => bad_param("send through a region that is closed"),
            Some(Ok(())) => NIPC_SHM_OK,
            Some(Err(error)) => {
                note_error(&error);
                NIPC_SHM_ERR_MSG_TOO_LARGE
            }
        }
    }

    fn nipc_shm_receive(
        ctx: *mut nipc_shm_ctx_t,
        buf: *mut c_void,
        buf_size: usize,
        msg_len_out: *mut usize,
        timeout_ms: u32,
    ) -> nipc_shm_error_t, or(NIPC_SHM_ERR_BAD_PARAM) {
        let (Some(ctx), Some(buf), false) =
            (ctx.as_mut(), bytes_mut(buf, buf_size), msg_len_out.is_null())
        else {
            return bad_param("receive without a region, a buffer or a place for the length");
        };
        if buf.is_empty() {
            return bad_param("receive into a buffer of no bytes");
        }
        let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()));
        let until = timeout.map(|timeout| Instant::now() + timeout);
        let (len, code) = match ctx.with(|region| region.receive(buf, until)) {
            None => return bad_param("receive from a region that is closed"),
            // No region of this system tells that the peer has left.
            Some(Arrival::TimedOut | Arrival::Closed) => {
                note(format!("receive from a region: nothing came in {timeout_ms} ms"));
                return NIPC_SHM_ERR_TIMEOUT;
            }
            Some(Arrival::Empty) => {
                note("receive from a region: the message is empty");
                return NIPC_SHM_ERR_BAD_HEADER;
            }
            Some(Arrival::Message(len)) => (len, NIPC_SHM_OK),
            Some(Arrival::TooLarge(len)) => {
                note(format!("receive from a region: a message of {len} bytes, too large"));
                (len, NIPC_SHM_ERR_MSG_TOO_LARGE)
            }
        };
        msg_len_out.write(len);
        code
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
            && let Err(cause) = sweep(dir, service)
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
