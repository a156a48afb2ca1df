//! `protocol/envelope.h`: batches, several items in one message.

use std::ffi::c_void;

use netipc_proto::{DirectoryEntry, Items, ItemsWriter, Rule, Unwritable};

use super::image::{Image, image};
use crate::{
    border::{array, bytes, bytes_mut},
    errors::{
        NIPC_ERR_BAD_ITEM_COUNT, NIPC_ERR_OUT_OF_BOUNDS, NIPC_ERR_TRUNCATED, NIPC_OK, NO_ARGUMENT,
        code, malformed, nipc_error_t, unwritable,
    },
};

image! {
    pub(crate) struct nipc_batch_entry_t: DirectoryEntry::LAYOUT, {
        offset: u32,
        length: u32,
    }
}

#[repr(C)]
pub(crate) struct nipc_batch_builder_t {
    buf: *mut u8,
    buf_len: usize,
    item_count: u32,
    max_items: u32,
    dir_end: usize,
    data_offset: usize,
}

impl nipc_batch_builder_t {
    /// Goes on where the members say. The writer borrows the caller's buffer.
    ///
    /// # Safety
    ///
    /// `buf` is null or has `buf_len` bytes that nobody else uses for as long as `'a`.
    unsafe fn resume<'a>(&self) -> Result<ItemsWriter<'a>, Unwritable> {
        let end = self.dir_end.checked_add(self.data_offset).ok_or(Unwritable::Full)?;
        // SAFETY: as promised by the caller.
        let out = unsafe { bytes_mut(self.buf.cast(), self.buf_len) }.ok_or(Unwritable::Full)?;
        ItemsWriter::resume(out, 0, self.max_items, self.item_count, end)
    }
}

/// The directory at the start of `wire`, checked against `area` bytes behind it.
fn directory(wire: &[u8], count: u32, area: u32) -> Result<&[u8], nipc_error_t> {
    let size = (count as usize).checked_mul(DirectoryEntry::LEN).ok_or(NIPC_ERR_BAD_ITEM_COUNT)?;
    let directory = wire.get(..size).ok_or(NIPC_ERR_TRUNCATED)?;
    Items::check(directory, area as usize, &Rule::Free(0)).map_err(malformed)?;
    Ok(directory)
}

abi! {
    fn nipc_batch_dir_encode(
        entries: *const nipc_batch_entry_t,
        item_count: u32,
        buf: *mut c_void,
        buf_len: usize,
    ) -> usize, or(0) {
        let size = (item_count as usize).checked_mul(DirectoryEntry::LEN);
        let entries = array(entries, item_count as usize);
        let (Some(size), Some(entries), Some(out)) = (size, entries, bytes_mut(buf, buf_len)) else {
            return 0;
        };
        let Some(out) = out.get_mut(..size) else { return 0 };
        for (entry, to) in entries.iter().zip(out.chunks_exact_mut(DirectoryEntry::LEN)) {
            entry.encode(Some(to));
        }
        size
    }

    fn nipc_batch_dir_decode(
        buf: *const c_void,
        buf_len: usize,
        item_count: u32,
        packed_area_len: u32,
        out: *mut nipc_batch_entry_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let Some(wire) = bytes(buf, buf_len) else { return NO_ARGUMENT };
        if out.is_null() && item_count > 0 {
            return NO_ARGUMENT;
        }
        let directory = match directory(wire, item_count, packed_area_len) {
            Ok(directory) => directory,
            Err(error) => return error,
        };
        for (index, entry) in directory.chunks_exact(DirectoryEntry::LEN).enumerate() {
            if let Some(entry) = nipc_batch_entry_t::from_wire(entry) {
                out.add(index).write(entry);
            }
        }
        NIPC_OK
    }

    fn nipc_batch_dir_validate(
        buf: *const c_void,
        buf_len: usize,
        item_count: u32,
        packed_area_len: u32,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let Some(wire) = bytes(buf, buf_len) else { return NO_ARGUMENT };
        code(directory(wire, item_count, packed_area_len).map(drop))
    }

    fn nipc_batch_item_get(
        payload: *const c_void,
        payload_len: usize,
        item_count: u32,
        index: u32,
        item: *mut *const c_void,
        item_len: *mut u32,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let Some(payload) = bytes(payload, payload_len) else { return NO_ARGUMENT };
        if item.is_null() || item_len.is_null() {
            return NO_ARGUMENT;
        }
        if index >= item_count {
            return NIPC_ERR_OUT_OF_BOUNDS;
        }
        match Items::one(payload, item_count, index, &Rule::Free(0)) {
            Ok(found) => {
                item.write(found.as_ptr().cast());
                // No longer than the u32 in its entry says.
                item_len.write(found.len() as u32);
                NIPC_OK
            }
            Err(error) => malformed(error),
        }
    }

    fn nipc_batch_builder_init(
        builder: *mut nipc_batch_builder_t,
        buf: *mut c_void,
        buf_len: usize,
        max_items: u32,
    ) {
        if !builder.is_null() {
            let dir_end = (max_items as usize).saturating_mul(DirectoryEntry::LEN);
            let buf = buf.cast();
            let fresh = nipc_batch_builder_t {
                buf, buf_len, item_count: 0, max_items, dir_end, data_offset: 0,
            };
            builder.write(fresh);
        }
    }

    fn nipc_batch_builder_add(
        builder: *mut nipc_batch_builder_t,
        item: *const c_void,
        item_len: usize,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let (Some(builder), Some(item)) = (builder.as_mut(), bytes(item, item_len)) else {
            return NO_ARGUMENT;
        };
        let mut items = match builder.resume() {
            Ok(items) => items,
            Err(error) => return unwritable(error),
        };
        let pushed = items.push(|out| {
            let out = out.get_mut(..item.len()).ok_or(Unwritable::Full)?;
            out.copy_from_slice(item);
            Ok(out.len())
        });
        if let Err(error) = pushed {
            return unwritable(error);
        }
        builder.item_count = items.count();
        builder.data_offset = items.end() - builder.dir_end;
        NIPC_OK
    }

    fn nipc_batch_builder_finish(builder: *mut nipc_batch_builder_t, item_count_out: *mut u32)
        -> usize, or(0)
    {
        let Some(builder) = builder.as_mut() else { return 0 };
        if !item_count_out.is_null() {
            item_count_out.write(builder.item_count);
        }
        builder.resume().map_or(0, |items| items.finish_padded().1)
    }
}
