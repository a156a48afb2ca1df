//! A directory of items and the items behind it: the shape of batches, snapshots and lookups
//! (PROTOCOL.md, section 5).
//!
//! ```text
//! head | (offset, length) × n | item 0 | pad | item 1 | pad | …
//! ```
//!
//! Offsets count from the end of the directory; every item starts on a multiple of 8.

use core::ops::{Range, RangeInclusive};

use crate::layout::{Defect, Malformed, Scalar, Span, Unwritable, align8, malformed, narrow};

layout! {
    /// One entry of a directory.
    pub struct DirectoryEntry: 8 {
        /// Where the item starts, from the end of the directory.
        0 offset: u32,
        /// How long it is, padding not counted.
        4 length: u32,
    }
}

/// What a directory promises about its items, beyond lying within the message.
#[derive(Clone, Debug)]
pub enum Rule {
    /// They may lie anywhere, even over one another, but are no shorter than this.
    Free(usize),
    /// They lie in order, do not overlap, and their lengths are within this.
    Packed(RangeInclusive<usize>),
}

/// The items of a message, checked once when it is read.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a> {
    directory: &'a [u8],
    area: &'a [u8],
}

impl<'a> Items<'a> {
    /// Reads `count` entries from the start of `bytes`.
    ///
    /// # Errors
    ///
    /// The directory is longer than the bytes, or an entry breaks `rule`.
    pub fn read(bytes: &'a [u8], count: u32, rule: Rule) -> Result<Self, Malformed> {
        let items = Items::again(bytes, count)?;
        Items::check(items.directory, items.area.len(), &rule)?;
        Ok(items)
    }

    /// The bytes of one item of which nothing was checked before, not even its entry.
    ///
    /// # Errors
    ///
    /// The directory is longer than the bytes, there is no such item, or its entry breaks `rule`.
    pub fn one(
        bytes: &'a [u8],
        count: u32,
        index: u32,
        rule: &Rule,
    ) -> Result<&'a [u8], Malformed> {
        let items = Items::again(bytes, count)?;
        let at = index as usize * Span::SIZE;
        let Some(entry) = items.directory.get(at..at + Span::SIZE) else {
            return fault(Defect::OutOfBounds, at, "is not there");
        };
        let before = items.directory[..at].last_chunk::<{ Span::SIZE }>();
        let end = before.map_or(0, |entry| span(entry).range().end);
        let range = check_entry(entry, at, items.area.len(), rule, end)?;
        Ok(&items.area[range])
    }

    /// Checks the entries of a directory with `area` bytes behind it.
    ///
    /// # Errors
    ///
    /// An entry breaks `rule`.
    pub fn check(directory: &[u8], area: usize, rule: &Rule) -> Result<(), Malformed> {
        let mut end = 0;
        for (index, entry) in directory.chunks_exact(Span::SIZE).enumerate() {
            end = check_entry(entry, index * Span::SIZE, area, rule, end)?.end;
        }
        Ok(())
    }

    /// Reads a directory whose entries were checked before.
    ///
    /// # Errors
    ///
    /// It is longer than the bytes.
    #[inline]
    pub(crate) fn again(bytes: &'a [u8], count: u32) -> Result<Self, Malformed> {
        let size = (count as usize).saturating_mul(Span::SIZE);
        match bytes.split_at_checked(size) {
            Some((directory, area)) => Ok(Items { directory, area }),
            None => fault(Defect::Truncated, bytes.len(), "is cut short"),
        }
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> u32 {
        // Never more than the u32 that `read` was given.
        (self.directory.len() / Span::SIZE) as u32
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.directory.is_empty()
    }

    /// The bytes of one item.
    #[inline]
    pub fn get(&self, index: u32) -> Option<&'a [u8]> {
        let entry = self.directory.chunks_exact(Span::SIZE).nth(index as usize)?;
        self.area.get(span(entry).range())
    }

    /// The bytes of each item, in the order of the directory.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> + Clone {
        let area = self.area;
        self.places().map(move |place| &area[place])
    }

    /// Where each item lies, from the end of the directory.
    #[inline]
    pub(crate) fn places(self) -> impl ExactSizeIterator<Item = Range<usize>> + Clone + use<'a> {
        self.directory.chunks_exact(Span::SIZE).map(|entry| span(entry).range())
    }
}

