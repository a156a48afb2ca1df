//! `protocol/handshake.h`: what opens a session.

use std::ffi::c_void;

use netipc_proto::{Hello, HelloAck};

use super::image::{Image, image};
use crate::{
    border::{bytes, bytes_mut},
    errors::{
        NIPC_ERR_BAD_LAYOUT, NIPC_ERR_BAD_VERSION, NIPC_ERR_TRUNCATED, NIPC_OK, NO_ARGUMENT,
        malformed, nipc_error_t,
    },
};

image! {
    pub(crate) struct nipc_hello_t: Hello::LAYOUT, {
        layout_version: u16,
        flags: u16,
        supported_profiles: u32,
        preferred_profiles: u32,
        max_request_payload_bytes: u32,
        max_request_batch_items: u32,
        max_response_payload_bytes: u32,
        max_response_batch_items: u32,
        _reserved: u32 = "reserved",
        auth_token: u64,
        packet_size: u32,
    }
}

image! {
    pub(crate) struct nipc_hello_ack_t: HelloAck::LAYOUT, {
        layout_version: u16,
        flags: u16,
        server_supported_profiles: u32,
        intersection_profiles: u32,
        selected_profile: u32,
        agreed_max_request_payload_bytes: u32,
        agreed_max_request_batch_items: u32,
        agreed_max_response_payload_bytes: u32,
        agreed_max_response_batch_items: u32,
        agreed_packet_size: u32,
        _reserved: u32 = "reserved",
        session_id: u64,
    }
}

/// Another version of the layout is a wrong layout to C programs.
fn refused(error: netipc_proto::Malformed) -> nipc_error_t {
    match malformed(error) {
        NIPC_ERR_BAD_VERSION => NIPC_ERR_BAD_LAYOUT,
        error => error,
    }
}

/// Checks with `read`, then writes what stands in `wire` to `out`.
///
/// # Safety
///
/// `out` is null or can be written.
unsafe fn decode<T: Image>(
    wire: Option<&[u8]>,
    out: *mut T,
    read: impl FnOnce(&[u8]) -> Result<(), netipc_proto::Malformed>,
) -> nipc_error_t {
    let (Some(wire), false) = (wire, out.is_null()) else { return NO_ARGUMENT };
    match (read(wire), T::from_wire(wire)) {
        (Err(error), _) => refused(error),
        (Ok(()), None) => NIPC_ERR_TRUNCATED,
        (Ok(()), Some(image)) => {
            // SAFETY: not null, and so it can be written.
            unsafe { out.write(image) };
            NIPC_OK
        }
    }
}

abi! {
    fn nipc_hello_encode(hello: *const nipc_hello_t, buf: *mut c_void, buf_len: usize)
        -> usize, or(0)
    {
        hello.as_ref().map_or(0, |hello| hello.encode(bytes_mut(buf, buf_len)))
    }

    fn nipc_hello_decode(buf: *const c_void, buf_len: usize, out: *mut nipc_hello_t)
        -> nipc_error_t, or(NO_ARGUMENT)
    {
        decode(bytes(buf, buf_len), out, |wire| Hello::read(wire).map(drop))
    }

    fn nipc_hello_ack_encode(ack: *const nipc_hello_ack_t, buf: *mut c_void, buf_len: usize)
        -> usize, or(0)
    {
        ack.as_ref().map_or(0, |ack| ack.encode(bytes_mut(buf, buf_len)))
    }

    fn nipc_hello_ack_decode(buf: *const c_void, buf_len: usize, out: *mut nipc_hello_ack_t)
        -> nipc_error_t, or(NO_ARGUMENT)
    {
        decode(bytes(buf, buf_len), out, |wire| HelloAck::read(wire).map(drop))
    }
}
