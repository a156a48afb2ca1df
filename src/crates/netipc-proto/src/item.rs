//! Inside one item: a head, then strings, then labels (PROTOCOL.md, section 17).

use crate::{
    layout::{Defect, Malformed, Span, align8, malformed},
    text::{Text, has_nul},
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
        let labels = Labels { given: &[], item, table };
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
pub struct Labels<'a> {
    given: &'a [(&'a [u8], &'a [u8])],
    /// The item whose labels these are and the table of them in it, unless they are given. Nothing
    /// tells which but their being empty: values with a tag are slow to pass on.
    item: &'a [u8],
    table: &'a [u8],
}

impl<'a> Labels<'a> {
    /// No labels.
    pub const NONE: Labels<'static> = Labels::new(&[]);

    /// The given pairs of a key and a value.
    pub const fn new(pairs: &'a [(&'a [u8], &'a [u8])]) -> Self {
        Labels { given: pairs, item: &[], table: &[] }
    }

    /// The pairs, unless they are those of an item.
    #[inline]
    pub(crate) fn given(&self) -> Option<&'a [(&'a [u8], &'a [u8])]> {
        self.table.is_empty().then_some(self.given)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.given.len() + self.table.len() / LabelEntry::LEN
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The key and the value of one label.
    pub fn get(&self, index: usize) -> Option<(Text<'a>, Text<'a>)> {
        if let Some(&(key, value)) = self.given.get(index) {
            return Some((Text::new(key), Text::new(value)));
        }
        let entry = self.table.chunks_exact(LabelEntry::LEN).nth(index)?;
        let LabelEntry { key, value } = LabelEntry::read(entry).ok()?;
        Some((Text::new(self.item.get(key.range())?), Text::new(self.item.get(value.range())?)))
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
