//! Kinds that answer a list of keys with one item per key, in order (PROTOCOL.md, section 17).
//!
//! A list longer than a message is asked in parts; see [`Stitch`](crate::Stitch).

mod replies;

use core::{fmt, marker::PhantomData, ops::RangeInclusive};

use crate::{
    item::Reader,
    items::{Items, ItemsWriter, Rule},
    layout::{Malformed, Scalar, Span, Unwritable, align8, narrow},
    pen::Pen,
    service::Service,
};

pub use self::replies::{Replies, Room, push_item};

/// Why a key has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// The message was full: ask again for this key and those behind it.
    PayloadExceeded,
    /// The value fits in no message: do not ask again.
    Oversized,
}

/// A kind that maps keys to values. Whoever implements it gets [`Service`].
pub trait Lookup: Sized + 'static {
    /// The method code in every envelope of this kind.
    const METHOD: u16;
    /// The name under which such a service is usually found.
    const NAME: &'static str;
    /// How long a key may be on the wire.
    const KEY: RangeInclusive<usize>;
    /// How long an item is at least on the wire.
    const ITEM: usize;

    /// What is looked up.
    type Key<'a>: Copy + fmt::Debug + for<'b> PartialEq<Self::Key<'b>>;
    /// What is found.
    type Value<'a>: fmt::Debug;

    /// How long a key is in a request; `usize::MAX` if it has no form there.
    fn key_len(key: Self::Key<'_>) -> usize;

    /// How long an item is that has no value for this key.
    fn bare_len(key: Self::Key<'_>) -> usize;

    /// Writes a key.
    ///
    /// # Errors
    ///
    /// There is no room, or the key has no form on the wire.
    fn write_key(key: Self::Key<'_>, pen: &mut Pen<'_>) -> Result<(), Unwritable>;

    /// Reads and checks a key.
    ///
    /// # Errors
    ///
    /// Which rule the bytes break.
    fn read_key<'a>(reader: Reader<'a>) -> Result<Self::Key<'a>, Malformed>;

    /// Writes an item: a key and its value, or why it has none.
    ///
    /// # Errors
    ///
    /// There is no room, or the value has no form on the wire.
    fn write(
        key: Self::Key<'_>,
        value: Result<&Self::Value<'_>, Shortfall>,
        pen: &mut Pen<'_>,
    ) -> Result<(), Unwritable>;

    /// Reads and checks an item.
    ///
    /// # Errors
    ///
    /// Which rule the bytes break.
    fn read<'a>(reader: Reader<'a>) -> Result<Item<'a, Self>, Malformed>;

    /// The key of an item that was read before without a complaint, and why it has no value if it
    /// has none.
    ///
    /// # Errors
    ///
    /// None, or which rule the bytes break if they were not.
    fn outline(item: &[u8]) -> Result<(Self::Key<'_>, Option<Shortfall>), Malformed>;
}

/// A key and what is known of it.
pub struct Item<'a, L: Lookup> {
    /// The key, as it was asked.
    pub key: L::Key<'a>,
    /// Its value, or why there is none.
    pub value: Result<L::Value<'a>, Shortfall>,
}

impl<L: Lookup> fmt::Debug for Item<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").field("key", &self.key).field("value", &self.value).finish()
    }
}

layout! {
    /// The head of a lookup request.
    pub struct LookupRequestHeader: 16 {
        /// How many keys follow.
        4  item_count: u32,
    } fixed {
        0  layout_version: u16 = 1;
        2  flags:          u16 = 0;
        8  reserved:       u64 = 0;
    }
}

layout! {
    /// The head of a lookup reply.
    pub struct LookupReplyHeader: 16 {
        /// How many items follow; as many as there were keys.
        4  item_count: u32,
        /// Which state of the provider the values come from.
        8  generation: u64,
    } fixed {
        0  layout_version: u16 = 1;
        2  flags:          u16 = 0;
    }
}

/// The keys of a request, as a handler sees them.
pub struct Keys<'a, L> {
    /// How many there are.
    pub item_count: u32,
    items: Items<'a>,
    /// What their answers take at least, if none has a value.
    bare: usize,
    kind: PhantomData<fn() -> L>,
}

impl<L> Clone for Keys<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Keys<'_, L> {}

impl<L: Lookup> fmt::Debug for Keys<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a, L: Lookup> Keys<'a, L> {
    /// How many there are.
    pub fn len(&self) -> u32 {
        self.items.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// One key.
    pub fn get(&self, index: u32) -> Option<L::Key<'a>> {
        self.items.get(index).map(key_again::<L>)
    }

    /// Each key, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = L::Key<'a>> + Clone + use<'a, L> {
        self.items.iter().map(key_again::<L>)
    }
}

fn key_again<L: Lookup>(bytes: &[u8]) -> L::Key<'_> {
    L::read_key(Reader::again(bytes)).expect("checked when the request was read")
}

