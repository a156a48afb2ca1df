//! `protocol/samples.h`: the services for tests and benchmarks.

use std::ffi::{c_char, c_void};

use netipc_proto::{
    Service,
    kinds::{Increment, StringReverse},
};

use crate::{
    border::{bytes, bytes_mut},
    errors::{NIPC_OK, NO_ARGUMENT, malformed, nipc_error_t},
};

type nipc_increment_handler_fn = Option<unsafe extern "C" fn(*mut c_void, u64, *mut u64) -> bool>;

type nipc_string_reverse_handler_fn = Option<
    unsafe extern "C" fn(*mut c_void, *const c_char, u32, *mut c_char, u32, *mut u32) -> bool,
>;

#[repr(C)]
pub(crate) struct nipc_string_reverse_view_t {
    str: *const c_char,
    str_len: u32,
}

abi! {
    fn nipc_increment_encode(value: u64, buf: *mut c_void, buf_len: usize) -> usize, or(0) {
        let Some(out) = bytes_mut(buf, buf_len) else { return 0 };
        Increment::write_request(value, out).unwrap_or(0)
    }

    fn nipc_increment_decode(buf: *const c_void, buf_len: usize, value: *mut u64)
        -> nipc_error_t, or(NO_ARGUMENT)
    {
        let (Some(wire), false) = (bytes(buf, buf_len), value.is_null()) else {
            return NO_ARGUMENT;
        };
        match Increment::read_request(wire) {
            Ok(number) => {
                value.write(number);
                NIPC_OK
            }
            Err(error) => malformed(error),
        }
    }

    fn nipc_dispatch_increment(
        req: *const u8,
        req_len: usize,
        resp: *mut u8,
        resp_size: usize,
        resp_len: *mut usize,
        handler: nipc_increment_handler_fn,
        user: *mut c_void,
    ) -> bool, or(false) {
        let (request, reply) = (bytes(req.cast(), req_len), bytes_mut(resp.cast(), resp_size));
        let (Some(request), Some(reply), Some(handler), false) =
            (request, reply, handler, resp_len.is_null())
        else {
            return false;
        };
        let Ok(number) = Increment::read_request(request) else { return false };
        let mut answer = 0;
        if !handler(user, number, &mut answer) {
            return false;
        }
        let Ok(len) = Increment::write_request(answer, reply) else { return false };
        resp_len.write(len);
        true
    }

    fn nipc_string_reverse_encode(
        str: *const c_char,
        str_len: u32,
        buf: *mut c_void,
        buf_len: usize,
    ) -> usize, or(0) {
        let (Some(text), Some(out)) = (bytes(str.cast(), str_len as usize), bytes_mut(buf, buf_len))
        else {
            return 0;
        };
        StringReverse::write_request(text, out).unwrap_or(0)
    }

    fn nipc_string_reverse_decode(
        buf: *const c_void,
        buf_len: usize,
        view: *mut nipc_string_reverse_view_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let (Some(wire), false) = (bytes(buf, buf_len), view.is_null()) else {
            return NO_ARGUMENT;
        };
        match StringReverse::read_request(wire) {
            Ok(text) => {
                let str = text.as_bytes().as_ptr().cast();
                // No longer than the u32 in its header says.
                view.write(nipc_string_reverse_view_t { str, str_len: text.len() as u32 });
                NIPC_OK
            }
            Err(error) => malformed(error),
        }
    }

    fn nipc_dispatch_string_reverse(
        req: *const u8,
        req_len: usize,
        resp: *mut u8,
        resp_size: usize,
        resp_len: *mut usize,
        handler: nipc_string_reverse_handler_fn,
        user: *mut c_void,
    ) -> bool, or(false) {
        let (request, out) = (bytes(req.cast(), req_len), bytes_mut(resp.cast(), resp_size));
        let (Some(request), Some(out), Some(handler), false) =
            (request, out, handler, resp_len.is_null())
        else {
            return false;
        };
        let Ok(text) = StringReverse::read_request(request) else { return false };
        let Ok(mut reply) = StringReverse::build_reply(&text, out) else { return false };
        let room = reply.room();
        let capacity = u32::try_from(room.len()).unwrap_or(u32::MAX);
        let mut answer_len = 0;
        let (question, answer) = (text.as_bytes().as_ptr().cast(), room.as_mut_ptr().cast());
        if !handler(user, question, text.len() as u32, answer, capacity, &mut answer_len)
            || reply.set_len(answer_len as usize).is_err()
        {
            return false;
        }
        let Ok(len) = StringReverse::finish_reply(reply) else { return false };
        resp_len.write(len);
        true
    }
}
