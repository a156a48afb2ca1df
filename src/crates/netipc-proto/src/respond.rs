//! The server's half of a call: a request message in, a response message out
//! (PROTOCOL.md, section 12).

use core::fmt;

use crate::{
    envelope::{Header, Kind, Status},
    items::{Items, ItemsWriter, Rule},
    layout::Unwritable,
    service::Service,
};

/// Why a handler gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declined {
    /// The answer is larger than the session allows; the caller may come back with a larger one.
    Full,
    /// The answer has no form on the wire.
    Invalid,
    /// Anything else went wrong.
    Failed,
    /// Nothing is served here at all.
    Unsupported,
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Declined::Full => "the answer is larger than the session allows",
            Declined::Invalid => "the answer has no form on the wire",
            Declined::Failed => "the handler failed",
            Declined::Unsupported => "not served here",
        })
    }
}

impl core::error::Error for Declined {}

impl From<Unwritable> for Declined {
    fn from(unwritable: Unwritable) -> Self {
        match unwritable {
            Unwritable::Full => Declined::Full,
            Unwritable::Invalid(_) | Unwritable::TooFew => Declined::Invalid,
        }
    }
}

impl From<Declined> for Status {
    fn from(declined: Declined) -> Self {
        match declined {
            Declined::Full => Status::LimitExceeded,
            Declined::Invalid => Status::BadEnvelope,
            Declined::Failed => Status::InternalError,
            Declined::Unsupported => Status::Unsupported,
        }
    }
}

/// The business end of a server. Any function of this shape is one.
pub trait Handler<S: Service>: Send + Sync {
    /// Fills `reply` with the answer to what is `asked`.
    ///
    /// Called from several threads at once, and twice for the same request where a session broke.
    ///
    /// # Errors
    ///
    /// Why there is no answer.
    fn handle(
        &self,
        asked: &S::RequestView<'_>,
        reply: &mut S::ReplyBuilder<'_>,
    ) -> Result<(), Declined>;
}

impl<S, F> Handler<S> for F
where
    S: Service,
    F: Fn(&S::RequestView<'_>, &mut S::ReplyBuilder<'_>) -> Result<(), Declined> + Send + Sync,
{
    fn handle(
        &self,
        asked: &S::RequestView<'_>,
        reply: &mut S::ReplyBuilder<'_>,
    ) -> Result<(), Declined> {
        self(asked, reply)
    }
}

/// What to send back, and whether the session ends with it.
#[derive(Clone, Copy, Debug)]
pub struct Response {
    /// The envelope; the payload is the first `payload_len` bytes of what was written.
    pub header: Header,
    /// Whether the server hangs up after sending it.
    pub hang_up: bool,
}

impl Response {
    /// The response to `request` that says only how it went.
    pub fn without_payload(request: &Header, status: Status) -> Self {
        Response {
            header: Header {
                kind: Kind::Response,
                flags: 0,
                code: request.code,
                transport_status: status.code(),
                payload_len: 0,
                item_count: 1,
                message_id: request.message_id,
            },
            hang_up: !matches!(status, Status::Ok | Status::Unsupported),
        }
    }
}

/// Answers `request` into `out`, whose length is the session's limit.
pub fn respond<S: Service>(
    handler: &(impl Handler<S> + ?Sized),
    request: &Header,
    payload: &[u8],
    out: &mut [u8],
) -> Response {
    let is_batch = S::IN_BATCHES && request.is_batch();
    let answered = if request.code != S::METHOD {
        Err(Status::Unsupported)
    } else if is_batch {
        respond_batch::<S>(handler, request.item_count, payload, out)
    } else {
        respond_one::<S>(handler, payload, out)
    };
    match answered {
        Err(status) => Response::without_payload(request, status),
        Ok(len) => {
            let mut response = Response::without_payload(request, Status::Ok);
            response.header.payload_len = len as u32;
            if is_batch {
                response.header.flags = Header::BATCH;
                response.header.item_count = request.item_count;
            }
            response
        }
    }
}

/// Answers one request into `out`, whose length is what the answer may take.
///
/// # Errors
///
/// The status to answer instead.
pub fn respond_one<S: Service>(
    handler: &(impl Handler<S> + ?Sized),
    payload: &[u8],
    out: &mut [u8],
) -> Result<usize, Status> {
    let asked = S::read_request(payload).map_err(|_| Status::BadEnvelope)?;
    let mut reply = S::build_reply(&asked, out).map_err(|_| Status::LimitExceeded)?;
    let handled = handler.handle(&asked, &mut reply);
    match (handled, S::finish_reply(reply)) {
        (Ok(()), Ok(len)) => Ok(len),
        // What did not fit comes first: a handler that gave up because of it should not hide it.
        (_, Err(Unwritable::Full)) => Err(Status::LimitExceeded),
        (Err(declined), _) => Err(declined.into()),
        (Ok(()), Err(unwritable)) => Err(Declined::from(unwritable).into()),
    }
}

/// Answers each request of a batch, or none.
fn respond_batch<S: Service>(
    handler: &(impl Handler<S> + ?Sized),
    count: u32,
    payload: &[u8],
    out: &mut [u8],
) -> Result<usize, Status> {
    let requests = Items::read(payload, count, Rule::Free(0)).map_err(|_| Status::BadEnvelope)?;
    let mut replies = ItemsWriter::new(out, 0, count).map_err(|_| Status::LimitExceeded)?;
    for request in requests.iter() {
        let mut status = Status::LimitExceeded;
        replies
            .push(|out| {
                respond_one::<S>(handler, request, out).map_err(|why| {
                    status = why;
                    Unwritable::Full
                })
            })
            .map_err(|_| status)?;
    }
    Ok(replies.finish_padded().1)
}
