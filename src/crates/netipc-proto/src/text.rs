//! Strings as they travel: bytes, most often UTF-8, never relied on to be.

use core::{fmt, str::Utf8Error};

/// A string out of a message. It borrows the message and is not necessarily UTF-8.
///
/// ```
/// # use netipc_proto::Text;
/// let name = Text::new(b"nginx");
/// assert_eq!(name.as_str(), Ok("nginx"));
/// assert_eq!(format!("{}", Text::new(b"n\xffx")), "n\u{fffd}x");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// Some bytes as a string.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Text(bytes)
    }

    /// Its bytes, without the NUL that ends it on the wire.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The string, if it is UTF-8.
    ///
    /// # Errors
    ///
    /// Where it is not.
    pub fn as_str(&self) -> Result<&'a str, Utf8Error> {
        core::str::from_utf8(self.0)
    }

    /// How many bytes it has.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Shows what is not UTF-8 as U+FFFD.
impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl<'a> From<&'a [u8]> for Text<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Text(bytes)
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Text(text.as_bytes())
    }
}

impl PartialEq<[u8]> for Text<'_> {
    fn eq(&self, other: &[u8]) -> bool {
        self.0 == other
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for Text<'_> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// Whether there is a NUL in a string.
#[inline]
pub(crate) fn has_nul(bytes: &[u8]) -> bool {
    scan(bytes, None)
}

/// Copies a string to `to`, which is as long. Whether there is a NUL in it.
#[inline]
pub(crate) fn copy_has_nul(bytes: &[u8], to: &mut [u8]) -> bool {
    scan(bytes, Some(to))
}

/// One pass, and no call for what is not long: most strings are short, and of lookups there are
/// many. No loop either, of which the compiler would make two passes and calls.
#[inline(always)]
fn scan(bytes: &[u8], to: Option<&mut [u8]>) -> bool {
    match bytes.len() {
        0 => false,
        1 => scan_ends::<1>(bytes, to),
        2..4 => scan_ends::<2>(bytes, to),
        4..8 => scan_ends::<4>(bytes, to),
        8..16 => scan_ends::<8>(bytes, to),
        16..=32 => scan_ends::<16>(bytes, to),
        33..=64 => scan_ends::<32>(bytes, to),
        _ => {
            if let Some(to) = to {
                to.copy_from_slice(bytes);
            }
            bytes.contains(&0)
        }
    }
}

/// [`scan`] for `N` to twice as many bytes: the first `N` and the last `N`, which may overlap.
#[inline(always)]
fn scan_ends<const N: usize>(bytes: &[u8], to: Option<&mut [u8]>) -> bool {
    let ends = bytes.first_chunk::<N>().zip(bytes.last_chunk::<N>());
    let (first, last) = ends.expect("there are as many");
    if let Some(to) = to {
        *to.first_chunk_mut().expect("it is as long") = *first;
        *to.last_chunk_mut().expect("it is as long") = *last;
    }
    first.iter().zip(last).fold(false, |found, (a, b)| found | (*a.min(b) == 0))
}
