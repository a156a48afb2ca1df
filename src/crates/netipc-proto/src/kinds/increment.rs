//! `increment`: a number in, the next number out. For tests and benchmarks.

use crate::{
    layout::{Malformed, Unwritable},
    service::Service,
};

/// The `increment` service.
#[derive(Clone, Copy, Debug)]
pub struct Increment;

layout! {
    /// A request or a reply: one number.
    pub struct IncrementPayload: 8 {
        /// The number.
        0 value: u64,
    }
}

/// A reply, as a handler fills it.
#[derive(Debug)]
pub struct Number<'a> {
    /// The number to answer.
    pub value: u64,
    out: &'a mut [u8],
}

impl Service for Increment {
    const METHOD: u16 = 1;
    const NAME: &'static str = "increment";

    type Request<'a> = u64;
    type RequestView<'a> = u64;
    type ReplyBuilder<'a> = Number<'a>;
    type ReplyView<'a> = u64;

    fn request_len(_: u64) -> usize {
        IncrementPayload::LEN
    }

    fn write_request(value: u64, out: &mut [u8]) -> Result<usize, Unwritable> {
        let out = out.get_mut(..IncrementPayload::LEN).ok_or(Unwritable::Full)?;
        IncrementPayload { value }.write(out);
        Ok(IncrementPayload::LEN)
    }

    fn read_request(bytes: &[u8]) -> Result<u64, Malformed> {
        IncrementPayload::read(bytes).map(|payload| payload.value)
    }

    fn build_reply<'a>(
        _: &'a u64,
        out: &'a mut [u8],
    ) -> Result<Self::ReplyBuilder<'a>, Unwritable> {
        Ok(Number { value: 0, out })
    }

    fn finish_reply(reply: Number<'_>) -> Result<usize, Unwritable> {
        Self::write_request(reply.value, reply.out)
    }

    fn read_reply(bytes: &[u8]) -> Result<u64, Malformed> {
        Self::read_request(bytes)
    }
}
