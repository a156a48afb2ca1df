//! Replies to lookups, as they are written (PROTOCOL.md, section 20).

use core::fmt;

use super::{Keys, Lookup, LookupReplyHeader, Shortfall};
use crate::{
    items::ItemsWriter,
    layout::{Scalar, Span, Unwritable, align8},
    pen::Pen,
};

/// A reply, as a handler fills it: one value for every key, in order.
pub struct Replies<'a, L> {
    /// Which state of the provider the values come from. A later one is greater.
    pub generation: u64,
    keys: Keys<'a, L>,
    items: ItemsWriter<'a>,
    /// What the keys not yet answered take at least: an item without a value each.
    bare: usize,
    full: bool,
    error: Option<Unwritable>,
}

impl<L: Lookup> fmt::Debug for Replies<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Replies { generation, keys, .. } = self;
        f.debug_struct("Replies")
            .field("generation", generation)
            .field("answered", &self.items.count())
            .field("keys", &keys.len())
            .finish_non_exhaustive()
    }
}

impl<'a, L: Lookup> Replies<'a, L> {
    /// A reply to `keys` in `out`, of which nothing is there yet.
    pub(super) fn new(keys: Keys<'a, L>, out: &'a mut [u8]) -> Result<Self, Unwritable> {
        let items = ItemsWriter::new(out, LookupReplyHeader::LEN, keys.len())?;
        Ok(Replies { generation: 0, keys, items, bare: keys.bare, full: false, error: None })
    }

    /// How many bytes all of it takes, if every key was answered.
    pub(super) fn finish(self) -> Result<usize, Unwritable> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let item_count = self.items.count();
        if item_count != self.keys.len() {
            return Err(Unwritable::TooFew);
        }
        let (out, len) = self.items.finish();
        LookupReplyHeader { item_count, generation: self.generation }.write(out);
        Ok(len)
    }

    /// The keys to answer.
    pub fn keys(&self) -> Keys<'a, L> {
        self.keys
    }

    /// How many keys are answered.
    pub fn len(&self) -> u32 {
        self.items.count()
    }

    /// Whether no key is answered yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Answers the next key.
    ///
    /// A value that does not fit is left out together with those behind it, and the caller asks for
    /// them again: for the handler that is a success.
    ///
    /// # Errors
    ///
    /// The value has no form on the wire, there is no key left, or there is no room at all. Unless
    /// the handler pushes a better value, the request fails with this. For want of room there is no
    /// better value: the next one may be meant for the next key.
    #[inline]
    pub fn push(&mut self, value: &L::Value<'_>) -> Result<(), Unwritable> {
        self.push_value(Ok(value))
    }

    /// Answers the next key with a value, or with why there is none.
    #[inline]
    pub(crate) fn push_value(
        &mut self,
        value: Result<&L::Value<'_>, Shortfall>,
    ) -> Result<(), Unwritable> {
        let pushed = match self.error {
            Some(Unwritable::Full) => Err(Unwritable::Full),
            _ => self.try_push(value),
        };
        self.error = pushed.err();
        pushed
    }

    /// Remembers why the next key could not be answered.
    pub(crate) fn fail(&mut self, why: Unwritable) -> Result<(), Unwritable> {
        self.error.get_or_insert(why);
        Err(why)
    }

    /// What went wrong with the last value, if anything did.
    pub fn error(&self) -> Option<Unwritable> {
        self.error
    }

    #[inline]
    fn try_push(&mut self, value: Result<&L::Value<'_>, Shortfall>) -> Result<(), Unwritable> {
        let index = self.items.count();
        let key = self.keys.get(index).ok_or(Unwritable::Full)?;
        let bare = L::bare_len(key);
        let last = index + 1 == self.keys.len();
        let behind = self.bare - if last { bare } else { align8(bare) };
        let room = Room { keys: self.keys.len(), behind: Some(behind) };
        push_item::<L>(&mut self.items, key, value, room, &mut self.full)?;
        self.bare = behind;
        Ok(())
    }
}

/// What an item of a reply shares its message with.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// How many keys the message answers.
    pub keys: u32,
    /// How many bytes the keys behind this one take at least, if they are to be left room.
    pub behind: Option<usize>,
}

/// Answers the next key of a reply (PROTOCOL.md, section 20). Once an item had to be left out for
/// want of room, `full` is set, and so all further ones are left out.
///
/// # Errors
///
/// [`Unwritable::Full`] if not even an item without a value fits, or if the first item would fit
/// were it alone; [`Unwritable::Invalid`] for a key or value that has no form on the wire.
#[inline]
pub fn push_item<L: Lookup>(
    items: &mut ItemsWriter<'_>,
    key: L::Key<'_>,
    value: Result<&L::Value<'_>, Shortfall>,
    room: Room,
    full: &mut bool,
) -> Result<(), Unwritable> {
    if !*full {
        let bare = L::bare_len(key);
        let wrote = items.push(|out| {
            let length = write::<L>(key, value, out)?;
            // An item as short as one without a value takes no room from those behind it, and the
            // only item has none behind it.
            let fits = length <= bare
                || room.keys == 1
                || room
                    .behind
                    .is_none_or(|behind| align8(length).saturating_add(behind) <= out.len());
            if fits { Ok(length) } else { Err(Unwritable::Full) }
        });
        if wrote != Err(Unwritable::Full) {
            return wrote;
        }
    }
    leave_out::<L>(items, key, value, room, full)
}

/// Answers a key whose value does not fit.
#[cold]
#[inline(never)]
fn leave_out<L: Lookup>(
    items: &mut ItemsWriter<'_>,
    key: L::Key<'_>,
    value: Result<&L::Value<'_>, Shortfall>,
    room: Room,
    full: &mut bool,
) -> Result<(), Unwritable> {
    let mut why = Shortfall::PayloadExceeded;
    if !*full {
        // What has no form at all is refused here, not when it is asked for again.
        let length = match Pen::measure(|pen| L::write(key, value, pen)) {
            Err(Unwritable::Full) => usize::MAX,
            measured => measured?,
        };
        *full = items.count() > 0;
        if !*full {
            // Given up for good only if no message could hold it, be it the only one asked.
            let alone = items.room() + (room.keys as usize).saturating_sub(1) * Span::SIZE;
            if length <= alone {
                return Err(Unwritable::Full);
            }
            why = Shortfall::Oversized;
        }
    }
    items.push(|out| write::<L>(key, Err(why), out))
}

#[inline]
fn write<L: Lookup>(
    key: L::Key<'_>,
    value: Result<&L::Value<'_>, Shortfall>,
    out: &mut [u8],
) -> Result<usize, Unwritable> {
    let mut pen = Pen::on(out);
    L::write(key, value, &mut pen)?;
    Ok(pen.len())
}
