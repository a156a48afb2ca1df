//! `cgroups-snapshot`: all cgroups of this machine at once.

use core::ops::Range;

use crate::{
    items::{DirectoryEntry, Items, ItemsWriter, Rule},
    layout::{Defect, Malformed, Span, Unwritable, align8, malformed},
    pen::Pen,
    service::Service,
    text::Text,
};

/// The `cgroups-snapshot` service.
#[derive(Clone, Copy, Debug)]
pub struct CgroupsSnapshot;

layout! {
    /// A request for a snapshot.
    pub struct SnapshotRequest: 4 {} fixed {
        0 layout_version: u16 = 1;
        2 flags:          u16 = 0;
    }
}

layout! {
    /// The head of a snapshot.
    pub struct SnapshotReplyHeader: 24 {
        /// How many cgroups follow.
        4  item_count: u32,
        /// Whether systemd runs the machine, as the provider sees it.
        8  systemd_enabled: u32,
        /// Which state of the provider it is. A later one is greater.
        16 generation: u64,
    } fixed {
        0  layout_version: u16 = 1;
        2  flags:          u16 = 0;
        12 reserved:       u32 = 0;
    }
}

layout! {
    /// One cgroup in a snapshot. Its name and its path follow.
    pub struct SnapshotItem: 32 {
        /// What the provider computes from the name.
        4  hash: u32,
        /// Bits that the provider gives a meaning.
        8  options: u32,
        /// Whether it is monitored.
        12 enabled: u32,
        /// Where the name lies, from the start of the item.
        16 name: Span,
        /// Where the path lies, from the start of the item.
        24 path: Span,
    } fixed {
        0  layout_version: u16 = 1;
        2  flags:          u16 = 0;
    }
}

impl SnapshotItem {
    /// Reads one item of a snapshot and checks that its strings lie where they may.
    ///
    /// # Errors
    ///
    /// Which rule the bytes break.
    #[inline]
    pub fn checked(item: &[u8]) -> Result<Self, Malformed> {
        let head = SnapshotItem::read(item)?;
        let (name, path) = (head.name.range(), head.path.range());
        // Unlike elsewhere, strings may have NULs inside, and stray bytes around them.
        let ends = |string: &Range<usize>| {
            string.start >= SnapshotItem::LEN && item.get(string.end) == Some(&0)
        };
        if ends(&name) && ends(&path) && (name.end < path.start || path.end < name.start) {
            return Ok(head);
        }
        Err(head.misplaced(item))
    }

    /// Which rule the strings of an item break first.
    #[cold]
    fn misplaced(&self, item: &[u8]) -> Malformed {
        let fault = |defect, at, why| malformed(defect, "SnapshotItem", at, why);
        for string in [self.name.range(), self.path.range()] {
            if string.start < SnapshotItem::LEN || string.end >= item.len() {
                return fault(Defect::OutOfBounds, string.start, "has a string outside");
            }
            if item[string.end] != 0 {
                return fault(
                    Defect::MissingNul,
                    string.start,
                    "has a string without a NUL behind it",
                );
            }
        }
        let at = self.path.offset as usize;
        malformed(Defect::BadLayout, "string", at, "overlaps another")
    }
}

/// A cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cgroup<'a> {
    /// What the provider computes from the name. Together with the name it identifies the cgroup.
    pub hash: u32,
    /// Bits that the provider gives a meaning.
    pub options: u32,
    /// Whether it is monitored: 0 or 1, though any number may come.
    pub enabled: u32,
    /// Its name.
    pub name: Text<'a>,
    /// Its path.
    pub path: Text<'a>,
}

impl<'a> Cgroup<'a> {
    /// Reads and checks one item of a snapshot.
    ///
    /// # Errors
    ///
    /// Which rule the bytes break.
    #[inline]
    pub fn read(item: &'a [u8]) -> Result<Self, Malformed> {
        let SnapshotItem { hash, options, enabled, name, path } = SnapshotItem::checked(item)?;
        let [name, path] = [name, path].map(|span| Text::new(&item[span.range()]));
        Ok(Cgroup { hash, options, enabled, name, path })
    }

    /// Writes it as an item of a snapshot to the start of `out` and returns its length.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if it does not fit.
    #[inline]
    pub fn write(&self, out: &mut [u8]) -> Result<usize, Unwritable> {
        let mut pen = Pen::on(out);
        let start = pen.skip(SnapshotItem::LEN)?;
        let name = pen.any_string(self.name.as_bytes())?;
        let path = pen.any_string(self.path.as_bytes())?;
        let &Cgroup { hash, options, enabled, .. } = self;
        let head = SnapshotItem { hash, options, enabled, name, path };
        pen.fill(start, |to| head.write(to));
        Ok(pen.len())
    }
}

/// A snapshot, as a handler fills it.
#[derive(Debug)]
pub struct Builder<'a> {
    /// Whether systemd runs the machine.
    pub systemd_enabled: u32,
    /// Which state of the provider it is. A later one is greater.
    pub generation: u64,
    items: ItemsWriter<'a>,
    error: Option<Unwritable>,
}

impl<'a> Builder<'a> {
    /// A snapshot in `out`, whose length is what it may take, of any number of items.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if not even an empty snapshot fits.
    pub fn new(out: &'a mut [u8]) -> Result<Self, Unwritable> {
        let items = ItemsWriter::new(out, SnapshotReplyHeader::LEN, 0)?.growing();
        Ok(Builder { systemd_enabled: 0, generation: 0, items, error: None })
    }

