//! `protocol/snapshot.h`: all cgroups at once.

use std::ffi::{c_char, c_void};

use netipc_proto::{
    Items, ItemsWriter, Rule, Service, Text, Unwritable,
    kinds::{
        CgroupsSnapshot,
        cgroups_snapshot::{Cgroup, SnapshotItem, SnapshotReplyHeader, SnapshotRequest},
    },
};

use super::{
    image::{Image, image},
    lookup::nipc_str_view_t,
};
use crate::{
    border::{bytes, bytes_mut},
    errors::{
        NIPC_ERR_HANDLER_FAILED, NIPC_ERR_OUT_OF_BOUNDS, NIPC_ERR_TRUNCATED, NIPC_OK, NO_ARGUMENT,
        malformed, nipc_error_t, unwritable,
    },
};

image! {
    pub(crate) struct nipc_cgroups_req_t: SnapshotRequest::LAYOUT, {
        layout_version: u16,
        flags: u16,
    }
}

image! {
    pub(crate) struct nipc_cgroups_resp_header_t: SnapshotReplyHeader::LAYOUT, {
        layout_version: u16,
        flags: u16,
        item_count: u32,
        systemd_enabled: u32,
        reserved: u32,
        generation: u64,
    }
}

#[repr(C)]
pub(crate) struct nipc_cgroups_resp_view_t {
    pub(crate) layout_version: u16,
    pub(crate) flags: u16,
    pub(crate) item_count: u32,
    pub(crate) systemd_enabled: u32,
    pub(crate) generation: u64,
    pub(crate) _payload: *const u8,
    pub(crate) _payload_len: usize,
}

#[repr(C)]
pub(crate) struct nipc_cgroups_item_view_t {
    layout_version: u16,
    flags: u16,
    hash: u32,
    options: u32,
    enabled: u32,
    name: nipc_str_view_t,
    path: nipc_str_view_t,
}

#[repr(C)]
pub(crate) struct nipc_cgroups_builder_t {
    buf: *mut u8,
    buf_len: usize,
    systemd_enabled: u32,
    generation: u64,
    item_count: u32,
    max_items: u32,
    error: nipc_error_t,
    data_offset: usize,
}

pub(crate) type nipc_cgroups_handler_fn = Option<
    unsafe extern "C" fn(
        *mut c_void,
        *const nipc_cgroups_req_t,
        *mut nipc_cgroups_builder_t,
    ) -> bool,
>;

impl nipc_cgroups_builder_t {
    fn new(buf: *mut u8, buf_len: usize, max_items: u32) -> Self {
        let directory = (max_items as usize).saturating_mul(8);
        nipc_cgroups_builder_t {
            buf,
            buf_len,
            systemd_enabled: 0,
            generation: 0,
            item_count: 0,
            max_items,
            error: NIPC_OK,
            data_offset: directory.saturating_add(SnapshotReplyHeader::LEN),
        }
    }

    /// Goes on where the members say. The writer borrows the caller's buffer.
    ///
    /// # Safety
    ///
    /// `buf` is null or has `buf_len` bytes that nobody else uses for as long as `'a`.
    unsafe fn resume<'a>(&self) -> Result<ItemsWriter<'a>, Unwritable> {
        // SAFETY: as promised by the caller.
        let out = unsafe { bytes_mut(self.buf.cast(), self.buf_len) }.ok_or(Unwritable::Full)?;
        let (slots, count) = (self.max_items, self.item_count);
        ItemsWriter::resume(out, SnapshotReplyHeader::LEN, slots, count, self.data_offset)
    }

    /// # Safety
    ///
    /// As of [`resume`](Self::resume).
    unsafe fn push(&mut self, cgroup: &Cgroup<'_>) -> Result<(), Unwritable> {
        // SAFETY: as promised by the caller.
        let mut items = unsafe { self.resume() }?;
        items.push(|out| cgroup.write(out))?;
        (self.item_count, self.data_offset) = (items.count(), items.end());
        Ok(())
    }