/// Where the item of an entry lies, behind one that ends at `end`.
#[inline]
fn check_entry(
    entry: &[u8],
    at: usize,
    area: usize,
    rule: &Rule,
    end: usize,
) -> Result<Range<usize>, Malformed> {
    let range = span(entry).range();
    let in_place = range.start.is_multiple_of(8) && range.end <= area;
    let obeys = match rule {
        Rule::Free(shortest) => range.len() >= *shortest,
        Rule::Packed(lengths) => lengths.contains(&range.len()) && range.start >= end,
    };
    if in_place && obeys { Ok(range) } else { misplaced(&range, at, area, rule) }
}

/// Which rule an entry breaks first, in the order of PROTOCOL.md.
#[cold]
fn misplaced<T>(range: &Range<usize>, at: usize, area: usize, rule: &Rule) -> Result<T, Malformed> {
    if !range.start.is_multiple_of(8) {
        return fault(Defect::BadAlignment, at, "is not at a multiple of 8");
    }
    if let Rule::Packed(lengths) = rule
        && !lengths.contains(&range.len())
    {
        return fault(Defect::BadLayout, at + 4, "has an impossible length");
    }
    if range.end > area {
        return fault(Defect::OutOfBounds, at, "points outside the message");
    }
    match rule {
        Rule::Free(_) => fault(Defect::Truncated, at + 4, "is too short for its item"),
        Rule::Packed(_) => fault(Defect::BadLayout, at, "overlaps the one before"),
    }
}

#[cold]
fn fault<T>(defect: Defect, at: usize, why: &'static str) -> Result<T, Malformed> {
    Err(malformed(defect, "DirectoryEntry", at, why))
}

#[inline]
fn span(entry: &[u8]) -> Span {
    Span::get(entry).expect("an entry is a span")
}

/// Writes a directory and its items into a message.
///
/// The directory comes first and its size is known last, so it is given room for `slots` entries,
/// and the items move when that was not the number: back when it was more, ahead when it was less
/// and may grow.
#[derive(Debug)]
pub struct ItemsWriter<'a> {
    out: &'a mut [u8],
    /// Where the directory starts; a multiple of 8.
    head: usize,
    slots: u32,
    may_grow: bool,
    count: u32,
    end: usize,
}

impl<'a> ItemsWriter<'a> {
    /// Leaves room for a head of `head` bytes, a multiple of 8, and a directory of `slots` entries.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if that is more than `out` holds.
    pub fn new(out: &'a mut [u8], head: usize, slots: u32) -> Result<Self, Unwritable> {
        let end = area(head, slots)?;
        if end > out.len() || u32::try_from(out.len()).is_err() {
            return Err(Unwritable::Full);
        }
        Ok(ItemsWriter { out, head, slots, may_grow: false, count: 0, end })
    }

    /// Goes on with a message begun before: a directory of `slots` entries behind `head` bytes,
    /// `count` of them taken, and items that end at `end`.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if no message in `out` can be in that state.
    pub fn resume(
        out: &'a mut [u8],
        head: usize,
        slots: u32,
        count: u32,
        end: usize,
    ) -> Result<Self, Unwritable> {
        let writer = ItemsWriter::new(out, head, slots)?;
        if count > slots || end < writer.end || end > writer.out.len() {
            return Err(Unwritable::Full);
        }
        Ok(ItemsWriter { count, end, ..writer })
    }

    /// Lets the directory take more entries than it was given room for.
    pub fn growing(self) -> Self {
        ItemsWriter { may_grow: true, ..self }
    }

