//! Writing one item: a head, then strings, then labels (PROTOCOL.md, section 17).

use crate::{
    item::{LabelEntry, Labels},
    layout::{Span, Unwritable, align8, narrow},
    text::{copy_has_nul, has_nul},
};

/// Writes an item: a head, and strings one behind the other after it.
///
/// A pen without paper only measures.
#[derive(Debug)]
pub struct Pen<'a> {
    paper: Option<&'a mut [u8]>,
    at: usize,
}

impl<'a> Pen<'a> {
    /// Writes to the start of `paper`.
    #[inline]
    pub(crate) fn on(paper: &'a mut [u8]) -> Self {
        Pen { paper: Some(paper), at: 0 }
    }

    /// The length of what `write` would write.
    ///
    /// # Errors
    ///
    /// What `write` says. [`Unwritable::Full`] means that no message has room for it.
    pub(crate) fn measure(
        write: impl FnOnce(&mut Pen<'_>) -> Result<(), Unwritable>,
    ) -> Result<usize, Unwritable> {
        let mut pen = Pen { paper: None, at: 0 };
        write(&mut pen).map(|()| pen.at)
    }

    /// How much is written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.at
    }

    /// Leaves room for `len` bytes and returns where they start.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if there is no room.
    #[inline]
    pub fn skip(&mut self, len: usize) -> Result<usize, Unwritable> {
        let start = self.at;
        let end = start.checked_add(len).ok_or(Unwritable::Full)?;
        if self.paper.as_ref().is_some_and(|paper| end > paper.len()) {
            return Err(Unwritable::Full);
        }
        self.at = end;
        Ok(start)
    }

    /// Writes into room left before, which starts at `start` and ends where the pen is.
    #[inline(always)]
    pub fn fill(&mut self, start: usize, write: impl FnOnce(&mut [u8])) {
        if let Some(paper) = &mut self.paper {
            write(&mut paper[start..self.at]);
        }
    }

    /// Writes a string and a NUL behind it.
    ///
    /// # Errors
    ///
    /// There is no room, or the string has a NUL inside.
    #[inline(always)]
    pub fn string(&mut self, bytes: &[u8]) -> Result<Span, Unwritable> {
        match self.place(bytes) {
            Some((span, false)) => Ok(span),
            Some((_, true)) => Err(Unwritable::Invalid(&"string with a NUL inside")),
            None => Err(Unwritable::Full),
        }
    }

    /// Writes a string that may have NULs inside, and a NUL behind it.
    ///
    /// # Errors
    ///
    /// There is no room.
    #[inline(always)]
    pub fn any_string(&mut self, bytes: &[u8]) -> Result<Span, Unwritable> {
        self.place(bytes).map(|(span, _)| span).ok_or(Unwritable::Full)
    }

    /// Writes a string and a NUL behind it, if there is room. Where it lies, and whether there is a
    /// NUL inside.
    #[inline(always)]
    fn place(&mut self, bytes: &[u8]) -> Option<(Span, bool)> {
        let end = self.at.checked_add(bytes.len())?;
        let span = Span { offset: narrow(self.at).ok()?, length: narrow(bytes.len()).ok()? };
        let has_nul = match &mut self.paper {
            Some(paper) => {
                let (nul, room) = paper.get_mut(self.at..=end)?.split_last_mut()?;
                *nul = 0;
                copy_has_nul(bytes, room)
            }
            None => has_nul(bytes),
        };
        self.at = end.checked_add(1)?;
        Some((span, has_nul))
    }

    /// Writes labels: padding, their table, and their strings.
    ///
    /// # Errors
    ///
    /// There is no room, there are more than 65,535, a key is empty, or a string has a NUL inside.
    #[inline]
    pub fn labels(&mut self, labels: Labels<'_>) -> Result<u16, Unwritable> {
        if labels.is_empty() {
            return Ok(0);
        }
        if let Some(pairs) = labels.given() {
            return self.some_labels(pairs.len(), pairs.iter().copied());
        }
        let pairs = labels.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes()));
        self.some_labels(labels.len(), pairs)
    }

    fn some_labels<'b>(
        &mut self,
        count: usize,
        pairs: impl Iterator<Item = (&'b [u8], &'b [u8])>,
    ) -> Result<u16, Unwritable> {
        let wire_count = u16::try_from(count).map_err(|_| Unwritable::Full)?;
        let pad = self.skip(align8(self.at) - self.at)?;
        let mut entry = self.skip(count * LabelEntry::LEN)?;
        // The table, which is at least as long as the padding, is written over what is too much.
        self.fill(pad, |to| to[..align8(1)].fill(0));
        for (key, value) in pairs {
            if key.is_empty() {
                return Err(Unwritable::Invalid(&"label without a key"));
            }
            let (key, value) = (self.string(key)?, self.string(value)?);
            self.fill(entry, |to| LabelEntry { key, value }.write(to));
            entry += LabelEntry::LEN;
        }
        Ok(wire_count)
    }
}
