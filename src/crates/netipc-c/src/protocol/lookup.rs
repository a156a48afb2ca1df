//! `protocol/lookup.h`, and what the twins of both lookups have in common.

use std::ffi::{c_char, c_void};

use netipc_proto::{
    Items, ItemsWriter, LabelEntry, Labels, Lookup, LookupReplyHeader, LookupRequestHeader, Reader,
    Rule, Service, Text, Unwritable,
};

use super::image::image;
use crate::{
    border::{array, bytes, bytes_mut},
    errors::{
        NIPC_ERR_BAD_LAYOUT, NIPC_ERR_MISSING_NUL, NIPC_ERR_OUT_OF_BOUNDS, NIPC_ERR_TRUNCATED,
        NIPC_OK, NO_ARGUMENT, code, malformed, nipc_error_t, unwritable,
    },
};

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct nipc_str_view_t {
    pub(crate) ptr: *const c_char,
    pub(crate) len: u32,
}

impl nipc_str_view_t {
    /// The bytes; `None` of a NULL with a length.
    ///
    /// # Safety
    ///
    /// `ptr` is null or has `len` bytes that can be read for as long as `'a`.
    pub(crate) unsafe fn bytes<'a>(self) -> Option<&'a [u8]> {
        // SAFETY: as promised by the caller.
        unsafe { bytes(self.ptr.cast(), self.len as usize) }
    }
}

impl From<Text<'_>> for nipc_str_view_t {
    /// A string out of a message is no longer than a u32 says.
    fn from(text: Text<'_>) -> Self {
        nipc_str_view_t { ptr: text.as_bytes().as_ptr().cast(), len: text.len() as u32 }
    }
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct nipc_lookup_label_view_t {
    key: nipc_str_view_t,
    value: nipc_str_view_t,
}

image! {
    pub(crate) struct nipc_lookup_dir_entry_t: netipc_proto::DirectoryEntry::LAYOUT, {
        offset: u32,
        length: u32,
    }
}

#[repr(C)]
pub(crate) struct nipc_lookup_label_entry_t {
    key_offset: u32,
    key_length: u32,
    value_offset: u32,
    value_length: u32,
}
const _: () = assert!(size_of::<nipc_lookup_label_entry_t>() == LabelEntry::LEN);

/// `nipc_cgroups_lookup_req_view_t` and `nipc_apps_lookup_req_view_t`.
#[repr(C)]
pub(crate) struct RequestView {
    _payload: *const u8,
    _payload_len: usize,
    item_count: u32,
}

/// `nipc_cgroups_lookup_resp_view_t` and `nipc_apps_lookup_resp_view_t`.
#[repr(C)]
pub(crate) struct ReplyView {
    pub(crate) layout_version: u16,
    pub(crate) flags: u16,
    pub(crate) item_count: u32,
    pub(crate) generation: u64,
    pub(crate) _payload: *const u8,
    pub(crate) _payload_len: usize,
}

/// Strings without a NUL inside.
pub(super) fn are_strings(texts: &[&[u8]]) -> bool {
    texts.iter().all(|text| !text.contains(&0))
}

/// The labels of an answer; `None` if the layout forbids them.
///
/// # Safety
///
/// The array and its strings are null or can be read for as long as `'a`.
pub(super) unsafe fn labels<'a>(
    labels: *const nipc_lookup_label_view_t,
    count: u16,
) -> Option<Vec<(&'a [u8], &'a [u8])>> {
    // SAFETY: as promised by the caller.
    let labels = unsafe { array(labels, usize::from(count)) }?;
    let label = |label: &nipc_lookup_label_view_t| {
        // SAFETY: as promised by the caller.
        let (key, value) = unsafe { (label.key.bytes()?, label.value.bytes()?) };
        (!key.is_empty() && are_strings(&[key, value])).then_some((key, value))
    };
    labels.iter().map(label).collect()
}

/// Label `index` of the `count` of an item whose table of labels starts at `table`.
///
/// # Safety
///
/// `item` is null or has `item_len` bytes, and `out` is null or can be written.
pub(super) unsafe fn label(
    item: *const u8,
    item_len: u32,
    table: u32,
    count: u16,
    index: u32,
    out: *mut nipc_lookup_label_view_t,
) -> nipc_error_t {
    if item.is_null() || out.is_null() {
        return NO_ARGUMENT;
    }
    // SAFETY: as promised by the caller.
    let item = unsafe { bytes(item.cast(), item_len as usize) };
    let Some(item) = item else { return NO_ARGUMENT };
    if index >= u32::from(count) {
        return NIPC_ERR_OUT_OF_BOUNDS;
    }
    let at = table as usize + index as usize * LabelEntry::LEN;
    let entry = match LabelEntry::read(item.get(at..).unwrap_or_default()) {
        Ok(entry) => entry,
        Err(_) => return NIPC_ERR_OUT_OF_BOUNDS,
    };
    let text = |range: std::ops::Range<usize>| match item.get(range.end) {
        Some(0) => Ok(nipc_str_view_t::from(Text::new(&item[range]))),
        Some(_) => Err(NIPC_ERR_MISSING_NUL),
        None => Err(NIPC_ERR_OUT_OF_BOUNDS),
    };
    match (text(entry.key.range()), text(entry.value.range())) {
        (Ok(key), Ok(value)) => {
            // SAFETY: not null, and so it can be written.
            unsafe { out.write(nipc_lookup_label_view_t { key, value }) };
            NIPC_OK
        }
        (Err(error), _) | (_, Err(error)) => error,
    }
}

