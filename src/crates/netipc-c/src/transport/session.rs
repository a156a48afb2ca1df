//! Sessions: their limits, what is in flight, and what messages are received into.

use std::{
    ffi::c_void,
    ops::{Deref, DerefMut},
    ptr, slice,
    time::Duration,
};

use netipc::{Abort, Wait};
use netipc_proto::{Agreement, Kind, Limits, handshake::profile};

use super::{
    bad_param,
    imp::{Code, ERR_ALLOC, ERR_BAD_PARAM, ERR_LIMIT_EXCEEDED, Lent, OK, Session},
    message::Carrier,
};
use crate::{
    border::{bytes, bytes_mut},
    errors::note,
    protocol::{Image, nipc_header_t},
};

pub(crate) const ROLE_CLIENT: u32 = 1;
pub(crate) const ROLE_SERVER: u32 = 2;

impl Session {
    /// A session as it was agreed on, without what carries it.
    pub(super) fn agreed(role: u32, agreement: &Agreement) -> Self {
        Session {
            role,
            max_request_payload_bytes: agreement.agreed_max_request_payload_bytes,
            max_request_batch_items: agreement.agreed_max_request_batch_items,
            max_response_payload_bytes: agreement.agreed_max_response_payload_bytes,
            max_response_batch_items: agreement.agreed_max_response_batch_items,
            packet_size: agreement.agreed_packet_size,
            selected_profile: agreement.selected_profile,
            session_id: agreement.session_id,
            ..Session::CLOSED
        }
    }

    /// The limits of a session, as the members say, where `agreement` was agreed on.
    pub(crate) fn amended(&self, agreement: &Agreement) -> Agreement {
        Agreement {
            agreed_max_request_payload_bytes: self.max_request_payload_bytes,
            agreed_max_request_batch_items: self.max_request_batch_items,
            agreed_max_response_payload_bytes: self.max_response_payload_bytes,
            agreed_max_response_batch_items: self.max_response_batch_items,
            agreed_packet_size: self.packet_size,
            ..*agreement
        }
    }

    /// What carries it, for who has `tried` something that waits, or does not.
    ///
    /// # Safety
    ///
    /// There is no other one of this session.
    unsafe fn held<'a>(&mut self, tried: &str, wait: Option<Wait<'_>>) -> Result<Held<'a>, Code> {
        // SAFETY: as promised by the caller.
        let Some(held) = (unsafe { self.carrier() }) else {
            note(format!("{tried} on a session that is closed"));
            return Err(ERR_BAD_PARAM);
        };
        if self.selected_profile == profile::RING && !held.link.has_rings() {
            note(format!("{tried} on a session whose rings are a client's"));
            return Err(ERR_BAD_PARAM);
        }
        match held {
            // What is begun must be kept until it is taken up again.
            Held::Lent(lent) if wait.is_none() => Ok(Held::Kept(self.keep(lent))),
            held => Ok(held),
        }
    }

    /// The limits of requests and of responses.
    fn limits(&self) -> (Limits, Limits) {
        let request = Limits {
            payload_bytes: self.max_request_payload_bytes,
            items: self.max_request_batch_items,
        };
        let response = Limits {
            payload_bytes: self.max_response_payload_bytes,
            items: self.max_response_batch_items,
        };
        (request, response)
    }

    /// What may come in.
    pub(super) fn incoming(&self) -> Limits {
        let (request, response) = self.limits();
        if self.role == ROLE_SERVER { request } else { response }
    }

    /// What may go out. Only requests of clients and responses of servers are limited, and those
    /// of a session that never agreed on limits are not.
    pub(super) fn outgoing(&self, kind: Kind) -> Limits {
        let (request, response) = self.limits();
        let limits = match (self.role, kind) {
            (ROLE_CLIENT, Kind::Request) => request,
            (ROLE_SERVER, Kind::Response) => response,
            _ => Limits { payload_bytes: 0, items: 0 },
        };
        let or_any = |limit| if limit == 0 { u32::MAX } else { limit };
        Limits { payload_bytes: or_any(limits.payload_bytes), items: or_any(limits.items) }
    }

    /// The ids in flight.
    pub(super) fn ids(&mut self) -> &mut [u64] {
        if self.inflight_ids.is_null() {
            return &mut [];
        }
        // SAFETY: the array has room for as many as are counted, whoever made it.
        unsafe { slice::from_raw_parts_mut(self.inflight_ids, self.inflight_count as usize) }
    }

    pub(super) fn add_id(&mut self, id: u64) -> Result<(), Code> {
        if self.inflight_count >= self.inflight_capacity || self.inflight_ids.is_null() {
            let capacity = self.inflight_count.max(8).saturating_mul(2);
            let size = (capacity as usize).checked_mul(size_of::<u64>()).ok_or(ERR_ALLOC)?;
            // SAFETY: the array is null or was allocated like this, by us or by the program.
            let grown = unsafe { libc::realloc(self.inflight_ids.cast(), size) };
            if grown.is_null() {
                note("no memory for the ids of requests in flight");
                return Err(ERR_ALLOC);
            }
            (self.inflight_ids, self.inflight_capacity) = (grown.cast(), capacity);
        }
        self.inflight_count += 1;
        if let Some(last) = self.ids().last_mut() {
            *last = id;
        }
        Ok(())
    }

    /// Forgets an id. Whether it was in flight.
    pub(super) fn remove_id(&mut self, id: u64) -> bool {
        let ids = self.ids();
        let Some(at) = ids.iter().position(|&other| other == id) else { return false };
        // Those behind move up, so that the array stays in the order of sending.
        ids.copy_within(at + 1.., at);
        self.inflight_count -= 1;
        true
    }

    /// Room for `len` bytes in `recv_buf`, which keeps what it holds.
    pub(super) fn room(&mut self, len: usize) -> Result<&mut [u8], Code> {
        if self.recv_buf_size < len || self.recv_buf.is_null() {
            // SAFETY: null or from malloc, and only the new pointer is used further.
            let grown = unsafe { libc::realloc(self.recv_buf.cast(), len.max(1)) };
            if grown.is_null() {
                note(format!("no memory for a message of {len} bytes"));
                return Err(ERR_ALLOC);
            }
            (self.recv_buf, self.recv_buf_size) = (grown.cast(), len);
        }
        // SAFETY: the buffer has at least that many bytes and is the session's own.
        Ok(unsafe { slice::from_raw_parts_mut(self.recv_buf, len) })
    }

    fn free_recv_buf(&mut self) {
        // SAFETY: null or from malloc, and not used again.
        unsafe { libc::free(self.recv_buf.cast()) };
        (self.recv_buf, self.recv_buf_size) = (ptr::null_mut(), 0);
    }

    /// Frees what it holds but the socket.
    pub(super) fn free(&mut self) {
        self.free_recv_buf();
        // SAFETY: null or from malloc, and not used again.
        unsafe { libc::free(self.inflight_ids.cast()) };
        self.inflight_ids = ptr::null_mut();
        (self.inflight_count, self.inflight_capacity) = (0, 0);
    }
}

