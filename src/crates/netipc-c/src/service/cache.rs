//! `service/cache.h`: the last snapshot, kept and indexed.

mod snapshot;

use std::{
    ffi::{CStr, CString, c_char, c_void},
    mem::MaybeUninit,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use netipc::{CgroupsTable, Snapshot};
use netipc_proto::{
    Malformed, Service, Text,
    kinds::{
        CgroupsSnapshot,
        cgroups_snapshot::{Cgroup, View},
    },
};

use snapshot::{nipc_cgroups_cache_item_view_t, nipc_cgroups_cache_snapshot_t};

use super::{
    client::{break_off, call_snapshot, note_last_error, refresh},
    ctx::{nipc_client_config_t, nipc_client_state_t},
    imp::nipc_client_ctx_t,
};
use crate::{
    border::{array, bytes, string},
    errors::{NIPC_OK, malformed, unwritable},
    os,
    protocol::nipc_cgroups_resp_view_t,
};

/// The same for C programs that look up without a guard, or own a copy.
#[repr(C)]
pub(crate) struct nipc_cgroups_cache_item_t {
    hash: u32,
    options: u32,
    enabled: u32,
    name: *mut c_char,
    path: *mut c_char,
}
const _: () =
    assert!(size_of::<nipc_cgroups_cache_item_t>() == size_of::<nipc_cgroups_cache_item_view_t>());

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct nipc_cgroups_cache_status_t {
    populated: bool,
    item_count: u32,
    systemd_enabled: u32,
    generation: u64,
    refresh_success_count: u32,
    refresh_failure_count: u32,
    connection_state: nipc_client_state_t,
    last_refresh_ts: u64,
}

#[repr(C)]
pub(crate) struct nipc_cgroups_cache_t {
    client: nipc_client_ctx_t,
    /// The snapshot last published. [`Behind`] owns it.
    snapshot: *const nipc_cgroups_cache_snapshot_t,
    refresh_success_count: u32,
    refresh_failure_count: u32,
    last_refresh_ts: u64,
    response_buf: *mut u8,
    response_buf_size: usize,
    cache_lock: *mut c_void,
    writer_lock: *mut c_void,
    cache_lock_initialized: bool,
    writer_lock_initialized: bool,
    item_count: u32,
    /// A boxed [`Behind`], null when closed.
    _cache: *mut c_void,
}

#[repr(C)]
pub(crate) struct nipc_cgroups_cache_read_guard_t {
    cache: *mut nipc_cgroups_cache_t,
    /// One share of the snapshot, null of an empty cache.
    snapshot: *const nipc_cgroups_cache_snapshot_t,
    locked: bool,
}

/// What `_cache` points to.
#[derive(Default)]
struct Behind {
    /// Held while a snapshot is fetched and the struct is written.
    writer: Mutex<Writer>,
    published: Mutex<Published>,
}

#[derive(Default)]
struct Writer {
    /// The snapshot before the present one, whose memory is for the next.
    last: Option<Arc<nipc_cgroups_cache_snapshot_t>>,
}

#[derive(Default)]
struct Published {
    snapshot: Option<Arc<nipc_cgroups_cache_snapshot_t>>,
    status: nipc_cgroups_cache_status_t,
}

impl Behind {
    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The snapshot of a reply, unless it is the present one.
    fn read(
        &self,
        writer: &mut Writer,
        reply: View<'_>,
    ) -> Result<Option<Arc<nipc_cgroups_cache_snapshot_t>>, Malformed> {
        let present = self.published().snapshot.clone();
        if present.is_some_and(|present| CgroupsSnapshot::is_same(&present.table, &reply)) {
            return Ok(None);
        }
        let mut spare = writer.last.take();
        match spare.as_mut().and_then(Arc::get_mut) {
            Some(snapshot) => snapshot.renew(reply)?,
            None => {
                let table = CgroupsSnapshot::table(reply)?;
                spare = Some(Arc::new(nipc_cgroups_cache_snapshot_t::new(table)));
            }
        }
        Ok(spare)
    }

    /// Puts a snapshot in place of the last one.
    ///
    /// # Safety
    ///
    /// `cache` is the open struct of this.
    unsafe fn publish(
        &self,
        writer: &mut Writer,
        cache: *mut nipc_cgroups_cache_t,
        snapshot: Arc<nipc_cgroups_cache_snapshot_t>,
    ) {
        let item_count = u32::try_from(snapshot.items.len()).unwrap_or(u32::MAX);
        let mut published = self.published();
        published.status.populated = true;
        published.status.item_count = item_count;
        published.status.systemd_enabled = snapshot.table.systemd_enabled();
        published.status.generation = snapshot.table.generation();
        // SAFETY: as promised by the caller.
        unsafe {
            (*cache).snapshot = Arc::as_ptr(&snapshot);
            (*cache).item_count = item_count;
        }
        let last = published.snapshot.replace(snapshot);
        drop(published);
        // Outside the lock: what it takes the place of may be large.
        writer.last = last;
    }
}

/// The cache behind a struct; `None` when closed.
///
/// # Safety
///
/// `cache` is null, or a struct that was initialised or is all zero, and is not closed for as long
/// as `'a`.
unsafe fn behind<'a>(cache: *const nipc_cgroups_cache_t) -> Option<&'a Behind> {
    if cache.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    unsafe { (*cache)._cache.cast::<Behind>().as_ref() }
}

/// Fetches the snapshot of a provider and publishes it. Whether it did; if not, a message says why.
///
/// # Safety
///
/// `cache` is the open struct of `behind`.
unsafe fn fetch(behind: &Behind, writer: &mut Writer, cache: *mut nipc_cgroups_cache_t) -> bool {
    let mut view = MaybeUninit::<nipc_cgroups_resp_view_t>::zeroed();
    // SAFETY: as promised by the caller, and only who has the writer uses the client; a view may be
    // zero.
    let (client, code, view) = unsafe {
        let client = &raw mut (*cache).client;
        refresh(client);
        (client, call_snapshot(client, view.as_mut_ptr(), 0), view.assume_init())
    };
    if code != NIPC_OK {
        // Without a session, why there is none tells more than that there is none.
        // SAFETY: as promised by the caller.
        unsafe { note_last_error(client) };
        return false;
    }
    // SAFETY: the view borrows the client's buffer until its next call.
    let Some(reply) = (unsafe { bytes(view._payload.cast(), view._payload_len) }) else {
        return false;
    };
    match CgroupsSnapshot::read_reply(reply).and_then(|reply| behind.read(writer, reply)) {
        Ok(snapshot) => {
            if let Some(snapshot) = snapshot {
                // SAFETY: as promised by the caller.
                unsafe { behind.publish(writer, cache, snapshot) };
            }
            true
        }
        Err(error) => {
            malformed(error);
            // SAFETY: as promised by the caller.
            unsafe { break_off(client) };
            false
        }
    }
}

/// A copy that C owns, and the strings it points to.
#[repr(C)]
struct Copied {
    item: nipc_cgroups_cache_item_t,
    name: CString,
    path: CString,
}

abi! {
    fn nipc_cgroups_cache_init(
        cache: *mut nipc_cgroups_cache_t,
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_client_config_t,
    ) {
        if !cache.is_null() {
            let config = config.as_ref().copied().unwrap_or_default();
            cache.write(nipc_cgroups_cache_t {
                client: nipc_client_ctx_t::new(run_dir, service_name, &config),
                snapshot: ptr::null(),
                refresh_success_count: 0,
                refresh_failure_count: 0,
                last_refresh_ts: 0,
                response_buf: ptr::null_mut(),
                response_buf_size: 0,
                cache_lock: ptr::null_mut(),
                writer_lock: ptr::null_mut(),
                cache_lock_initialized: false,
                writer_lock_initialized: false,
                item_count: 0,
                _cache: Box::into_raw(Box::<Behind>::default()).cast(),
            });
        }
    }

    fn nipc_cgroups_cache_refresh(cache: *mut nipc_cgroups_cache_t) -> bool, or(false) {
        let Some(behind) = behind(cache) else { return false };
        let mut writer = behind.writer();
        let succeeded = fetch(behind, &mut writer, cache);
        let mut published = behind.published();
        let status = &mut published.status;
        status.connection_state = (*cache).client.state;
        if succeeded {
            status.refresh_success_count = status.refresh_success_count.wrapping_add(1);
            status.last_refresh_ts = os::now_ms();
        } else {
            status.refresh_failure_count = status.refresh_failure_count.wrapping_add(1);
        }
        (*cache).refresh_success_count = status.refresh_success_count;
        (*cache).refresh_failure_count = status.refresh_failure_count;
        (*cache).last_refresh_ts = status.last_refresh_ts;
        succeeded
    }

    fn nipc_cgroups_cache_ready(cache: *mut nipc_cgroups_cache_t) -> bool, or(false) {
        behind(cache).is_some_and(|behind| behind.published().status.populated)
    }

    fn nipc_cgroups_cache_lookup(
        cache: *const nipc_cgroups_cache_t,
        hash: u32,
        name: *const c_char,
    ) -> *const nipc_cgroups_cache_item_t, or(ptr::null()) {
        let (Some(name), false) = (string(name), cache.is_null()) else { return ptr::null() };
        let item = (*cache).snapshot.as_ref().and_then(|snapshot| snapshot.get(hash, name));
        item.map_or(ptr::null(), |item| ptr::from_ref(item).cast())
    }

    fn nipc_cgroups_cache_read_lock(
        cache: *mut nipc_cgroups_cache_t,
        guard: *mut nipc_cgroups_cache_read_guard_t,
    ) -> bool, or(false) {
        if guard.is_null() {
            return false;
        }
        let open = behind(cache);
        let snapshot = open.and_then(|behind| behind.published().snapshot.clone());
        guard.write(nipc_cgroups_cache_read_guard_t {
            cache: if open.is_some() { cache } else { ptr::null_mut() },
            snapshot: snapshot.map_or(ptr::null(), Arc::into_raw),
            locked: open.is_some(),
        });
        open.is_some()
    }

    fn nipc_cgroups_cache_read_unlock(guard: *mut nipc_cgroups_cache_read_guard_t) {
        if let Some(guard) = guard.as_mut().filter(|guard| guard.locked) {
            if !guard.snapshot.is_null() {
                drop(Arc::from_raw(guard.snapshot));
            }
            guard.cache = ptr::null_mut();
            guard.snapshot = ptr::null();
            guard.locked = false;
        }
    }

    fn nipc_cgroups_cache_get(
        guard: *const nipc_cgroups_cache_read_guard_t,
        hash: u32,
        name: *const c_char,
    ) -> *const nipc_cgroups_cache_item_view_t, or(ptr::null()) {
        let guard = guard.as_ref().filter(|guard| guard.locked);
        let snapshot = guard.and_then(|guard| guard.snapshot.as_ref());
        let (Some(snapshot), Some(name)) = (snapshot, string(name)) else { return ptr::null() };
        snapshot.get(hash, name).map_or(ptr::null(), ptr::from_ref)
    }

    fn nipc_cgroups_cache_at(guard: *const nipc_cgroups_cache_read_guard_t, index: u32)
        -> *const nipc_cgroups_cache_item_view_t, or(ptr::null())
    {
        let guard = guard.as_ref().filter(|guard| guard.locked);
        let snapshot = guard.and_then(|guard| guard.snapshot.as_ref());
        let item = snapshot.and_then(|snapshot| snapshot.items.get(index as usize));
        item.map_or(ptr::null(), ptr::from_ref)
    }

    fn nipc_cgroups_cache_item_dup(
        guard: *const nipc_cgroups_cache_read_guard_t,
        item: *const nipc_cgroups_cache_item_view_t,
    ) -> *mut nipc_cgroups_cache_item_t, or(ptr::null_mut()) {
        let held = guard.as_ref().is_some_and(|guard| guard.locked);
        let Some(item) = item.as_ref().filter(|_| held) else { return ptr::null_mut() };
        if item.name.is_null() || item.path.is_null() {
            return ptr::null_mut();
        }
        let (name, path) =
            (CStr::from_ptr(item.name).to_owned(), CStr::from_ptr(item.path).to_owned());
        let copy = nipc_cgroups_cache_item_t {
            hash: item.hash,
            options: item.options,
            enabled: item.enabled,
            name: name.as_ptr().cast_mut(),
            path: path.as_ptr().cast_mut(),
        };
        Box::into_raw(Box::new(Copied { item: copy, name, path })).cast()
    }

    fn nipc_cgroups_cache_item_free(item: *mut nipc_cgroups_cache_item_t) {
        if !item.is_null() {
            let Copied { name, path, .. } = *Box::from_raw(item.cast::<Copied>());
            drop((name, path));
        }
    }

    fn nipc_cgroups_cache_status(
        cache: *mut nipc_cgroups_cache_t,
        out: *mut nipc_cgroups_cache_status_t,
    ) {
        if !out.is_null() {
            out.write(behind(cache).map_or_else(Default::default, |b| b.published().status));
        }
    }

    fn nipc_cgroups_cache_set_call_timeout(cache: *mut nipc_cgroups_cache_t, timeout_ms: u32) {
        if let Some(behind) = behind(cache) {
            // A refresh under way keeps the time it has.
            let _writer = behind.writer();
            nipc_client_ctx_t::set_call_timeout(&raw mut (*cache).client, timeout_ms);
        }
    }

    fn nipc_cgroups_cache_abort(cache: *mut nipc_cgroups_cache_t) {
        if !cache.is_null() {
            super::client::nipc_client_abort(&raw mut (*cache).client);
        }
    }

    fn nipc_cgroups_cache_clear_abort(cache: *mut nipc_cgroups_cache_t) {
        if !cache.is_null() {
            super::client::nipc_client_clear_abort(&raw mut (*cache).client);
        }
    }

    fn nipc_cgroups_cache_close(cache: *mut nipc_cgroups_cache_t) {
        if let Some(cache) = cache.as_mut() {
            cache.client.close();
            cache.snapshot = ptr::null();
            cache.item_count = 0;
            if !cache._cache.is_null() {
                drop(Box::from_raw(cache._cache.cast::<Behind>()));
                cache._cache = ptr::null_mut();
            }
        }
    }

    fn nipc_cgroups_cache_seed_for_tests(
        cache: *mut nipc_cgroups_cache_t,
        items: *const nipc_cgroups_cache_item_t,
        count: u32,
        systemd_enabled: u32,
        generation: u64,
    ) -> bool, or(false) {
        let (Some(behind), Some(items)) = (behind(cache), array(items, count as usize)) else {
            return false;
        };
        let cgroup = |item: &nipc_cgroups_cache_item_t| {
            let text = |text| Text::new(string(text).unwrap_or_default());
            Cgroup {
                hash: item.hash,
                options: item.options,
                enabled: item.enabled,
                name: text(item.name),
                path: text(item.path),
            }
        };
        let cgroups: Vec<_> = items.iter().map(cgroup).collect();
        match CgroupsTable::new(systemd_enabled, generation, &cgroups) {
            Ok(table) => {
                let snapshot = Arc::new(nipc_cgroups_cache_snapshot_t::new(table));
                behind.publish(&mut behind.writer(), cache, snapshot);
                true
            }
            Err(error) => {
                unwritable(error);
                false
            }
        }
    }
}