    /// # Safety
    ///
    /// As of [`resume`](Self::resume).
    unsafe fn finish(&self) -> usize {
        // SAFETY: as promised by the caller.
        let Ok(items) = (unsafe { self.resume() }) else { return self.finish_empty() };
        let &Self { systemd_enabled, generation, .. } = self;
        let item_count = items.count();
        let (out, len) = items.finish();
        SnapshotReplyHeader { item_count, systemd_enabled, generation }.write(out);
        len
    }

    /// Without any item even a buffer too small for the directory holds a reply.
    fn finish_empty(&self) -> usize {
        // SAFETY: the buffer is the caller's, as in `resume`.
        let out = unsafe { bytes_mut(self.buf.cast(), self.buf_len) };
        match out.and_then(|out| out.get_mut(..SnapshotReplyHeader::LEN)) {
            Some(out) if self.item_count == 0 => {
                let &Self { systemd_enabled, generation, .. } = self;
                SnapshotReplyHeader { item_count: 0, systemd_enabled, generation }.write(out);
                SnapshotReplyHeader::LEN
            }
            _ => 0,
        }
    }
}

/// How many items of `shortest` bytes a reply holds behind a head of `head` bytes.
pub(super) fn estimate(buf_len: usize, head: usize, shortest: usize) -> u32 {
    let count = buf_len.saturating_sub(head) / (8 + shortest);
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The shortest item, as it is reckoned with: two strings of a few bytes.
const SHORTEST: usize = 40;

abi! {
    fn nipc_cgroups_req_encode(request: *const nipc_cgroups_req_t, buf: *mut c_void, buf_len: usize)
        -> usize, or(0)
    {
        request.as_ref().map_or(0, |request| request.encode(bytes_mut(buf, buf_len)))
    }

    fn nipc_cgroups_req_decode(buf: *const c_void, buf_len: usize, out: *mut nipc_cgroups_req_t)
        -> nipc_error_t, or(NO_ARGUMENT)
    {
        let (Some(wire), false) = (bytes(buf, buf_len), out.is_null()) else { return NO_ARGUMENT };
        match (SnapshotRequest::read(wire), nipc_cgroups_req_t::from_wire(wire)) {
            (Err(error), _) => malformed(error),
            (Ok(_), None) => NIPC_ERR_TRUNCATED,
            (Ok(_), Some(request)) => {
                out.write(request);
                NIPC_OK
            }
        }
    }

    fn nipc_cgroups_resp_decode(buf: *const c_void, len: usize, out: *mut nipc_cgroups_resp_view_t)
        -> nipc_error_t, or(NO_ARGUMENT)
    {
        let (Some(wire), false) = (bytes(buf, len), out.is_null()) else { return NO_ARGUMENT };
        match CgroupsSnapshot::read_reply(wire) {
            Ok(view) => {
                out.write(nipc_cgroups_resp_view_t {
                    layout_version: 1,
                    flags: 0,
                    item_count: view.item_count,
                    systemd_enabled: view.systemd_enabled,
                    generation: view.generation,
                    _payload: wire.as_ptr(),
                    _payload_len: wire.len(),
                });
                NIPC_OK
            }
            Err(error) => malformed(error),
        }
    }

    fn nipc_cgroups_resp_item(
        view: *const nipc_cgroups_resp_view_t,
        index: u32,
        out: *mut nipc_cgroups_item_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let Some(view) = view.as_ref().filter(|view| !view._payload.is_null()) else {
            return NO_ARGUMENT;
        };
        let (Some(wire), false) =
            (bytes(view._payload.cast(), view._payload_len), out.is_null())
        else {
            return NO_ARGUMENT;
        };
        if index >= view.item_count {
            return NIPC_ERR_OUT_OF_BOUNDS;
        }
        let Some(items) = wire.get(SnapshotReplyHeader::LEN..) else { return NIPC_ERR_TRUNCATED };
        let item = Items::one(items, view.item_count, index, &Rule::Free(SnapshotItem::LEN));
        match item.and_then(Cgroup::read) {
            Ok(cgroup) => {
                out.write(nipc_cgroups_item_view_t {
                    layout_version: 1,
                    flags: 0,
                    hash: cgroup.hash,
                    options: cgroup.options,
                    enabled: cgroup.enabled,
                    name: cgroup.name.into(),
                    path: cgroup.path.into(),
                });
                NIPC_OK
            }
            Err(error) => malformed(error),
        }
    }

    fn nipc_cgroups_builder_init(
        builder: *mut nipc_cgroups_builder_t,
        buf: *mut c_void,
        buf_len: usize,
        max_items: u32,
        systemd_enabled: u32,
        generation: u64,
    ) {
        if !builder.is_null() {
            let empty = nipc_cgroups_builder_t::new(buf.cast(), buf_len, max_items);
            builder.write(nipc_cgroups_builder_t { systemd_enabled, generation, ..empty });
        }
    }

    fn nipc_cgroups_builder_set_header(
        builder: *mut nipc_cgroups_builder_t,
        systemd_enabled: u32,
        generation: u64,
    ) {
        if let Some(builder) = builder.as_mut() {
            (builder.systemd_enabled, builder.generation) = (systemd_enabled, generation);
        }
    }

    fn nipc_cgroups_builder_estimate_max_items(buf_len: usize) -> u32, or(0) {
        estimate(buf_len, SnapshotReplyHeader::LEN, SHORTEST)
    }

    fn nipc_cgroups_builder_add(
        builder: *mut nipc_cgroups_builder_t,
        hash: u32,
        options: u32,
        enabled: u32,
        name: *const c_char,
        name_len: u32,
        path: *const c_char,
        path_len: u32,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let (name, path) =
            (bytes(name.cast(), name_len as usize), bytes(path.cast(), path_len as usize));
        let (Some(builder), Some(name), Some(path)) = (builder.as_mut(), name, path) else {
            return NO_ARGUMENT;
        };
        let (name, path) = (Text::new(name), Text::new(path));
        // A snapshot is whole or none: once something is missing, the rest does not matter.
        if builder.error == NIPC_OK {
            let pushed = builder.push(&Cgroup { hash, options, enabled, name, path });
            builder.error = pushed.map_or_else(unwritable, |()| NIPC_OK);
        }
        builder.error
    }

    fn nipc_cgroups_builder_finish(builder: *mut nipc_cgroups_builder_t) -> usize, or(0) {
        builder.as_ref().map_or(0, |builder| builder.finish())
    }

    fn nipc_dispatch_cgroups_snapshot(
        req: *const u8,
        req_len: usize,
        resp: *mut u8,
        resp_size: usize,
        resp_len: *mut usize,
        max_items: u32,
        handler: nipc_cgroups_handler_fn,
        user: *mut c_void,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let (Some(wire), Some(out)) = (bytes(req.cast(), req_len), bytes_mut(resp.cast(), resp_size))
        else {
            return NO_ARGUMENT;
        };
        let (Some(handler), false) = (handler, resp_len.is_null()) else { return NO_ARGUMENT };
        if let Err(error) = SnapshotRequest::read(wire) {
            return malformed(error);
        }
        if out.len() < SnapshotReplyHeader::LEN {
            return unwritable(Unwritable::Full);
        }
        let request = nipc_cgroups_req_t { layout_version: 1, flags: 0 };
        let mut builder = nipc_cgroups_builder_t::new(resp, resp_size, max_items);
        let answered = handler(user, &request, &mut builder);
        match (builder.error, answered) {
            (NIPC_OK, false) => NIPC_ERR_HANDLER_FAILED,
            (NIPC_OK, true) => {
                resp_len.write(builder.finish());
                NIPC_OK
            }
            (error, _) => error,
        }
    }
}
