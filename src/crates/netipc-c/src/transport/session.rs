//! Sessions: what is sent and received, and what is in flight.

use std::{ffi::c_void, ptr, slice, time::Duration};

use netipc::{Abort, ErrorKind, Wait, raw::Packet};
use netipc_proto::{
    Agreement, Fault, Header, Kind, Limits,
    parts::{Cut, Join},
    session::check_batch,
};

use super::{
    bad_param, fault_code,
    imp::{
        Code, ERR_ABORTED, ERR_ALLOC, ERR_BAD_PARAM, ERR_LIMIT_EXCEEDED, ERR_TIMEOUT, OK, Session,
        receive_code, send_code,
    },
};
use crate::{
    border::{bytes, bytes_mut},
    errors::{note, note_error},
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
    fn incoming(&self) -> Limits {
        let (request, response) = self.limits();
        if self.role == ROLE_SERVER { request } else { response }
    }

    /// What may go out. Only requests of clients and responses of servers are limited, and those
    /// of a session that never agreed on limits are not.
    fn outgoing(&self, kind: Kind) -> Limits {
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
    fn ids(&mut self) -> &mut [u64] {
        if self.inflight_ids.is_null() {
            return &mut [];
        }
        // SAFETY: the array has room for as many as are counted, whoever made it.
        unsafe { slice::from_raw_parts_mut(self.inflight_ids, self.inflight_count as usize) }
    }

    fn add_id(&mut self, id: u64) -> Result<(), Code> {
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
    fn remove_id(&mut self, id: u64) -> bool {
        let ids = self.ids();
        let Some(at) = ids.iter().position(|&other| other == id) else { return false };
        // Those behind move up, so that the array stays in the order of sending.
        ids.copy_within(at + 1.., at);
        self.inflight_count -= 1;
        true
    }

    /// Sends a message whose envelope is `wire`, under the rules for `header`.
    fn send(&mut self, wire: &[u8], header: &Header, payload: &[u8]) -> Result<(), Code> {
        let tracked = self.role == ROLE_CLIENT && header.kind == Kind::Request;
        if tracked {
            if self.ids().contains(&header.message_id) {
                return Err(fault_code(Fault::DuplicateId(header.message_id)));
            }
            self.add_id(header.message_id)?;
        }
        let allowed = self.outgoing(header.kind).check(header);
        let parts = match allowed.and_then(|()| Cut::new(header, self.packet_size)) {
            Ok(parts) => parts,
            Err(fault) => {
                if tracked {
                    self.remove_id(header.message_id);
                }
                return Err(fault_code(fault));
            }
        };
        let Some(socket) = self.socket() else { return Err(closed("send")) };
        for (index, part) in parts.enumerate() {
            let head = if index == 0 { wire } else { &part.head[..] };
            if let Err(error) = socket.send(head, &payload[part.payload], Wait::FOREVER) {
                self.inflight_count = 0;
                note_error(&error);
                return Err(send_code(&error));
            }
        }
        Ok(())
    }

    /// Room for `len` bytes in `recv_buf`, which keeps what it holds.
    fn room(&mut self, len: usize) -> Result<&mut [u8], Code> {
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

    /// Receives a packet into `head` and `body`. What failed ends whatever is in flight.
    fn packet(
        &mut self,
        head: &mut [u8; Header::LEN],
        body: &mut [u8],
        wait: Wait<'_>,
    ) -> Result<Packet, Code> {
        let Some(socket) = self.socket() else { return Err(closed("receive")) };
        socket.receive(head, body, wait).map_err(|error| {
            note_error(&error);
            match error.kind() {
                ErrorKind::TimedOut => ERR_TIMEOUT,
                ErrorKind::Aborted => ERR_ABORTED,
                _ => {
                    self.inflight_count = 0;
                    receive_code(&error, wait)
                }
            }
        })
    }

    /// Receives one message and says where its payload is. `seen` is told its header as soon as it
    /// can be read.
    fn receive(
        &mut self,
        buf: &mut [u8],
        wait: Wait<'_>,
        seen: impl FnOnce(nipc_header_t),
    ) -> Result<(*const u8, usize), Code> {
        let limits = self.incoming();
        let packet_size =
            if self.packet_size as usize > Header::LEN { self.packet_size } else { u32::MAX };
        let most = limits.payload_bytes.min(packet_size - Header::LEN as u32) as usize;
        let mut head = [0; Header::LEN];
        // Where the first packet goes: the caller's buffer if it holds any packet, else ours.
        let in_buf = buf.len() >= Header::LEN + most;
        let packet = if in_buf {
            let (start, body) = buf.split_at_mut(Header::LEN);
            let packet = self.packet(&mut head, &mut body[..most], wait)?;
            start.copy_from_slice(&head);
            packet
        } else {
            let body: *mut [u8] = self.room(most)?;
            // SAFETY: the buffer is not touched by what receives into it but through this.
            self.packet(&mut head, unsafe { &mut *body }, wait)?
        };
        let wire = &head[..packet.len.min(Header::LEN)];
        let header = Header::read(wire).map_err(|error| fault_code(Fault::Malformed(error)))?;
        if let Some(image) = nipc_header_t::from_wire(&head) {
            seen(image);
        }
        limits.check(&header).map_err(fault_code)?;
        let tracked = self.role == ROLE_CLIENT && header.kind == Kind::Response;
        if tracked && !self.remove_id(header.message_id) {
            return Err(fault_code(Fault::UnknownId(header.message_id)));
        }
        if packet.truncated {
            return Err(fault_code(Fault::Trailing));
        }
        let first = packet.len - Header::LEN;
        let mut join = Join::start(&header, first, packet_size).map_err(fault_code)?;
        let len = header.payload_len as usize;
        let payload = if join.is_complete() {
            if in_buf { &buf[Header::LEN..Header::LEN + len] } else { &self.room(len)?[..] }
        } else {
            self.join(&mut join, in_buf.then(|| &buf[Header::LEN..][..first]), wait)?
        };
        check_batch(&header, payload).map_err(fault_code)?;
        Ok((payload.as_ptr(), len))
    }

    /// Receives the rest of a message into `recv_buf`, behind the bytes of its first packet, which
    /// are in `first` or there already.
    fn join(
        &mut self,
        join: &mut Join,
        first: Option<&[u8]>,
        wait: Wait<'_>,
    ) -> Result<&[u8], Code> {
        let len = join.header().payload_len as usize;
        let payload: *mut [u8] = self.room(len)?;
        // SAFETY: the buffer is not touched by what receives into it but through this.
        let payload = unsafe { &mut *payload };
        if let Some(first) = first {
            payload[..first.len()].copy_from_slice(first);
        }
        while !join.is_complete() {
            let mut head = [0; Header::LEN];
            let packet = self.packet(&mut head, &mut payload[join.next()], wait)?;
            if packet.truncated {
                return Err(fault_code(Fault::WrongPart));
            }
            let wire = &head[..packet.len.min(Header::LEN)];
            join.push(wire, packet.len.saturating_sub(Header::LEN)).map_err(fault_code)?;
        }
        Ok(payload)
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

fn closed(tried: &str) -> Code {
    note(format!("{tried} on a session that is closed"));
    ERR_BAD_PARAM
}

/// # Safety
///
/// The pointers are what the header asks for, or null.
pub(super) unsafe fn send(
    session: *mut Session,
    hdr: *mut nipc_header_t,
    payload: *const c_void,
    payload_len: usize,
) -> Code {
    // SAFETY: as promised by the caller.
    let given = unsafe { (session.as_mut(), hdr.as_mut(), bytes(payload, payload_len)) };
    let (Some(session), Some(hdr), Some(payload)) = given else {
        return bad_param("send without a session, a header or a payload");
    };
    if session.socket().is_none() {
        return closed("send");
    }
    let Some(len) = u32::try_from(payload.len()).ok().filter(|len| *len <= u32::MAX - 32) else {
        note("a message of more than 4 GiB");
        return ERR_LIMIT_EXCEEDED;
    };
    let header = hdr.complete(len);
    let sent = session.send(hdr.wire(), &header, payload);
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
    wait: Wait<'_>,
) -> Code {
    // SAFETY: as promised by the caller.
    let given = unsafe { (session.as_mut(), bytes_mut(buf, buf_size)) };
    let (Some(session), Some(buf)) = given else {
        return bad_param("receive without a session or a buffer");
    };
    if hdr_out.is_null() || payload_out.is_null() || payload_len_out.is_null() {
        return bad_param("receive without a place for what is received");
    }
    if session.socket().is_none() {
        return closed("receive");
    }
    // SAFETY: as promised by the caller.
    match session.receive(buf, wait, |header| unsafe { hdr_out.write(header) }) {
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
