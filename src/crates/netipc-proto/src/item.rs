//! Inside one item: a head, then strings, then labels (PROTOCOL.md, section 17).

use crate::{
    layout::{Defect, Malformed, Span, Unwritable, align8, malformed, narrow},
    text::Text,
};

layout! {
    /// One label: where its key and its value lie, from the start of the item.
    pub struct LabelEntry: 16 {
        /// Where the key lies.
        0 key: Span,
        /// Where the value lies.
        8 value: Span,
    }
}

/// Reads an item: a head, and the strings and labels behind it.
///
/// An item is checked when its message is read. Later reads trust that and look for no NULs.
#[derive(Debug)]
pub struct Reader<'a> {
    item: &'a [u8],
    head: usize,
    end: usize,
    trusted: bool,
}

impl<'a> Reader<'a> {
    /// Reads an item that nobody has looked at yet.
    pub const fn new(item: &'a [u8]) -> Self {
        Reader { item, head: 0, end: 0, trusted: false }
    }

    /// Reads an item that was read before without a complaint.
    pub(crate) const fn again(item: &'a [u8]) -> Self {
        Reader { item, head: 0, end: 0, trusted: true }
    }

    /// All bytes of the item.
    pub const fn bytes(&self) -> &'a [u8] {
        self.item
    }

    /// Whether nobody has looked at the item yet.
    #[inline]
    pub(crate) const fn is_new(&self) -> bool {
        !self.trusted
    }

    /// Reads `N` strings that lie behind a head of `head` bytes and share no byte.
    ///
    /// # Errors
    ///
    /// A string lies outside, has no NUL behind it or one inside, or overlaps another.
    #[inline(always)]
    pub fn strings<const N: usize>(
        &mut self,
        head: usize,
        spans: [Span; N],
    ) -> Result<[Text<'a>; N], Malformed> {
        self.head = head;
        self.end = head;
        let mut found = [Text::default(); N];
        for (text, &span) in found.iter_mut().zip(&spans) {
            *text = self.string(span)?;
            self.end = self.end.max(span.range().end + 1);
        }
        if !self.trusted {
            apart(&spans)?;
        }
        Ok(found)
    }

    /// Reads `count` labels, which must fill the rest of the item.
    ///
    /// # Errors
    ///
    /// The table or a string of it does not lie where it must, a string has a NUL inside or none
    /// behind it, a key is empty, or something follows.
    #[inline(always)]
    pub fn labels(&self, count: u16) -> Result<Labels<'a>, Malformed> {
        if count == 0 && self.item.len() == self.end {
            return Ok(Labels::NONE);
        }
        self.some_labels(count)
    }

    fn some_labels(&self, count: u16) -> Result<Labels<'a>, Malformed> {
        let item = self.item;
        let fault = |defect, at, why| Err(malformed(defect, "LabelEntry", at, why));
        if count == 0 {
            return fault(Defect::BadLayout, self.end, "is missing before stray bytes");
        }
        let start = align8(self.end);
        if start > item.len() {
            return fault(Defect::OutOfBounds, item.len(), "lies outside its item");
        }
        if !self.trusted && item[self.end..start].iter().any(|&pad| pad != 0) {
            return fault(Defect::BadLayout, self.end, "follows padding that is not zero");
        }
        let mut next = start + count as usize * LabelEntry::LEN;
        let Some(table) = item.get(start..next) else {
            return fault(Defect::OutOfBounds, start, "lies outside its item");
        };
        let labels = Labels(Source::Wire { item, table });
        if self.trusted {
            return Ok(labels);
        }
        for (index, entry) in table.chunks_exact(LabelEntry::LEN).enumerate() {
            let LabelEntry { key, value } = LabelEntry::read(entry)?;
            if key.length == 0 {
                let at = start + index * LabelEntry::LEN;
                return fault(Defect::BadLayout, at, "has no key");
            }
            for part in [key, value] {
                if part.offset as usize != next {
                    return fault(Defect::BadLayout, next, "has a string out of place");
                }
                self.string(part)?;
                next = part.range().end + 1;
            }
        }
        if next != item.len() {
            return fault(Defect::BadLayout, next, "is followed by stray bytes");
        }
        Ok(labels)
    }

    /// The string at `span`, which must lie behind the head and end in a NUL.
    #[inline(always)]
    fn string(&self, span: Span) -> Result<Text<'a>, Malformed> {
        let range = span.range();
        let fault = |defect, at, why| Err(malformed(defect, "string", at, why));
        if range.start < self.head || range.end >= self.item.len() {
            return fault(Defect::OutOfBounds, range.start, "lies outside its item");
        }
        let (bytes, nul) = (&self.item[range.clone()], self.item[range.end]);
        if self.trusted {
            return Ok(Text::new(bytes));
        }
        if nul != 0 {
            return fault(Defect::MissingNul, range.end, "has no NUL behind it");
        }
        if has_nul(bytes) {
            return fault(Defect::BadLayout, range.start, "has a NUL inside");
        }
        Ok(Text::new(bytes))
    }
}

/// Whether there is a NUL in a string, eight bytes at a time.
#[inline]
fn has_nul(bytes: &[u8]) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    // The high bit of the lowest byte that is 0, and perhaps of others behind it.
    let zeros = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        word.wrapping_sub(LOW) & !word & (LOW << 7)
    };
    // The last word reaches back over bytes that were looked at, rather than beyond the end.
    let Some(last) = bytes.last_chunk() else { return bytes.contains(&0) };
    let (words, _) = bytes.as_chunks();
    words.iter().fold(zeros(last), |found, word| found | zeros(word)) != 0
}

