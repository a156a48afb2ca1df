//! `protocol/apps_lookup.h`: PIDs to processes.

use std::ffi::{c_char, c_void};

use netipc_proto::{
    Labels, Lookup, LookupReplyHeader, Reader, Service, Shortfall, Text,
    kinds::{
        AppsLookup, Orchestrator, ProcessCodes,
        apps_lookup::{Cgroup, ProcessCgroupStatus, ProcessItem, ProcessStatus, UID_UNSET},
    },
};

use super::{
    lookup::{
        self, ReplyView, RequestView, are_strings, nipc_lookup_label_view_t, nipc_str_view_t,
    },
    lookup_builder::{self, Builder, Exchange, LookupHandler},
    snapshot::estimate,
};
use crate::{
    border::{array, bytes, bytes_mut},
    errors::{NO_ARGUMENT, malformed, nipc_error_t},
};

pub(crate) type nipc_apps_lookup_req_view_t = RequestView;
pub(crate) type nipc_apps_lookup_resp_view_t = ReplyView;
pub(crate) type nipc_apps_lookup_builder_t = Builder;

pub(crate) type nipc_apps_lookup_handler_fn = LookupHandler;

#[repr(C)]
pub(crate) struct nipc_apps_lookup_req_item_t {
    pid: u32,
}

#[repr(C)]
pub(crate) struct nipc_apps_lookup_item_view_t {
    status: u16,
    orchestrator: u16,
    cgroup_status: u16,
    pid: u32,
    ppid: u32,
    uid: u32,
    starttime: u64,
    comm: nipc_str_view_t,
    cgroup_path: nipc_str_view_t,
    cgroup_name: nipc_str_view_t,
    label_count: u16,
    _item: *const u8,
    _item_len: u32,
    _label_table_offset: u32,
}

/// The shortest item: three empty strings.
const SHORTEST: usize = (ProcessItem::LEN + 3).next_multiple_of(8);

fn view(item: &[u8]) -> Result<nipc_apps_lookup_item_view_t, nipc_error_t> {
    let read = AppsLookup::read(Reader::new(item)).map_err(malformed)?;
    // Every item ends in a NUL, which ends an empty string as well.
    let empty = Text::new(&item[item.len() - 1..][..0]);
    let (status, process) = match read.value {
        Ok(Some(process)) => (ProcessStatus::Known, Some(process)),
        Ok(None) => (ProcessStatus::Unknown, None),
        Err(Shortfall::PayloadExceeded) => (ProcessStatus::PayloadExceeded, None),
        Err(Shortfall::Oversized) => (ProcessStatus::Oversized, None),
    };
    let nothing = (Orchestrator::UNKNOWN, empty, Labels::NONE);
    let (cgroup_status, path, (orchestrator, name, labels)) =
        match process.map(|process| process.cgroup) {
            None => (ProcessCgroupStatus::Known, empty, nothing),
            Some(Cgroup::Known { orchestrator, path, name, labels }) => {
                (ProcessCgroupStatus::Known, path, (orchestrator, name, labels))
            }
            Some(Cgroup::RetryLater { path }) => (ProcessCgroupStatus::RetryLater, path, nothing),
            Some(Cgroup::Unknown { path }) => (ProcessCgroupStatus::Unknown, path, nothing),
            Some(Cgroup::HostRoot) => (ProcessCgroupStatus::HostRoot, empty, nothing),
        };
    Ok(nipc_apps_lookup_item_view_t {
        status: status.code(),
        orchestrator: orchestrator.0,
        cgroup_status: cgroup_status.code(),
        pid: read.key,
        ppid: process.map_or(0, |process| process.ppid),
        uid: process.and_then(|process| process.uid).unwrap_or(UID_UNSET),
        starttime: process.map_or(0, |process| process.starttime),
        comm: process.map_or(empty, |process| process.comm).into(),
        cgroup_path: path.into(),
        cgroup_name: name.into(),
        label_count: labels.len() as u16,
        _item: item.as_ptr(),
        _item_len: item.len() as u32,
        _label_table_offset: lookup::label_table(item, labels),
    })
}

