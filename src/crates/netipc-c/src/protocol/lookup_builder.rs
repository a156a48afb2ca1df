//! The builders of both lookups: their members are their state.

use std::{ffi::c_void, ptr};

use netipc_proto::{
    ItemsWriter, Lookup, LookupReplyHeader, Room, Service, Shortfall, Unwritable, push_item,
};

use super::lookup::{RequestView, view_request};
use crate::{
    border::{array, bytes, bytes_mut},
    errors::{
        NIPC_ERR_BAD_ITEM_COUNT, NIPC_ERR_BAD_LAYOUT, NIPC_ERR_HANDLER_FAILED, NIPC_OK,
        NO_ARGUMENT, code, malformed, nipc_error_t, note, unwritable,
    },
};

/// `nipc_cgroups_lookup_builder_t` and `nipc_apps_lookup_builder_t`.
#[repr(C)]
pub(crate) struct Builder {
    buf: *mut u8,
    buf_len: usize,
    generation: u64,
    item_count: u32,
    max_items: u32,
    pub(super) error: nipc_error_t,
    data_offset: usize,
    payload_exceeded_suffix: bool,
    payload_exceeded_item_lens: *const u32,
    payload_exceeded_suffix_bytes: *mut u32,
    payload_exceeded_item_lens_count: u32,
}

impl Builder {
    fn new(buf: *mut u8, buf_len: usize, max_items: u32, generation: u64) -> Self {
        let directory = (max_items as usize).saturating_mul(8);
        Builder {
            buf,
            buf_len,
            generation,
            item_count: 0,
            max_items,
            error: NIPC_OK,
            data_offset: directory.saturating_add(LookupReplyHeader::LEN),
            payload_exceeded_suffix: false,
            payload_exceeded_item_lens: ptr::null(),
            payload_exceeded_suffix_bytes: ptr::null_mut(),
            payload_exceeded_item_lens_count: 0,
        }
    }

    /// Starts a reply.
    ///
    /// # Safety
    ///
    /// `builder` is null or can be written.
    pub(super) unsafe fn init(
        builder: *mut Self,
        buf: *mut c_void,
        buf_len: usize,
        max_items: u32,
        generation: u64,
    ) {
        if !builder.is_null() {
            // SAFETY: as promised by the caller.
            unsafe { builder.write(Builder::new(buf.cast(), buf_len, max_items, generation)) };
        }
    }

    pub(super) fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    pub(super) fn set_lens(&mut self, lens: *const u32, count: u32) {
        self.payload_exceeded_item_lens = lens;
        self.payload_exceeded_suffix_bytes = ptr::null_mut();
        self.payload_exceeded_item_lens_count = if lens.is_null() { 0 } else { count };
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
        ItemsWriter::resume(out, LookupReplyHeader::LEN, slots, count, self.data_offset)
    }

    /// What the keys behind the next one take at least, if the builder was told.
    ///
    /// # Safety
    ///
    /// The arrays have as many elements as the members say, or are null.
    unsafe fn behind(&self) -> Option<usize> {
        let count = self.payload_exceeded_item_lens_count;
        if count != self.max_items || self.payload_exceeded_item_lens.is_null() {
            return None;
        }
        let next = (self.item_count as usize).saturating_add(1);
        // SAFETY: as promised by the caller.
        let (known, lens) = unsafe {
            let known = array(self.payload_exceeded_suffix_bytes.cast_const(), count as usize);
            (known, array(self.payload_exceeded_item_lens, count as usize)?)
        };
        if let Some(known) = known.filter(|known| !known.is_empty()) {
            return Some(known.get(next).map_or(0, |&bytes| bytes as usize));
        }
        let behind = lens.get(next..).unwrap_or_default();
        Some(behind.iter().fold(0, |end, &len| end.next_multiple_of(8) + len as usize))
    }

    /// Answers the next key.
    ///
    /// # Safety
    ///
    /// As of [`resume`](Self::resume) and [`behind`](Self::behind).
    unsafe fn push<L: Lookup>(
        &mut self,
        key: L::Key<'_>,
        value: Result<&L::Value<'_>, Shortfall>,
    ) -> Result<(), Unwritable> {
        // SAFETY: as promised by the caller.
        let (mut items, behind) = unsafe { (self.resume()?, self.behind()) };
        let room = Room { keys: self.max_items, behind };
        push_item::<L>(&mut items, key, value, room, &mut self.payload_exceeded_suffix)?;
        (self.item_count, self.data_offset) = (items.count(), items.end());
        Ok(())
    }

