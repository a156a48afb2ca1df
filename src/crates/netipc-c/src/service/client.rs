//! `service/client.h`: what asks a service.

use std::{ffi::c_char, sync::atomic::Ordering::Release, time::Duration};

use netipc::{ClientStatus, Error};

use super::{
    caller::{Behind, Caller, call_code},
    ctx::{NIPC_CLIENT_READY, nipc_client_config_t, nipc_client_status_t},
    imp::nipc_client_ctx_t,
    open::Open,
};
use crate::{
    border::array,
    errors::{NIPC_ERR_NOT_READY, NIPC_OK, NO_ARGUMENT, nipc_error_t, note, note_error},
    protocol::{
        nipc_apps_lookup_resp_view_t, nipc_cgroups_lookup_resp_view_t, nipc_cgroups_resp_view_t,
        nipc_str_view_t, paths,
    },
};

/// The reply to the last call: its bytes, which stay until the next one.
#[derive(Clone, Copy)]
struct Reply {
    bytes: *const u8,
    len: usize,
}

impl From<&[u8]> for Reply {
    fn from(bytes: &[u8]) -> Self {
        Reply { bytes: bytes.as_ptr(), len: bytes.len() }
    }
}

/// Makes a call and writes the view that `view` makes of its reply, or zeroes.
///
/// # Safety
///
/// As of [`Open::new`]; `out` is null or can be written.
unsafe fn call<V>(
    ctx: *mut nipc_client_ctx_t,
    out: *mut V,
    timeout_ms: u32,
    ask: impl FnOnce(&mut Caller, Duration) -> Result<(V, Reply), nipc_error_t>,
) -> nipc_error_t {
    if out.is_null() {
        note("call without a place for the view");
        return NO_ARGUMENT;
    }
    // SAFETY: all views are numbers and pointers; the rest as promised by the caller.
    unsafe { out.write_bytes(0, 1) };
    // SAFETY: as promised by the caller.
    let Some(mut open) = (unsafe { Open::new(ctx) }) else {
        note("call with a client that is closed");
        // SAFETY: as promised by the caller.
        return match unsafe { ctx.as_mut() } {
            Some(ctx) => {
                ctx.error_count = ctx.error_count.wrapping_add(1);
                NIPC_ERR_NOT_READY
            }
            None => NO_ARGUMENT,
        };
    };
    open.restore();
    let asked = ask(open.caller, Duration::from_millis(timeout_ms.into()));
    open.show();
    match asked {
        Ok((view, reply)) => {
            // SAFETY: as promised by the caller.
            unsafe {
                (*ctx).response_buf = reply.bytes.cast_mut();
                (*ctx).response_buf_size = reply.len;
                out.write(view);
            }
            NIPC_OK
        }
        Err(error) => error,
    }
}

/// Refreshes a client and says whether its state changed.
///
/// # Safety
///
/// As of [`Open::new`].
pub(super) unsafe fn refresh(ctx: *mut nipc_client_ctx_t) -> bool {
    // SAFETY: as promised by the caller; nobody aborts a client that is closed.
    if let Some(closed) = unsafe { ctx.as_mut() }.filter(|ctx| ctx.is_closed()) {
        closed.reopen();
    }
    // SAFETY: as promised by the caller.
    let Some(mut open) = (unsafe { Open::new(ctx) }) else { return false };
    // SAFETY: the struct is open, and its state is not touched by other threads.
    let before = unsafe { (*ctx).state };
    open.caller.refresh();
    if let Some(error) = open.caller.last_error() {
        note_error(error);
    }
    open.show();
    // SAFETY: as above.
    before != unsafe { (*ctx).state }
}

/// Leaves why the last refresh or call of a client failed for `nipc_last_error`.
///
/// # Safety
///
/// As of [`Open::new`].
pub(super) unsafe fn note_last_error(ctx: *mut nipc_client_ctx_t) {
    // SAFETY: as promised by the caller.
    if let Some(error) = unsafe { Open::new(ctx) }.as_ref().and_then(|o| o.caller.last_error()) {
        note_error(error);
    }
}

/// Ends the session of a client whose reply turned out to be unusable.
///
/// # Safety
///
/// As of [`Open::new`].
pub(super) unsafe fn break_off(ctx: *mut nipc_client_ctx_t) {
    // SAFETY: as promised by the caller.
    if let Some(mut open) = unsafe { Open::new(ctx) } {
        open.caller.break_off();
        open.show();
    }
}

/// Asks for a snapshot.
///
/// # Safety
///
/// As of [`call`].
pub(super) unsafe fn call_snapshot(
    ctx: *mut nipc_client_ctx_t,
    out: *mut nipc_cgroups_resp_view_t,
    timeout_ms: u32,
) -> nipc_error_t {
    let ask = |caller: &mut Caller, timeout| {
        let client = caller.snapshot();
        let view = client.call_within((), timeout).map_err(|error| call_code(&error))?;
        let (item_count, systemd_enabled) = (view.item_count, view.systemd_enabled);
        let generation = view.generation;
        let reply = Reply::from(client.reply());
        let view = nipc_cgroups_resp_view_t {
            layout_version: 1,
            flags: 0,
            item_count,
            systemd_enabled,
            generation,
            _payload: reply.bytes,
            _payload_len: reply.len,
        };
        Ok((view, reply))
    };
    // SAFETY: as promised by the caller.
    unsafe { call(ctx, out, timeout_ms, ask) }
}

