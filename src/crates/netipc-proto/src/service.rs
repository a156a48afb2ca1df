//! What makes a service kind.

use crate::layout::{Malformed, Unwritable};

/// One kind of service: what is asked, what is answered, and how both lie on the wire.
///
/// Clients, servers and caches are written once against this trait. A kind knows nothing of
/// sockets, sessions or threads.
pub trait Service: 'static {
    /// The method code in every envelope of this kind.
    const METHOD: u16;
    /// The name under which such a service is usually found, such as `cgroups-lookup`.
    const NAME: &'static str;
    /// Whether one message may carry many requests, each answered for itself. If not, the flag that
    /// says so means nothing.
    const IN_BATCHES: bool = true;

    /// What a caller asks.
    type Request<'a>: Copy;
    /// What a handler is asked: the request, read from the message.
    type RequestView<'a>;
    /// What a handler fills: the reply, written into the message.
    type ReplyBuilder<'a>;
    /// What a caller gets: the reply, read from the message.
    type ReplyView<'a>;

    /// How many bytes [`write_request`](Self::write_request) takes.
    fn request_len(request: Self::Request<'_>) -> usize;

    /// Writes a request to the start of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// It does not fit, or has no form on the wire.
    fn write_request(request: Self::Request<'_>, out: &mut [u8]) -> Result<usize, Unwritable>;

    /// Reads and checks a request.
    ///
    /// # Errors
    ///
    /// Which rule of PROTOCOL.md the bytes break.
    fn read_request(bytes: &[u8]) -> Result<Self::RequestView<'_>, Malformed>;

    /// Starts a reply in `out`, whose length is what the reply may take.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if not even an empty reply fits.
    fn build_reply<'a>(
        asked: &'a Self::RequestView<'_>,
        out: &'a mut [u8],
    ) -> Result<Self::ReplyBuilder<'a>, Unwritable>;

    /// Ends a reply and returns its length.
    ///
    /// # Errors
    ///
    /// What went wrong while it was filled, even if the one who filled it did not notice.
    fn finish_reply(reply: Self::ReplyBuilder<'_>) -> Result<usize, Unwritable>;

    /// Reads and checks a reply.
    ///
    /// # Errors
    ///
    /// Which rule of PROTOCOL.md the bytes break.
    fn read_reply(bytes: &[u8]) -> Result<Self::ReplyView<'_>, Malformed>;
}