    /// How many items there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Where the last item ends, or where the first may start.
    pub fn end(&self) -> usize {
        self.end
    }

    /// How many bytes the items may still take, were there no more of them than there are slots.
    pub fn room(&self) -> usize {
        self.out.len() - align8(self.end).min(self.out.len())
    }

    /// Makes room for `slots` entries in all, moving what is there.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if that is more than the message holds.
    pub fn reserve(&mut self, slots: u32) -> Result<(), Unwritable> {
        if slots <= self.slots { Ok(()) } else { self.resize(slots) }
    }

    /// Appends one item, written by `write` into all the room there is.
    ///
    /// # Errors
    ///
    /// Those of `write`, and [`Unwritable::Full`] if there is no room. Nothing is appended then.
    #[inline]
    pub fn push(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, Unwritable>,
    ) -> Result<(), Unwritable> {
        if self.count == self.slots {
            self.grow()?;
        }
        loop {
            let start = align8(self.end);
            let rest = &mut self.out[self.end..];
            match rest.first_chunk_mut::<8>() {
                // Always as much, which needs no call: the item is written over what is too much.
                Some(pad) => *pad = [0; 8],
                None => rest.fill(0),
            }
            match self.out.get_mut(start..).map_or(Err(Unwritable::Full), &mut write) {
                Ok(length) => {
                    self.append(start, length);
                    return Ok(());
                }
                // The room may have gone to entries that nobody needs yet.
                Err(Unwritable::Full) if self.may_grow && self.slots > self.count + 1 => {
                    self.resize(self.count + 1)?;
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// Enters the item that was written from `start` on.
    #[inline]
    fn append(&mut self, start: usize, length: usize) {
        let area = self.head + self.slots as usize * Span::SIZE;
        // Both fit a u32, since the whole message does.
        let entry = Span { offset: (start - area) as u32, length: length as u32 };
        entry.put(&mut self.out[self.head + self.count as usize * Span::SIZE..]);
        self.count += 1;
        self.end = start + length;
    }

    #[cold]
    fn grow(&mut self) -> Result<(), Unwritable> {
        if !self.may_grow {
            return Err(Unwritable::Full);
        }
        let more = self.slots.max(8).saturating_mul(2);
        // Where twice as many have no room, one more may have.
        self.resize(more).or_else(|_| self.resize(self.slots + 1))
    }

    /// Gives the directory room for exactly `slots` entries, no fewer than there are.
    fn resize(&mut self, slots: u32) -> Result<(), Unwritable> {
        let (from, to) = (area(self.head, self.slots)?, area(self.head, slots)?);
        let end = self.end - from + to;
        if end > self.out.len() {
            return Err(Unwritable::Full);
        }
        self.out.copy_within(from..self.end, to);
        (self.slots, self.end) = (slots, end);
        Ok(())
    }

    /// Closes the gap left by unused entries and returns the message and its length.
    pub fn finish(mut self) -> (&'a mut [u8], usize) {
        if self.count == 0 {
            return (self.out, self.head);
        }
        self.resize(self.count).expect("fewer entries take less room");
        (self.out, self.end)
    }

    /// As [`finish`](Self::finish), with the end of the last item padded to a multiple of 8 where
    /// there is room: the form of a batch.
    pub fn finish_padded(self) -> (&'a mut [u8], usize) {
        let (out, end) = self.finish();
        match out.get_mut(end..align8(end)) {
            Some(pad) => {
                pad.fill(0);
                (out, align8(end))
            }
            None => (out, end),
        }
    }
}

/// Where items start behind a head and `slots` entries.
fn area(head: usize, slots: u32) -> Result<usize, Unwritable> {
    debug_assert!(head.is_multiple_of(8), "items would not be aligned");
    let area = (slots as usize).checked_mul(Span::SIZE).and_then(|size| size.checked_add(head));
    area.filter(|&area| narrow(area).is_ok()).ok_or(Unwritable::Full)
}
