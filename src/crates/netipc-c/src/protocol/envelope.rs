//! `protocol/envelope.h`: the headers of messages and of their parts.

use std::ffi::c_void;

use netipc_proto::{Header, Kind, PartHeader};

use super::image::{Image, image};
use crate::{
    border::{bytes, bytes_mut},
    errors::{NIPC_ERR_TRUNCATED, NIPC_OK, NO_ARGUMENT, malformed, nipc_error_t},
};

image! {
    pub(crate) struct nipc_header_t: Header::LAYOUT, {
        magic: u32,
        version: u16,
        header_len: u16,
        kind: u16,
        flags: u16,
        code: u16,
        transport_status: u16,
        payload_len: u32,
        item_count: u32,
        message_id: u64,
    }
}

image! {
    pub(crate) struct nipc_chunk_header_t: PartHeader::LAYOUT, {
        magic: u32,
        version: u16,
        flags: u16,
        message_id: u64,
        total_message_len: u32,
        chunk_index: u32,
        chunk_count: u32,
        chunk_payload_len: u32,
    }
}

impl nipc_header_t {
    /// Fills in what does not depend on the caller, for a payload of `payload_len` bytes, and says
    /// which rules hold for the message. A kind that is none goes out as it is, under the rules of
    /// control messages: refusing it is up to the peer.
    pub(crate) fn complete(&mut self, payload_len: u32) -> Header {
        let &mut nipc_header_t { kind, flags, code, .. } = self;
        let &mut nipc_header_t { transport_status, item_count, message_id, .. } = self;
        let rules = Kind::from_code(kind).unwrap_or(Kind::Control);
        let header = Header {
            kind: rules,
            flags,
            code,
            transport_status,
            payload_len,
            item_count,
            message_id,
        };
        if let Some(complete) = nipc_header_t::from_wire(&header.to_bytes()) {
            *self = nipc_header_t { kind, ..complete };
        }
        header
    }
}

abi! {
    fn nipc_header_encode(header: *const nipc_header_t, buf: *mut c_void, buf_len: usize)
        -> usize, or(0)
    {
        header.as_ref().map_or(0, |header| header.encode(bytes_mut(buf, buf_len)))
    }

    fn nipc_header_decode(buf: *const c_void, buf_len: usize, out: *mut nipc_header_t)
        -> nipc_error_t, or(NO_ARGUMENT)
    {
        let (Some(wire), false) = (bytes(buf, buf_len), out.is_null()) else { return NO_ARGUMENT };
        let Some(header) = nipc_header_t::from_wire(wire) else { return NIPC_ERR_TRUNCATED };
        // Told even if it is refused, so that a refusal can say what came.
        out.write(header);
        Header::read(wire).map_or_else(malformed, |_| NIPC_OK)
    }

    fn nipc_chunk_header_encode(chunk: *const nipc_chunk_header_t, buf: *mut c_void, buf_len: usize)
        -> usize, or(0)
    {
        chunk.as_ref().map_or(0, |chunk| chunk.encode(bytes_mut(buf, buf_len)))
    }

    fn nipc_chunk_header_decode(buf: *const c_void, buf_len: usize, out: *mut nipc_chunk_header_t)
        -> nipc_error_t, or(NO_ARGUMENT)
    {
        let (Some(wire), false) = (bytes(buf, buf_len), out.is_null()) else { return NO_ARGUMENT };
        match (PartHeader::read(wire), nipc_chunk_header_t::from_wire(wire)) {
            (Err(error), _) => malformed(error),
            (Ok(_), Some(chunk)) => {
                out.write(chunk);
                NIPC_OK
            }
            (Ok(_), None) => NIPC_ERR_TRUNCATED,
        }
    }

    fn nipc_align8(v: usize) -> usize, or(0) {
        v.wrapping_add(7) & !7
    }
}