/// What carries a session while a function uses it.
#[allow(clippy::large_enum_variant, reason = "it stays on the stack of that function")]
pub(super) enum Held<'a> {
    /// What is behind its struct.
    Kept(&'a mut Carrier),
    /// Of a session that was made by hand, or is a client's: made for one use.
    Lent(Lent),
}

impl Deref for Held<'_> {
    type Target = Carrier;

    fn deref(&self) -> &Carrier {
        match self {
            Held::Kept(carrier) => carrier,
            Held::Lent(carrier) => carrier,
        }
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Carrier {
        match self {
            Held::Kept(carrier) => carrier,
            Held::Lent(carrier) => carrier,
        }
    }
}

/// # Safety
///
/// The pointers are what the header asks for, or null.
pub(super) unsafe fn send(
    session: *mut Session,
    hdr: *mut nipc_header_t,
    payload: *const c_void,
    payload_len: usize,
    wait: Option<Wait<'_>>,
) -> Code {
    // SAFETY: as promised by the caller.
    let given = unsafe { (session.as_mut(), hdr.as_mut(), bytes(payload, payload_len)) };
    let (Some(session), Some(hdr), Some(payload)) = given else {
        return bad_param("send without a session, a header or a payload");
    };
    // SAFETY: it is the only one as long as this runs.
    let mut carrier = match unsafe { session.held("send", wait) } {
        Ok(carrier) => carrier,
        Err(error) => return error,
    };
    let Some(len) = u32::try_from(payload.len()).ok().filter(|len| *len <= u32::MAX - 32) else {
        note("a message of more than 4 GiB");
        return ERR_LIMIT_EXCEEDED;
    };
    let header = hdr.complete(len);
    let wire = hdr.wire().first_chunk().expect("as long as a header");
    let sent = session.send(&mut carrier, wire, &header, payload, wait);
    sent.map_or_else(|error| error, |()| OK)
}

/// Waits for so many milliseconds, for ever if it is 0, or until `abort` is set.
pub(super) fn wait_for(timeout_ms: u32, abort: Option<&Abort>) -> Wait<'_> {
    let wait = match timeout_ms {
        0 => Wait::FOREVER,
        ms => Wait::at_most(Duration::from_millis(ms.into())),
    };
    abort.map_or(wait, |abort| wait.or(abort))
}

/// Where what is received goes: the header, the payload, and its length.
pub(super) type Outputs = (*mut nipc_header_t, *mut *const c_void, *mut usize);

/// # Safety
///
/// The pointers are what the header asks for, or null.
pub(super) unsafe fn receive(
    session: *mut Session,
    buf: *mut c_void,
    buf_size: usize,
    (hdr_out, payload_out, payload_len_out): Outputs,
    wait: Option<Wait<'_>>,
) -> Code {
    // SAFETY: as promised by the caller.
    let given = unsafe { (session.as_mut(), bytes_mut(buf, buf_size)) };
    let (Some(session), Some(buf)) = given else {
        return bad_param("receive without a session or a buffer");
    };
    if hdr_out.is_null() || payload_out.is_null() || payload_len_out.is_null() {
        return bad_param("receive without a place for what is received");
    }
    // SAFETY: it is the only one as long as this runs.
    let mut carrier = match unsafe { session.held("receive", wait) } {
        Ok(carrier) => carrier,
        Err(error) => return error,
    };
    // SAFETY: as promised by the caller.
    let seen = |header| unsafe { hdr_out.write(header) };
    match session.receive(&mut carrier, buf, wait, seen) {
        Ok((payload, len)) => {
            // SAFETY: as promised by the caller.
            unsafe {
                payload_out.write(payload.cast());
                payload_len_out.write(len);
            }
            OK
        }
        Err(error) => error,
    }
}
