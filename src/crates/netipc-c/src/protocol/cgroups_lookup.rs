//! `protocol/cgroups_lookup.h`: cgroup paths to names and labels.

use std::ffi::{c_char, c_void};

use netipc_proto::{
    Labels, Lookup, LookupReplyHeader, Reader, Service, Shortfall, Text,
    kinds::{
        CgroupsLookup, Orchestrator,
        cgroups_lookup::{Cgroup, CgroupItem, CgroupStatus},
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
    errors::{NO_ARGUMENT, malformed, nipc_error_t, note},
};

pub(crate) type nipc_cgroups_lookup_req_view_t = RequestView;
pub(crate) type nipc_cgroups_lookup_resp_view_t = ReplyView;
pub(crate) type nipc_cgroups_lookup_builder_t = Builder;

pub(crate) type nipc_cgroups_lookup_handler_fn = LookupHandler;

#[repr(C)]
pub(crate) struct nipc_cgroups_lookup_req_item_t {
    path: nipc_str_view_t,
}

#[repr(C)]
pub(crate) struct nipc_cgroups_lookup_item_view_t {
    status: u16,
    orchestrator: u16,
    path: nipc_str_view_t,
    name: nipc_str_view_t,
    label_count: u16,
    _item: *const u8,
    _item_len: u32,
    _label_table_offset: u32,
}

/// The shortest item: a path of one byte and an empty name.
const SHORTEST: usize = (CgroupItem::LEN + 3).next_multiple_of(8);

/// The paths of a request.
///
/// # Safety
///
/// The array is null or has `count` elements, and its strings can be read for as long as `'a`.
pub(crate) unsafe fn paths<'a>(paths: *const nipc_str_view_t, count: u32) -> Option<Vec<&'a [u8]>> {
    // SAFETY: as promised by the caller.
    let paths = unsafe { array(paths, count as usize) }?;
    // SAFETY: as promised by the caller.
    paths.iter().map(|path| unsafe { path.bytes() }).collect()
}

fn view(item: &[u8]) -> Result<nipc_cgroups_lookup_item_view_t, nipc_error_t> {
    let read = CgroupsLookup::read(Reader::new(item)).map_err(malformed)?;
    let nothing = (Orchestrator::UNKNOWN, Text::default(), Labels::NONE);
    let (status, (orchestrator, name, labels)) = match read.value {
        Ok(Cgroup::Known { orchestrator, name, labels }) => {
            (CgroupStatus::Known, (orchestrator, name, labels))
        }
        Ok(Cgroup::RetryLater) => (CgroupStatus::RetryLater, nothing),
        Ok(Cgroup::Unknown) => (CgroupStatus::Unknown, nothing),
        Err(Shortfall::PayloadExceeded) => (CgroupStatus::PayloadExceeded, nothing),
        Err(Shortfall::Oversized) => (CgroupStatus::Oversized, nothing),
    };
    let path = Text::new(read.key);
    // The empty name of such an item has its NUL right behind that of the path or before it; any
    // NUL will do.
    let name = if name.is_empty() { Text::new(&item[item.len() - 1..][..0]) } else { name };
    Ok(nipc_cgroups_lookup_item_view_t {
        status: status.code(),
        orchestrator: orchestrator.0,
        path: path.into(),
        name: name.into(),
        label_count: labels.len() as u16,
        _item: item.as_ptr(),
        _item_len: item.len() as u32,
        _label_table_offset: lookup::label_table(item, labels),
    })
}

abi! {
    fn nipc_cgroups_lookup_req_encode(
        paths: *const nipc_str_view_t,
        count: u32,
        buf: *mut c_void,
        buf_len: usize,
    ) -> usize, or(0) {
        let (Some(paths), Some(out)) = (self::paths(paths, count), bytes_mut(buf, buf_len)) else {
            return 0;
        };
        <CgroupsLookup as Service>::write_request(&paths, out).unwrap_or(0)
    }

    fn nipc_cgroups_lookup_req_decode(
        buf: *const c_void,
        buf_len: usize,
        out: *mut nipc_cgroups_lookup_req_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        lookup::decode_request::<CgroupsLookup>(buf, buf_len, out)
    }

    fn nipc_cgroups_lookup_req_item(
        view: *const nipc_cgroups_lookup_req_view_t,
        index: u32,
        out: *mut nipc_cgroups_lookup_req_item_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        lookup::show_key::<CgroupsLookup, _>(view, index, out, |path| {
            nipc_cgroups_lookup_req_item_t { path: Text::new(path).into() }
        })
    }

    fn nipc_cgroups_lookup_resp_decode(
        buf: *const c_void,
        len: usize,
        out: *mut nipc_cgroups_lookup_resp_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        lookup::decode_reply::<CgroupsLookup>(buf, len, out)
    }

    fn nipc_cgroups_lookup_resp_raw_item(
        view: *const nipc_cgroups_lookup_resp_view_t,
        index: u32,
        item: *mut *const u8,
        item_len: *mut u32,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        lookup::show_raw_item::<CgroupsLookup>(view, index, item, item_len)
    }

    fn nipc_cgroups_lookup_resp_item(
        view: *const nipc_cgroups_lookup_resp_view_t,
        index: u32,
        out: *mut nipc_cgroups_lookup_item_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        lookup::show_item::<CgroupsLookup, _>(view, index, out, self::view)
    }

    fn nipc_cgroups_lookup_item_label(
        item: *const nipc_cgroups_lookup_item_view_t,
        index: u32,
        out: *mut nipc_lookup_label_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let Some(item) = item.as_ref() else { return NO_ARGUMENT };
        let (table, count) = (item._label_table_offset, item.label_count);
        lookup::label(item._item, item._item_len, table, count, index, out)
    }

    fn nipc_cgroups_lookup_raw_resp_encode(
        items: *const *const u8,
        item_lens: *const u32,
        count: u32,
        generation: u64,
        buf: *mut c_void,
        buf_len: usize,
        len_out: *mut usize,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let items = (items, item_lens, count);
        lookup::encode_raw::<CgroupsLookup>(items, generation, buf, buf_len, len_out)
    }

    fn nipc_cgroups_lookup_builder_init(
        builder: *mut nipc_cgroups_lookup_builder_t,
        buf: *mut c_void,
        buf_len: usize,
        max_items: u32,
        generation: u64,
    ) {
        Builder::init(builder, buf, buf_len, max_items, generation);
    }

    fn nipc_cgroups_lookup_builder_set_generation(
        builder: *mut nipc_cgroups_lookup_builder_t,
        generation: u64,
    ) {
        if let Some(builder) = builder.as_mut() {
            builder.set_generation(generation);
        }
    }

    fn nipc_cgroups_lookup_builder_set_payload_exceeded_item_lens(
        builder: *mut nipc_cgroups_lookup_builder_t,
        lens: *const u32,
        count: u32,
    ) {
        if let Some(builder) = builder.as_mut() {
            builder.set_lens(lens, count);
        }
    }

    fn nipc_cgroups_lookup_builder_estimate_max_items(buf_len: usize) -> u32, or(0) {
        estimate(buf_len, LookupReplyHeader::LEN, SHORTEST)
    }

    fn nipc_cgroups_lookup_builder_add(
        builder: *mut nipc_cgroups_lookup_builder_t,
        status: u16,
        orchestrator: u16,
        path: *const c_char,
        path_len: u32,
        name: *const c_char,
        name_len: u32,
        labels: *const nipc_lookup_label_view_t,
        label_count: u16,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let Some(builder) = builder.as_mut() else { return NO_ARGUMENT };
        let name = bytes(name.cast(), name_len as usize).filter(|name| are_strings(&[name]));
        let labels = lookup::labels(labels, label_count);
        let path = bytes(path.cast(), path_len as usize)
            .filter(|path| !path.is_empty() && are_strings(&[path]));
        builder.answer::<CgroupsLookup>(path, || {
            Cgroup::from_codes(status, orchestrator, name?, Labels::new(labels.as_ref()?))
        })
    }

    fn nipc_cgroups_lookup_builder_add_request_item(
        builder: *mut nipc_cgroups_lookup_builder_t,
        request: *const nipc_cgroups_lookup_req_view_t,
        index: u32,
        status: u16,
        orchestrator: u16,
        name: *const c_char,
        name_len: u32,
        labels: *const nipc_lookup_label_view_t,
        label_count: u16,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        match (lookup::request_key::<CgroupsLookup>(request, index), builder.as_mut()) {
            (_, None) => NO_ARGUMENT,
            (Ok(path), Some(_)) => nipc_cgroups_lookup_builder_add(
                builder,
                status,
                orchestrator,
                path.as_ptr().cast(),
                path.len() as u32,
                name,
                name_len,
                labels,
                label_count,
            ),
            (Err(error), Some(builder)) => {
                note("an answer to a key that was not asked");
                builder.error = error;
                error
            }
        }
    }

    fn nipc_cgroups_lookup_builder_finish(builder: *mut nipc_cgroups_lookup_builder_t)
        -> usize, or(0)
    {
        builder.as_ref().map_or(0, |builder| builder.finish())
    }

    fn nipc_dispatch_cgroups_lookup(
        req: *const u8,
        req_len: usize,
        resp: *mut u8,
        resp_size: usize,
        resp_len: *mut usize,
        handler: nipc_cgroups_lookup_handler_fn,
        user: *mut c_void,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let (request, reply) = ((req, req_len), (resp, resp_size));
        let exchange = Exchange { request, reply, reply_len: resp_len };
        let bare = |path: &[u8]| CgroupItem::LEN + path.len() + 2;
        lookup_builder::dispatch::<CgroupsLookup>(exchange, bare, handler, user)
    }
}