    /// A snapshot in `out` of at most `max_items` items, for which room is left at once.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if that is more than `out` holds.
    pub fn with_max_items(out: &'a mut [u8], max_items: u32) -> Result<Self, Unwritable> {
        let items = ItemsWriter::new(out, SnapshotReplyHeader::LEN, max_items)?;
        Ok(Builder { systemd_enabled: 0, generation: 0, items, error: None })
    }

    /// How many bytes are room enough for a snapshot of these cgroups.
    pub fn room_for(cgroups: &[Cgroup<'_>]) -> usize {
        cgroups.iter().fold(SnapshotReplyHeader::LEN, |room, cgroup| {
            let strings = cgroup.name.len().saturating_add(cgroup.path.len());
            let item = align8(strings.saturating_add(SnapshotItem::LEN + 2));
            room.saturating_add(item).saturating_add(DirectoryEntry::LEN)
        })
    }

    /// Leaves room for `items` items in all, which spares moving them later.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if that is more than the message holds. The request fails with it.
    pub fn reserve(&mut self, items: u32) -> Result<(), Unwritable> {
        let reserved = self.items.reserve(items);
        self.error = self.error.or(reserved.err());
        reserved
    }

    /// Appends a cgroup.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if it does not fit. The request then fails, whatever the handler does:
    /// a snapshot is whole or none.
    #[inline]
    pub fn push(&mut self, cgroup: &Cgroup<'_>) -> Result<(), Unwritable> {
        let pushed = self.items.push(|out| cgroup.write(out));
        self.error = self.error.or(pushed.err());
        pushed
    }

    /// How many cgroups there are.
    pub fn len(&self) -> u32 {
        self.items.count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What went wrong first, if anything did.
    pub fn error(&self) -> Option<Unwritable> {
        self.error
    }
}

/// A snapshot, as a caller reads it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// How many cgroups there are.
    pub item_count: u32,
    /// Whether systemd runs the machine.
    pub systemd_enabled: u32,
    /// Which state of the provider it is.
    pub generation: u64,
    bytes: &'a [u8],
    items: Items<'a>,
}

impl<'a> View<'a> {
    /// Reads a snapshot that was read before without a complaint, and checks no more than its head.
    ///
    /// # Errors
    ///
    /// The head breaks a rule, or the directory is longer than the bytes.
    #[inline]
    pub fn again(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let head = SnapshotReplyHeader::read(bytes)?;
        let SnapshotReplyHeader { item_count, systemd_enabled, generation } = head;
        let items = Items::again(&bytes[SnapshotReplyHeader::LEN..], item_count)?;
        Ok(View { item_count, systemd_enabled, generation, bytes, items })
    }

    /// The whole message.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Where in the [bytes](Self::bytes) each item lies, in the provider's order.
    pub fn places(&self) -> impl ExactSizeIterator<Item = Range<usize>> + Clone + use<'a> {
        let area = SnapshotReplyHeader::LEN + self.item_count as usize * DirectoryEntry::LEN;
        self.items.places().map(move |place| area + place.start..area + place.end)
    }

    /// One cgroup, checked when it is read.
    ///
    /// # Errors
    ///
    /// There is none at `index`, or its bytes break a rule.
    pub fn item(&self, index: u32) -> Result<Cgroup<'a>, Malformed> {
        let Some(item) = self.items.get(index) else {
            let defect = Defect::OutOfBounds;
            return Err(malformed(defect, "SnapshotReplyHeader", 4, "has no item of that number"));
        };
        Cgroup::read(item)
    }

    /// Each cgroup, in the provider's order, checked when it is read.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Result<Cgroup<'a>, Malformed>> + use<'a> {
        self.items.iter().map(Cgroup::read)
    }
}

impl Service for CgroupsSnapshot {
    const METHOD: u16 = 2;
    const NAME: &'static str = "cgroups-snapshot";
    const IN_BATCHES: bool = false;

    type Request<'a> = ();
    type RequestView<'a> = SnapshotRequest;
    type ReplyBuilder<'a> = Builder<'a>;
    type ReplyView<'a> = View<'a>;

    fn request_len(_: ()) -> usize {
        SnapshotRequest::LEN
    }

    fn write_request(_: (), out: &mut [u8]) -> Result<usize, Unwritable> {
        let out = out.get_mut(..SnapshotRequest::LEN).ok_or(Unwritable::Full)?;
        SnapshotRequest {}.write(out);
        Ok(SnapshotRequest::LEN)
    }

    fn read_request(bytes: &[u8]) -> Result<SnapshotRequest, Malformed> {
        SnapshotRequest::read(bytes)
    }

    fn build_reply<'a>(
        _: &'a SnapshotRequest,
        out: &'a mut [u8],
    ) -> Result<Self::ReplyBuilder<'a>, Unwritable> {
        Builder::new(out)
    }

    fn finish_reply(reply: Builder<'_>) -> Result<usize, Unwritable> {
        if let Some(error) = reply.error {
            return Err(error);
        }
        let Builder { systemd_enabled, generation, items, .. } = reply;
        let item_count = items.count();
        let (out, len) = items.finish();
        SnapshotReplyHeader { item_count, systemd_enabled, generation }.write(out);
        Ok(len)
    }

    fn read_reply(bytes: &[u8]) -> Result<View<'_>, Malformed> {
        let view = View::again(bytes)?;
        let rule = Rule::Free(SnapshotItem::LEN);
        let items = Items::read(&bytes[SnapshotReplyHeader::LEN..], view.item_count, rule)?;
        Ok(View { items, ..view })
    }
}