/// A reply, as a caller reads it.
pub struct Found<'a, L> {
    /// Which state of the provider the values come from.
    pub generation: u64,
    /// How many items there are: one for every key that was asked.
    pub item_count: u32,
    items: Items<'a>,
    kind: PhantomData<fn() -> L>,
}

impl<L> Clone for Found<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Found<'_, L> {}

impl<L: Lookup> fmt::Debug for Found<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found")
            .field("generation", &self.generation)
            .field("item_count", &self.item_count)
            .finish_non_exhaustive()
    }
}

impl<'a, L: Lookup> Found<'a, L> {
    /// Reads a reply whose items were all read before without a complaint, and skips most checks.
    ///
    /// # Errors
    ///
    /// The head of the reply breaks a rule, or the directory is longer than the bytes. If anything
    /// behind them does, reading the items may panic.
    #[doc(hidden)]
    pub fn again(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let LookupReplyHeader { item_count, generation } = LookupReplyHeader::read(bytes)?;
        let items = Items::again(&bytes[LookupReplyHeader::LEN..], item_count)?;
        Ok(Found { generation, item_count, items, kind: PhantomData })
    }

    /// How many items there are.
    pub fn len(&self) -> u32 {
        self.item_count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.item_count == 0
    }

    /// One item, by the position of its key among those asked.
    pub fn get(&self, index: u32) -> Option<Item<'a, L>> {
        self.items.get(index).map(item_again::<L>)
    }

    /// Each item, in the order of the keys asked.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Item<'a, L>> + use<'a, L> {
        self.items.iter().map(item_again::<L>)
    }

    /// The key of each item, and why it has no value if it has none.
    pub(crate) fn outlines(
        &self,
    ) -> impl ExactSizeIterator<Item = (L::Key<'a>, Option<Shortfall>)> + use<'a, L> {
        self.items.iter().map(|item| L::outline(item).expect("checked when the reply was read"))
    }

    /// The bytes of one item.
    pub(crate) fn bytes(&self, index: u32) -> Option<&'a [u8]> {
        self.items.get(index)
    }

    /// The bytes of each item.
    pub fn raw(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a, L> {
        self.items.iter()
    }
}

fn item_again<L: Lookup>(bytes: &[u8]) -> Item<'_, L> {
    L::read(Reader::again(bytes)).expect("checked when the reply was read")
}

impl<L: Lookup> Service for L {
    const METHOD: u16 = L::METHOD;
    const NAME: &'static str = L::NAME;

    type Request<'a> = &'a [L::Key<'a>];
    type RequestView<'a> = Keys<'a, L>;
    type ReplyBuilder<'a> = Replies<'a, L>;
    type ReplyView<'a> = Found<'a, L>;

    fn request_len(keys: Self::Request<'_>) -> usize {
        let area = keys.iter().fold(0, |end, &key| align8(end).saturating_add(L::key_len(key)));
        area.saturating_add(LookupRequestHeader::LEN + keys.len() * Span::SIZE)
    }

    fn write_request(keys: Self::Request<'_>, out: &mut [u8]) -> Result<usize, Unwritable> {
        let item_count = narrow(keys.len())?;
        let mut items = ItemsWriter::new(out, LookupRequestHeader::LEN, item_count)?;
        for &key in keys {
            items.push(|out| {
                let mut pen = Pen::on(out);
                L::write_key(key, &mut pen)?;
                Ok(pen.len())
            })?;
        }
        let (out, len) = items.finish();
        LookupRequestHeader { item_count }.write(out);
        Ok(len)
    }

    fn read_request(bytes: &[u8]) -> Result<Self::RequestView<'_>, Malformed> {
        let head = LookupRequestHeader::read(bytes)?;
        let rule = Rule::Packed(L::KEY);
        let items = Items::read(&bytes[LookupRequestHeader::LEN..], head.item_count, rule)?;
        let bare = items.iter().try_fold(0, |end, key| {
            Ok(align8(end).saturating_add(L::bare_len(L::read_key(Reader::new(key))?)))
        })?;
        Ok(Keys { item_count: head.item_count, items, bare, kind: PhantomData })
    }

    fn build_reply<'a>(
        asked: &'a Self::RequestView<'_>,
        out: &'a mut [u8],
    ) -> Result<Self::ReplyBuilder<'a>, Unwritable> {
        Replies::new(*asked, out)
    }

    fn finish_reply(reply: Self::ReplyBuilder<'_>) -> Result<usize, Unwritable> {
        reply.finish()
    }

    fn read_reply(bytes: &[u8]) -> Result<Self::ReplyView<'_>, Malformed> {
        let found = Found::again(bytes)?;
        let rule = Rule::Packed(L::ITEM..=usize::MAX);
        let items = Items::read(&bytes[LookupReplyHeader::LEN..], found.item_count, rule)?;
        items.iter().try_for_each(|item| L::read(Reader::new(item)).map(drop))?;
        Ok(found)
    }
}