/// The keys of a lookup. A client that cannot ask says so whatever it is asked.
fn keys<T>(caller: &mut Caller, keys: Option<T>) -> Result<T, nipc_error_t> {
    keys.ok_or_else(|| {
        note("look up keys in an array, or at a place, that is NULL");
        if caller.session().is_some() {
            return NO_ARGUMENT;
        }
        let counts = caller.status();
        let error_count = counts.error_count.wrapping_add(1);
        caller.count_on(ClientStatus { error_count, ..counts });
        NIPC_ERR_NOT_READY
    })
}

/// The lookup views of C are all alike.
fn lookup_view(generation: u64, item_count: u32, reply: Reply) -> nipc_cgroups_lookup_resp_view_t {
    nipc_cgroups_lookup_resp_view_t {
        layout_version: 1,
        flags: 0,
        item_count,
        generation,
        _payload: reply.bytes,
        _payload_len: reply.len,
    }
}

abi! {
    fn nipc_client_init(
        ctx: *mut nipc_client_ctx_t,
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_client_config_t,
    ) {
        if !ctx.is_null() {
            let config = config.as_ref().copied().unwrap_or_default();
            ctx.write(nipc_client_ctx_t::new(run_dir, service_name, &config));
        }
    }

    fn nipc_client_refresh(ctx: *mut nipc_client_ctx_t) -> bool, or(false) {
        refresh(ctx)
    }

    fn nipc_client_ready(ctx: *const nipc_client_ctx_t) -> bool, or(false) {
        !ctx.is_null() && (*ctx).state == NIPC_CLIENT_READY
    }

    fn nipc_client_status(ctx: *const nipc_client_ctx_t, out: *mut nipc_client_status_t) {
        if !out.is_null() {
            out.write(if ctx.is_null() { Default::default() } else { (*ctx).status() });
        }
    }

    fn nipc_client_set_call_timeout(ctx: *mut nipc_client_ctx_t, timeout_ms: u32) {
        if !ctx.is_null() {
            nipc_client_ctx_t::set_call_timeout(ctx, timeout_ms);
        }
    }

    fn nipc_client_abort(ctx: *mut nipc_client_ctx_t) {
        if !ctx.is_null() && let Some(behind) = (*ctx)._client.cast::<Behind>().as_ref() {
            (*ctx).abort_requested.store(1, Release);
            behind.abort.set();
        }
    }

    fn nipc_client_clear_abort(ctx: *mut nipc_client_ctx_t) {
        if !ctx.is_null() && let Some(behind) = (*ctx)._client.cast::<Behind>().as_ref() {
            behind.abort.clear();
            (*ctx).abort_requested.store(0, Release);
        }
    }

    fn nipc_client_close(ctx: *mut nipc_client_ctx_t) {
        if let Some(ctx) = ctx.as_mut() {
            ctx.close();
        }
    }

    fn nipc_client_call_cgroups_snapshot(
        ctx: *mut nipc_client_ctx_t,
        view: *mut nipc_cgroups_resp_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        call_snapshot(ctx, view, 0)
    }

    fn nipc_client_call_cgroups_snapshot_timeout(
        ctx: *mut nipc_client_ctx_t,
        view: *mut nipc_cgroups_resp_view_t,
        timeout_ms: u32,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        call_snapshot(ctx, view, timeout_ms)
    }

    fn nipc_client_call_cgroups_lookup(
        ctx: *mut nipc_client_ctx_t,
        paths: *const nipc_str_view_t,
        count: u32,
        view: *mut nipc_cgroups_lookup_resp_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        nipc_client_call_cgroups_lookup_timeout(ctx, paths, count, view, 0)
    }

    fn nipc_client_call_cgroups_lookup_timeout(
        ctx: *mut nipc_client_ctx_t,
        paths: *const nipc_str_view_t,
        count: u32,
        view: *mut nipc_cgroups_lookup_resp_view_t,
        timeout_ms: u32,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        call(ctx, view, timeout_ms, |caller, timeout| {
            let paths = keys(caller, self::paths(paths, count))?;
            let failed = |error: Error| call_code(&error);
            let client = caller.cgroups();
            let found = client.lookup_within(&paths, timeout).map_err(failed)?;
            let (generation, count) = (found.generation, found.item_count);
            let reply = Reply::from(client.reply());
            Ok((lookup_view(generation, count, reply), reply))
        })
    }

    fn nipc_client_call_apps_lookup(
        ctx: *mut nipc_client_ctx_t,
        pids: *const u32,
        count: u32,
        view: *mut nipc_apps_lookup_resp_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        nipc_client_call_apps_lookup_timeout(ctx, pids, count, view, 0)
    }

    fn nipc_client_call_apps_lookup_timeout(
        ctx: *mut nipc_client_ctx_t,
        pids: *const u32,
        count: u32,
        view: *mut nipc_apps_lookup_resp_view_t,
        timeout_ms: u32,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        call(ctx, view, timeout_ms, |caller, timeout| {
            let pids = keys(caller, array(pids, count as usize))?;
            let failed = |error: Error| call_code(&error);
            let client = caller.apps();
            let found = client.lookup_within(pids, timeout).map_err(failed)?;
            let (generation, count) = (found.generation, found.item_count);
            let reply = Reply::from(client.reply());
            Ok((lookup_view(generation, count, reply), reply))
        })
    }
}