/// Where in its item the table of labels starts; 0 if there is none.
pub(super) fn label_table(item: &[u8], labels: Labels<'_>) -> u32 {
    // The strings follow the table, the first key first.
    let first = labels.get(0).map_or(0, |(key, _)| key.as_bytes().as_ptr().addr());
    let start = first.saturating_sub(item.as_ptr().addr());
    start.saturating_sub(labels.len() * LabelEntry::LEN) as u32
}

/// Reads a request.
///
/// # Safety
///
/// `buf` is null or has `len` bytes, and `out` is null or can be written.
pub(super) unsafe fn decode_request<L: Lookup>(
    buf: *const c_void,
    len: usize,
    out: *mut RequestView,
) -> nipc_error_t {
    // SAFETY: as promised by the caller.
    let (Some(wire), false) = (unsafe { bytes(buf, len) }, out.is_null()) else {
        return NO_ARGUMENT;
    };
    match <L as Service>::read_request(wire) {
        Ok(keys) => {
            // SAFETY: not null, and so it can be written.
            unsafe { out.write(view_request(wire, keys.len())) };
            NIPC_OK
        }
        Err(error) => malformed(error),
    }
}

pub(super) fn view_request(wire: &[u8], item_count: u32) -> RequestView {
    RequestView { _payload: wire.as_ptr(), _payload_len: wire.len(), item_count }
}

/// Shows key `index` of a request.
///
/// # Safety
///
/// As of [`request_key`]; `out` is null or can be written.
pub(super) unsafe fn show_key<L: Lookup, T>(
    view: *const RequestView,
    index: u32,
    out: *mut T,
    show: impl FnOnce(L::Key<'_>) -> T,
) -> nipc_error_t {
    if out.is_null() {
        return NO_ARGUMENT;
    }
    // SAFETY: as promised by the caller, and not null.
    code(unsafe { request_key::<L>(view, index) }.map(|key| unsafe { out.write(show(key)) }))
}

/// Key `index` of a request.
///
/// # Safety
///
/// The view is null or one of bytes that can be read for as long as `'a`.
pub(super) unsafe fn request_key<'a, L: Lookup>(
    view: *const RequestView,
    index: u32,
) -> Result<L::Key<'a>, nipc_error_t> {
    // SAFETY: as promised by the caller.
    let view = unsafe { view.as_ref() }.ok_or(NO_ARGUMENT)?;
    let &RequestView { _payload, _payload_len, item_count } = view;
    let head = LookupRequestHeader::LEN;
    // SAFETY: as promised by the caller.
    let key = unsafe { one(_payload, _payload_len, head, item_count, index, L::KEY) }?;
    L::read_key(Reader::new(key)).map_err(malformed)
}

/// Reads a reply.
///
/// # Safety
///
/// `buf` is null or has `len` bytes, and `out` is null or can be written.
pub(super) unsafe fn decode_reply<L: Lookup>(
    buf: *const c_void,
    len: usize,
    out: *mut ReplyView,
) -> nipc_error_t {
    // SAFETY: as promised by the caller.
    let (Some(wire), false) = (unsafe { bytes(buf, len) }, out.is_null()) else {
        return NO_ARGUMENT;
    };
    match <L as Service>::read_reply(wire) {
        Ok(found) => {
            let view = ReplyView {
                layout_version: 1,
                flags: 0,
                item_count: found.item_count,
                generation: found.generation,
                _payload: wire.as_ptr(),
                _payload_len: wire.len(),
            };
            // SAFETY: not null, and so it can be written.
            unsafe { out.write(view) };
            NIPC_OK
        }
        Err(error) => malformed(error),
    }
}

/// Shows item `index` of a reply.
///
/// # Safety
///
/// As of [`raw_item`]; `out` is null or can be written.
pub(super) unsafe fn show_item<L: Lookup, T>(
    view: *const ReplyView,
    index: u32,
    out: *mut T,
    show: impl FnOnce(&[u8]) -> Result<T, nipc_error_t>,
) -> nipc_error_t {
    if out.is_null() {
        return NO_ARGUMENT;
    }
    // SAFETY: as promised by the caller, and not null.
    let item = unsafe { raw_item::<L>(view, index) };
    // SAFETY: as above.
    code(item.and_then(show).map(|item| unsafe { out.write(item) }))
}