abi! {
    fn nipc_apps_lookup_req_encode(
        pids: *const u32,
        count: u32,
        buf: *mut c_void,
        buf_len: usize,
    ) -> usize, or(0) {
        let (Some(pids), Some(out)) = (array(pids, count as usize), bytes_mut(buf, buf_len)) else {
            return 0;
        };
        <AppsLookup as Service>::write_request(pids, out).unwrap_or(0)
    }

    fn nipc_apps_lookup_req_decode(
        buf: *const c_void,
        buf_len: usize,
        out: *mut nipc_apps_lookup_req_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        lookup::decode_request::<AppsLookup>(buf, buf_len, out)
    }

    fn nipc_apps_lookup_req_item(
        view: *const nipc_apps_lookup_req_view_t,
        index: u32,
        out: *mut nipc_apps_lookup_req_item_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        lookup::show_key::<AppsLookup, _>(view, index, out, |pid| nipc_apps_lookup_req_item_t { pid })
    }

    fn nipc_apps_lookup_resp_decode(
        buf: *const c_void,
        len: usize,
        out: *mut nipc_apps_lookup_resp_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        lookup::decode_reply::<AppsLookup>(buf, len, out)
    }

    fn nipc_apps_lookup_resp_raw_item(
        view: *const nipc_apps_lookup_resp_view_t,
        index: u32,
        item: *mut *const u8,
        item_len: *mut u32,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        lookup::show_raw_item::<AppsLookup>(view, index, item, item_len)
    }

    fn nipc_apps_lookup_resp_item(
        view: *const nipc_apps_lookup_resp_view_t,
        index: u32,
        out: *mut nipc_apps_lookup_item_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        lookup::show_item::<AppsLookup, _>(view, index, out, self::view)
    }

    fn nipc_apps_lookup_item_label(
        item: *const nipc_apps_lookup_item_view_t,
        index: u32,
        out: *mut nipc_lookup_label_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let Some(item) = item.as_ref() else { return NO_ARGUMENT };
        let (table, count) = (item._label_table_offset, item.label_count);
        lookup::label(item._item, item._item_len, table, count, index, out)
    }

    fn nipc_apps_lookup_raw_resp_encode(
        items: *const *const u8,
        item_lens: *const u32,
        count: u32,
        generation: u64,
        buf: *mut c_void,
        buf_len: usize,
        len_out: *mut usize,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let items = (items, item_lens, count);
        lookup::encode_raw::<AppsLookup>(items, generation, buf, buf_len, len_out)
    }

    fn nipc_apps_lookup_builder_init(
        builder: *mut nipc_apps_lookup_builder_t,
        buf: *mut c_void,
        buf_len: usize,
        max_items: u32,
        generation: u64,
    ) {
        Builder::init(builder, buf, buf_len, max_items, generation);
    }

    fn nipc_apps_lookup_builder_set_generation(
        builder: *mut nipc_apps_lookup_builder_t,
        generation: u64,
    ) {
        if let Some(builder) = builder.as_mut() {
            builder.set_generation(generation);
        }
    }

    fn nipc_apps_lookup_builder_set_payload_exceeded_item_lens(
        builder: *mut nipc_apps_lookup_builder_t,
        lens: *const u32,
        count: u32,
    ) {
        if let Some(builder) = builder.as_mut() {
            builder.set_lens(lens, count);
        }
    }

    fn nipc_apps_lookup_builder_estimate_max_items(buf_len: usize) -> u32, or(0) {
        estimate(buf_len, LookupReplyHeader::LEN, SHORTEST)
    }

    fn nipc_apps_lookup_builder_add(
        builder: *mut nipc_apps_lookup_builder_t,
        status: u16,
        cgroup_status: u16,
        orchestrator: u16,
        pid: u32,
        ppid: u32,
        uid: u32,
        starttime: u64,
        comm: *const c_char,
        comm_len: u32,
        cgroup_path: *const c_char,
        cgroup_path_len: u32,
        cgroup_name: *const c_char,
        cgroup_name_len: u32,
        labels: *const nipc_lookup_label_view_t,
        label_count: u16,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let Some(builder) = builder.as_mut() else { return NO_ARGUMENT };
        let comm = bytes(comm.cast(), comm_len as usize);
        let path = bytes(cgroup_path.cast(), cgroup_path_len as usize);
        let name = bytes(cgroup_name.cast(), cgroup_name_len as usize);
        let labels = lookup::labels(labels, label_count);
        builder.answer::<AppsLookup>(Some(pid), || {
            let (comm, cgroup_path, cgroup_name) = (comm?, path?, name?);
            let labels = Labels::new(labels.as_ref()?);
            let codes = ProcessCodes {
                status, cgroup_status, orchestrator, ppid, uid, starttime,
                comm, cgroup_path, cgroup_name, labels,
            };
            // Before there is any question of room.
            are_strings(&[comm, cgroup_path, cgroup_name]).then(|| codes.process())?
        })
    }

    fn nipc_apps_lookup_builder_finish(builder: *mut nipc_apps_lookup_builder_t) -> usize, or(0) {
        builder.as_ref().map_or(0, |builder| builder.finish())
    }

    fn nipc_dispatch_apps_lookup(
        req: *const u8,
        req_len: usize,
        resp: *mut u8,
        resp_size: usize,
        resp_len: *mut usize,
        handler: nipc_apps_lookup_handler_fn,
        user: *mut c_void,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let (request, reply) = ((req, req_len), (resp, resp_size));
        let exchange = Exchange { request, reply, reply_len: resp_len };
        let bare = |_| ProcessItem::LEN + 3;
        lookup_builder::dispatch::<AppsLookup>(exchange, bare, handler, user)
    }
}