    /// Answers the next key with what `parse` makes of the caller's values, and remembers how that
    /// went. Once the reply is full, it does not matter what they are.
    ///
    /// # Safety
    ///
    /// As of [`resume`](Self::resume) and [`behind`](Self::behind).
    pub(super) unsafe fn answer<'a, L: Lookup>(
        &mut self,
        key: Option<L::Key<'_>>,
        parse: impl FnOnce() -> Option<Result<L::Value<'a>, Shortfall>>,
    ) -> nipc_error_t {
        let value = match self.payload_exceeded_suffix {
            true => Some(Err(Shortfall::PayloadExceeded)),
            false if self.item_count >= self.max_items => Some(Err(Shortfall::Oversized)),
            false => parse(),
        };
        self.error = match (key, value) {
            (Some(key), Some(value)) => {
                // SAFETY: as promised by the caller.
                let pushed = unsafe { self.push::<L>(key, value.as_ref().map_err(|&why| why)) };
                pushed.map_or_else(unwritable, |()| NIPC_OK)
            }
            _ => {
                note("an answer that the layout forbids");
                NIPC_ERR_BAD_LAYOUT
            }
        };
        self.error
    }

    /// # Safety
    ///
    /// As of [`resume`](Self::resume).
    pub(super) unsafe fn finish(&self) -> usize {
        let generation = self.generation;
        // SAFETY: as promised by the caller.
        if let Ok(items) = unsafe { self.resume() } {
            let item_count = items.count();
            let (out, len) = items.finish();
            LookupReplyHeader { item_count, generation }.write(out);
            return len;
        }
        // Without any item even a buffer too small for the directory holds a reply.
        // SAFETY: as promised by the caller.
        let out = unsafe { bytes_mut(self.buf.cast(), self.buf_len) };
        match out.and_then(|out| out.get_mut(..LookupReplyHeader::LEN)) {
            Some(out) if self.item_count == 0 => {
                LookupReplyHeader { item_count: 0, generation }.write(out);
                LookupReplyHeader::LEN
            }
            _ => 0,
        }
    }
}

/// What answers either kind of lookup.
pub(crate) type LookupHandler =
    Option<unsafe extern "C" fn(*mut c_void, *const RequestView, *mut Builder) -> bool>;

/// Where a request is, and where its reply goes.
pub(super) struct Exchange {
    pub(super) request: (*const u8, usize),
    pub(super) reply: (*mut u8, usize),
    pub(super) reply_len: *mut usize,
}

/// Reads a request, lets the handler answer it, and tells the length of the reply. `bare` is how
/// long the item of a key without a value is.
///
/// # Safety
///
/// The pointers are null or have as many bytes as stands beside them; the handler is called as it
/// wants to be.
pub(super) unsafe fn dispatch<L: Lookup>(
    exchange: Exchange,
    bare: impl Fn(L::Key<'_>) -> usize,
    handler: LookupHandler,
    user: *mut c_void,
) -> nipc_error_t {
    let Exchange { request, reply, reply_len } = exchange;
    // SAFETY: as promised by the caller.
    let (request, out) =
        unsafe { (bytes(request.0.cast(), request.1), bytes_mut(reply.0.cast(), reply.1)) };
    let (Some(request), Some(out), Some(handler), false) =
        (request, out, handler, reply_len.is_null())
    else {
        return NO_ARGUMENT;
    };
    // SAFETY: as promised by the caller.
    let handle =
        |request: &RequestView, reply: &mut Builder| unsafe { handler(user, request, reply) };
    // SAFETY: not null, and so it can be written.
    code(answer::<L>(request, out, bare, handle).map(|len| unsafe { reply_len.write(len) }))
}

/// Reads a request, lets `handle` answer it, and returns the length of the reply.
fn answer<L: Lookup>(
    request: &[u8],
    out: &mut [u8],
    bare: impl Fn(L::Key<'_>) -> usize,
    handle: impl FnOnce(&RequestView, &mut Builder) -> bool,
) -> Result<usize, nipc_error_t> {
    let keys = <L as Service>::read_request(request).map_err(malformed)?;
    if out.len() < LookupReplyHeader::LEN {
        return Err(unwritable(Unwritable::Full));
    }
    let lens: Vec<u32> = keys.iter().map(|key| bare(key) as u32).collect();
    let mut behind = lens.clone();
    let mut end = 0;
    for bytes in behind.iter_mut().rev() {
        // The last item is not padded, those before it are.
        end += if end == 0 { *bytes } else { bytes.next_multiple_of(8) };
        *bytes = end;
    }
    let mut builder = Builder::new(out.as_mut_ptr(), out.len(), keys.len(), 0);
    builder.set_lens(lens.as_ptr(), keys.len());
    builder.payload_exceeded_suffix_bytes = behind.as_mut_ptr();
    let answered = handle(&view_request(request, keys.len()), &mut builder);
    match (builder.error, answered) {
        (NIPC_OK, false) => Err(NIPC_ERR_HANDLER_FAILED),
        (NIPC_OK, true) if builder.item_count != keys.len() => Err(NIPC_ERR_BAD_ITEM_COUNT),
        // SAFETY: the builder was made of the slice, unless the handler replaced it on purpose.
        (NIPC_OK, true) => Ok(unsafe { builder.finish() }),
        (error, _) => Err(error),
    }
}