/// Shows where item `index` of a reply lies.
///
/// # Safety
///
/// As of [`raw_item`]; the outputs are null or can be written.
pub(super) unsafe fn show_raw_item<L: Lookup>(
    view: *const ReplyView,
    index: u32,
    item_out: *mut *const u8,
    len_out: *mut u32,
) -> nipc_error_t {
    if item_out.is_null() || len_out.is_null() {
        return NO_ARGUMENT;
    }
    // SAFETY: as promised by the caller, and not null. An item is no longer than a u32 says.
    code(unsafe { raw_item::<L>(view, index) }.map(|item| unsafe {
        item_out.write(item.as_ptr());
        len_out.write(item.len() as u32);
    }))
}

/// The bytes of item `index` of a reply.
///
/// # Safety
///
/// The view is null or one of bytes that can be read for as long as `'a`.
unsafe fn raw_item<'a, L: Lookup>(
    view: *const ReplyView,
    index: u32,
) -> Result<&'a [u8], nipc_error_t> {
    // SAFETY: as promised by the caller.
    let view = unsafe { view.as_ref() }.ok_or(NO_ARGUMENT)?;
    let &ReplyView { _payload, _payload_len, item_count, .. } = view;
    let head = LookupReplyHeader::LEN;
    // SAFETY: as promised by the caller.
    unsafe { one(_payload, _payload_len, head, item_count, index, L::ITEM..=usize::MAX) }
}

/// One item behind a head and a directory that may be of the caller's own making.
///
/// # Safety
///
/// `payload` is null or has `len` bytes that can be read for as long as `'a`.
unsafe fn one<'a>(
    payload: *const u8,
    len: usize,
    head: usize,
    count: u32,
    index: u32,
    lengths: std::ops::RangeInclusive<usize>,
) -> Result<&'a [u8], nipc_error_t> {
    if payload.is_null() {
        return Err(NO_ARGUMENT);
    }
    // SAFETY: as promised by the caller.
    let wire = unsafe { bytes(payload.cast(), len) }.ok_or(NO_ARGUMENT)?;
    if index >= count {
        return Err(NIPC_ERR_OUT_OF_BOUNDS);
    }
    let items = wire.get(head..).ok_or(NIPC_ERR_TRUNCATED)?;
    Items::one(items, count, index, &Rule::Packed(lengths)).map_err(malformed)
}

/// Items to be put under one head: pointers, lengths and their number.
pub(super) type RawItems = (*const *const u8, *const u32, u32);

/// Puts checked items under one head, and tells the length.
///
/// # Safety
///
/// The arrays are null or have `count` elements, and each item its length; `buf` is null or has
/// `buf_len` bytes; `len_out` is null or can be written.
pub(super) unsafe fn encode_raw<L: Lookup>(
    items: RawItems,
    generation: u64,
    buf: *mut c_void,
    buf_len: usize,
    len_out: *mut usize,
) -> nipc_error_t {
    // SAFETY: as promised by the caller.
    let (Some(out), false) = (unsafe { bytes_mut(buf, buf_len) }, len_out.is_null()) else {
        return NO_ARGUMENT;
    };
    // SAFETY: as promised by the caller, and not null.
    code(unsafe { join::<L>(items, generation, out) }.map(|len| unsafe { len_out.write(len) }))
}

/// Puts checked items under one head, and returns the length.
///
/// # Safety
///
/// As of [`encode_raw`].
unsafe fn join<L: Lookup>(
    (items, lens, count): RawItems,
    generation: u64,
    out: &mut [u8],
) -> Result<usize, nipc_error_t> {
    // SAFETY: as promised by the caller.
    let (items, lens) = unsafe { (array(items, count as usize), array(lens, count as usize)) };
    let (items, lens) = (items.ok_or(NO_ARGUMENT)?, lens.ok_or(NO_ARGUMENT)?);
    let mut writer = ItemsWriter::new(out, LookupReplyHeader::LEN, count).map_err(unwritable)?;
    for (&item, &len) in items.iter().zip(lens) {
        // SAFETY: as promised by the caller.
        let item = unsafe { bytes(item.cast(), len as usize) }.ok_or(NO_ARGUMENT)?;
        if item.len() < L::ITEM {
            return Err(NIPC_ERR_BAD_LAYOUT);
        }
        L::read(Reader::new(item)).map_err(malformed)?;
        let copy = |out: &mut [u8]| {
            out.get_mut(..item.len()).ok_or(Unwritable::Full)?.copy_from_slice(item);
            Ok(item.len())
        };
        writer.push(copy).map_err(unwritable)?;
    }
    let (out, len) = writer.finish();
    LookupReplyHeader { item_count: count, generation }.write(out);
    Ok(len)
}
