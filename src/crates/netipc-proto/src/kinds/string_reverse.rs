//! `string-reverse`: a string in, its bytes backwards out. For tests.

use crate::{
    layout::{Defect, Malformed, Unwritable, malformed, narrow},
    service::Service,
    text::Text,
};

/// The `string-reverse` service.
#[derive(Clone, Copy, Debug)]
pub struct StringReverse;

layout! {
    /// A request or a reply: one string, and a NUL behind it.
    pub struct StringHeader: 8 {
        /// How many bytes it has; any bytes, NULs too.
        4 length: u32,
    } fixed {
        0 offset: u32 = 8;
    }
}

/// A reply, as a handler fills it.
#[derive(Debug)]
pub struct Reply<'a> {
    out: &'a mut [u8],
    wrote: Result<usize, Unwritable>,
}

impl Reply<'_> {
    /// Answers `text`. The last one counts.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if it does not fit.
    pub fn set(&mut self, text: &[u8]) -> Result<(), Unwritable> {
        self.wrote = StringReverse::write_request(text, self.out);
        self.wrote.map(drop)
    }

    /// Where the bytes of an answer go, for those who write them in place; see
    /// [`set_len`](Self::set_len).
    pub fn room(&mut self) -> &mut [u8] {
        let end = self.out.len().saturating_sub(1).max(StringHeader::LEN);
        self.out.get_mut(StringHeader::LEN..end).unwrap_or_default()
    }

    /// Answers the first `len` bytes of [`room`](Self::room).
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if there are not that many.
    pub fn set_len(&mut self, len: usize) -> Result<(), Unwritable> {
        self.wrote = frame(len, self.out);
        self.wrote.map(drop)
    }
}

/// Writes what stands before and behind a string of `len` bytes.
fn frame(len: usize, out: &mut [u8]) -> Result<usize, Unwritable> {
    let length = narrow(len)?;
    let out = out.get_mut(..StringReverse::encoded_len(len)).ok_or(Unwritable::Full)?;
    StringHeader { length }.write(out);
    out[StringHeader::LEN + len] = 0;
    Ok(out.len())
}

impl StringReverse {
    /// How many bytes a string of `len` bytes takes.
    pub const fn encoded_len(len: usize) -> usize {
        len.saturating_add(StringHeader::LEN + 1)
    }
}

impl Service for StringReverse {
    const METHOD: u16 = 3;
    const NAME: &'static str = "string-reverse";

    type Request<'a> = &'a [u8];
    type RequestView<'a> = Text<'a>;
    type ReplyBuilder<'a> = Reply<'a>;
    type ReplyView<'a> = Text<'a>;

    fn request_len(text: &[u8]) -> usize {
        Self::encoded_len(text.len())
    }

    fn write_request(text: &[u8], out: &mut [u8]) -> Result<usize, Unwritable> {
        let len = frame(text.len(), out)?;
        out[StringHeader::LEN..len - 1].copy_from_slice(text);
        Ok(len)
    }

    fn read_request(bytes: &[u8]) -> Result<Text<'_>, Malformed> {
        let head = StringHeader::read(bytes)?;
        let end = StringHeader::LEN.saturating_add(head.length as usize);
        match bytes.get(end) {
            Some(0) => Ok(Text::new(&bytes[StringHeader::LEN..end])),
            Some(_) => {
                Err(malformed(Defect::MissingNul, "StringHeader", end, "has no NUL behind it"))
            }
            None => {
                Err(malformed(Defect::OutOfBounds, "StringHeader", 4, "points outside the message"))
            }
        }
    }

    fn build_reply<'a>(
        _: &'a Text<'_>,
        out: &'a mut [u8],
    ) -> Result<Self::ReplyBuilder<'a>, Unwritable> {
        let wrote = frame(0, out);
        Ok(Reply { out, wrote })
    }

    fn finish_reply(reply: Reply<'_>) -> Result<usize, Unwritable> {
        reply.wrote
    }

    fn read_reply(bytes: &[u8]) -> Result<Text<'_>, Malformed> {
        Self::read_request(bytes)
    }
}
