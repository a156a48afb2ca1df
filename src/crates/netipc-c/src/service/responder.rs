//! What answers requests: the handlers of a C program.

use std::{ffi::c_void, ptr, sync::Arc};

use netipc::{Declined, Handler, Respond};
use netipc_proto::{Header, Malformed, Response, Service, Status, Unwritable, respond};

use super::gate::Gate;
use super::server::{
    nipc_apps_lookup_service_handler_t, nipc_cgroups_lookup_service_handler_t,
    nipc_cgroups_service_handler_t, nipc_server_handler_fn,
};
use crate::{
    errors::{NIPC_ERR_HANDLER_FAILED, NIPC_ERR_OVERFLOW, NIPC_OK, nipc_error_t},
    protocol::{
        Image, nipc_cgroups_builder_estimate_max_items, nipc_dispatch_apps_lookup,
        nipc_dispatch_cgroups_lookup, nipc_dispatch_cgroups_snapshot, nipc_header_t,
    },
};

/// The handler of a server, by its kind.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Snapshot(nipc_cgroups_service_handler_t),
    Cgroups(nipc_cgroups_lookup_service_handler_t),
    Apps(nipc_apps_lookup_service_handler_t),
    Raw(nipc_server_handler_fn, *mut c_void),
}

// SAFETY: the header tells programs that handlers are called, with what they registered, from
// several threads at once.
unsafe impl Send for Answer {}
// SAFETY: as above.
unsafe impl Sync for Answer {}

impl Answer {
    fn is_served(&self) -> bool {
        match self {
            Answer::Snapshot(handler) => handler.handle.is_some(),
            Answer::Cgroups(handler) => handler.handle.is_some(),
            Answer::Apps(handler) => handler.handle.is_some(),
            Answer::Raw(handler, _) => handler.is_some(),
        }
    }

    /// Answers one request into `out` and returns the length of the answer.
    fn dispatch(
        &self,
        request: &Header,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, nipc_error_t> {
        let (from, from_len, to, room) =
            (payload.as_ptr(), payload.len(), out.as_mut_ptr(), out.len());
        let mut len = 0;
        // SAFETY: the pointers are those of slices, and the handlers are called as registered.
        let code = unsafe {
            match *self {
                Answer::Snapshot(handler) => {
                    let max_items = match handler.snapshot_max_items {
                        0 => nipc_cgroups_builder_estimate_max_items(room),
                        max_items => max_items,
                    };
                    let (handle, user) = (handler.handle, handler.user);
                    nipc_dispatch_cgroups_snapshot(
                        from, from_len, to, room, &mut len, max_items, handle, user,
                    )
                }
                Answer::Cgroups(handler) => nipc_dispatch_cgroups_lookup(
                    from,
                    from_len,
                    to,
                    room,
                    &mut len,
                    handler.handle,
                    handler.user,
                ),
                Answer::Apps(handler) => nipc_dispatch_apps_lookup(
                    from,
                    from_len,
                    to,
                    room,
                    &mut len,
                    handler.handle,
                    handler.user,
                ),
                Answer::Raw(None, _) => NIPC_ERR_HANDLER_FAILED,
                Answer::Raw(Some(handler), user) => {
                    let header = nipc_header_t::from_wire(&request.to_bytes());
                    let header = header.as_ref().map_or(ptr::null(), ptr::from_ref);
                    handler(user, header, from, from_len, to, room, &mut len)
                }
            }
        };
        match code {
            NIPC_OK if len <= room => Ok(len),
            NIPC_OK => Err(NIPC_ERR_OVERFLOW),
            code => Err(code),
        }
    }
}

/// Answers the messages of a server's clients.
pub(super) struct Responder {
    pub(super) answer: Answer,
    pub(super) gate: Arc<Gate>,
}

impl Respond for Responder {
    fn respond(&self, request: &Header, payload: &[u8], out: &mut [u8]) -> Response {
        if self.gate.method() != Some(request.code) || !self.answer.is_served() {
            return Response::without_payload(request, Status::Unsupported);
        }
        let answering = Answering { answer: &self.answer, request };
        let renamed = Header { code: Bytes::METHOD, ..*request };
        let mut response = respond::<Bytes>(&answering, &renamed, payload, out);
        response.header.code = request.code;
        response
    }

    fn sessions(&self, count: usize) {
        self.gate.show_sessions(count);
    }
}

/// A kind whose requests and replies are any bytes: what is in them, the C functions know.
struct Bytes;

/// A reply of any bytes.
struct BytesReply<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl Service for Bytes {
    const METHOD: u16 = 0;
    const NAME: &'static str = "bytes";

    type Request<'a> = &'a [u8];
    type RequestView<'a> = &'a [u8];
    type ReplyBuilder<'a> = BytesReply<'a>;
    type ReplyView<'a> = &'a [u8];

    fn request_len(request: &[u8]) -> usize {
        request.len()
    }

    fn write_request(request: &[u8], out: &mut [u8]) -> Result<usize, Unwritable> {
        out.get_mut(..request.len()).ok_or(Unwritable::Full)?.copy_from_slice(request);
        Ok(request.len())
    }

    fn read_request(bytes: &[u8]) -> Result<&[u8], Malformed> {
        Ok(bytes)
    }

    fn build_reply<'a>(_: &'a &[u8], out: &'a mut [u8]) -> Result<BytesReply<'a>, Unwritable> {
        Ok(BytesReply { out, len: 0 })
    }

    fn finish_reply(reply: BytesReply<'_>) -> Result<usize, Unwritable> {
        Ok(reply.len)
    }

    fn read_reply(bytes: &[u8]) -> Result<&[u8], Malformed> {
        Ok(bytes)
    }
}

struct Answering<'a> {
    answer: &'a Answer,
    request: &'a Header,
}

impl Handler<Bytes> for Answering<'_> {
    fn handle(&self, asked: &&[u8], reply: &mut BytesReply<'_>) -> Result<(), Declined> {
        // An item of a batch is shown to the handler as the request it is.
        let flags = self.request.flags & !Header::BATCH;
        let payload_len = asked.len() as u32;
        let request = Header { flags, item_count: 1, payload_len, ..*self.request };
        let answered = self.answer.dispatch(&request, asked, reply.out);
        reply.len = answered.map_err(|code| match code {
            NIPC_ERR_OVERFLOW => Declined::Full,
            NIPC_ERR_HANDLER_FAILED => Declined::Failed,
            _ => Declined::Invalid,
        })?;
        Ok(())
    }
}