/// Checks that no two strings share a byte, the NULs behind them included.
#[inline]
pub(crate) fn apart(spans: &[Span]) -> Result<(), Malformed> {
    for (i, a) in spans.iter().enumerate() {
        let a = a.range();
        for b in &spans[..i] {
            let b = b.range();
            if a.start <= b.end && b.start <= a.end {
                return Err(malformed(Defect::BadLayout, "string", a.start, "overlaps another"));
            }
        }
    }
    Ok(())
}

/// The labels of an item: pairs of a key and a value.
#[derive(Clone, Copy)]
pub struct Labels<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    Given(&'a [(&'a [u8], &'a [u8])]),
    Wire { item: &'a [u8], table: &'a [u8] },
}

impl<'a> Labels<'a> {
    /// No labels.
    pub const NONE: Labels<'static> = Labels(Source::Given(&[]));

    /// The given pairs of a key and a value.
    pub const fn new(pairs: &'a [(&'a [u8], &'a [u8])]) -> Self {
        Labels(Source::Given(pairs))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Given(pairs) => pairs.len(),
            Source::Wire { table, .. } => table.len() / LabelEntry::LEN,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key and the value of one label.
    pub fn get(&self, index: usize) -> Option<(Text<'a>, Text<'a>)> {
        match self.0 {
            Source::Given(pairs) => {
                pairs.get(index).map(|&(key, value)| (Text::new(key), Text::new(value)))
            }
            Source::Wire { item, table } => {
                let entry = table.chunks_exact(LabelEntry::LEN).nth(index)?;
                let LabelEntry { key, value } = LabelEntry::read(entry).ok()?;
                Some((Text::new(item.get(key.range())?), Text::new(item.get(value.range())?)))
            }
        }
    }

    /// Each label, in order. The same key may come twice.
    pub fn iter(&self) -> impl Iterator<Item = (Text<'a>, Text<'a>)> + use<'a> {
        let labels = *self;
        (0..labels.len()).map_while(move |index| labels.get(index))
    }
}

impl Default for Labels<'_> {
    fn default() -> Self {
        Labels::NONE
    }
}

impl PartialEq for Labels<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Labels<'_> {}

impl core::fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

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

    /// The length of what `write` would write; `usize::MAX` if it cannot be written.
    pub(crate) fn measure(write: impl FnOnce(&mut Pen<'_>) -> Result<(), Unwritable>) -> usize {
        let mut pen = Pen { paper: None, at: 0 };
        match write(&mut pen) {
            Ok(()) => pen.at,
            Err(_) => usize::MAX,
        }
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

    /// Writes strings, each with a NUL behind it.
    ///
    /// # Errors
    ///
    /// There is no room, or a string has a NUL inside.
    #[inline]
    pub fn strings<const N: usize>(
        &mut self,
        strings: [&[u8]; N],
    ) -> Result<[Span; N], Unwritable> {
        if self.paper.is_some() && strings.iter().any(|bytes| has_nul(bytes)) {
            return Err(Unwritable::Invalid(&"string with a NUL inside"));
        }
        self.any_strings(strings)
    }

    /// Writes strings that may have NULs inside, each with a NUL behind it.
    ///
    /// # Errors
    ///
    /// There is no room.
    #[inline]
    pub fn any_strings<const N: usize>(
        &mut self,
        strings: [&[u8]; N],
    ) -> Result<[Span; N], Unwritable> {
        let mut spans = [Span::default(); N];
        let mut at = self.at;
        for (span, bytes) in spans.iter_mut().zip(strings) {
            *span = match &mut self.paper {
                Some(paper) => put(paper, at, bytes)?,
                None => placed(at, bytes)?,
            };
            at = span.range().end + 1;
        }
        self.at = at;
        Ok(spans)
    }

    /// Writes labels: padding, their table, and their strings.
    ///
    /// # Errors
    ///
    /// There is no room, there are more than 65,535, a key is empty, or a string has a NUL inside.
    #[inline]
    pub fn labels(&mut self, labels: Labels<'_>) -> Result<u16, Unwritable> {
        match labels.0 {
            Source::Given([]) => Ok(0),
            Source::Given(pairs) => self.some_labels(pairs.len(), pairs.iter().copied()),
            Source::Wire { .. } => {
                let pairs = labels.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes()));
                self.some_labels(labels.len(), pairs)
            }
        }
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
            let [key, value] = self.strings([key, value])?;
            self.fill(entry, |to| LabelEntry { key, value }.write(to));
            entry += LabelEntry::LEN;
        }
        Ok(wire_count)
    }
}

/// Writes a string and the NUL behind it to `paper` at `at`.
#[inline]
fn put(paper: &mut [u8], at: usize, bytes: &[u8]) -> Result<Span, Unwritable> {
    let room = paper.get_mut(at..).and_then(|room| room.get_mut(..=bytes.len()));
    let (nul, room) = room.and_then(<[u8]>::split_last_mut).ok_or(Unwritable::Full)?;
    room.copy_from_slice(bytes);
    *nul = 0;
    placed(at, bytes)
}

/// Where a string at `at` lies.
#[inline]
fn placed(at: usize, bytes: &[u8]) -> Result<Span, Unwritable> {
    Ok(Span { offset: narrow(at)?, length: narrow(bytes.len())? })
}
