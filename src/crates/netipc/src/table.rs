//! A snapshot of cgroups as a reader wants it: owned and indexed.

use std::{hash::BuildHasher, ops::Range};

use foldhash::quality::RandomState;
use netipc_proto::{
    Defect, Malformed, Service, Span, Text, Unwritable,
    kinds::{
        CgroupsSnapshot,
        cgroups_snapshot::{Builder, Cgroup, SnapshotItem, View},
    },
};

use crate::cache::Snapshot;

/// All cgroups of one snapshot, found by hash and name.
///
/// A cgroup is found in constant time whatever the provider's hashes are: where they leave too many
/// cgroups in one place, the index uses a hash of its own, one that nobody outside can foresee.
#[derive(Debug)]
pub struct CgroupsTable {
    /// The snapshot as it came. A NUL follows each string in it.
    message: Vec<u8>,
    index: Index,
}

impl CgroupsTable {
    /// Makes the table of some cgroups. Of several with the same hash and name the first is found.
    ///
    /// # Errors
    ///
    /// [`Unwritable::Full`] if they fit in no message.
    pub fn new(
        systemd_enabled: u32,
        generation: u64,
        cgroups: &[Cgroup<'_>],
    ) -> Result<Self, Unwritable> {
        let count = u32::try_from(cgroups.len()).map_err(|_| Unwritable::Full)?;
        let mut message = vec![0; Builder::room_for(cgroups)];
        let mut reply = Builder::with_max_items(&mut message, count)?;
        (reply.systemd_enabled, reply.generation) = (systemd_enabled, generation);
        cgroups.iter().try_for_each(|cgroup| reply.push(cgroup))?;
        let len = CgroupsSnapshot::finish_reply(reply)?;
        let table = CgroupsSnapshot::read_reply(&message[..len]).and_then(CgroupsSnapshot::table);
        Ok(table.expect("what a builder makes can be read"))
    }

    /// The cgroup with this hash and name.
    #[inline(always)]
    pub fn get(&self, hash: u32, name: impl AsRef<[u8]>) -> Option<Cgroup<'_>> {
        self.index.find(&self.message, hash, name.as_ref()).map(|entry| entry.cgroup(&self.message))
    }

    /// The number of the cgroup with this hash and name.
    #[inline]
    pub fn find(&self, hash: u32, name: impl AsRef<[u8]>) -> Option<usize> {
        self.index.find(&self.message, hash, name.as_ref()).map(|entry| entry.number as usize)
    }

    /// One cgroup, by its number in the snapshot.
    pub fn at(&self, number: usize) -> Option<Cgroup<'_>> {
        self.view().item(u32::try_from(number).ok()?).ok()
    }

    /// Each cgroup, in the provider's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Cgroup<'_>> {
        self.view().iter().map(|cgroup| cgroup.expect("checked when the table was made"))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.view().item_count as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether systemd runs the machine, as the provider sees it.
    pub fn systemd_enabled(&self) -> u32 {
        self.view().systemd_enabled
    }

    /// Which state of the provider it is.
    pub fn generation(&self) -> u64 {
        self.view().generation
    }

    fn view(&self) -> View<'_> {
        View::again(&self.message).expect("checked when the table was made")
    }
}

impl Snapshot for CgroupsSnapshot {
    type Table = CgroupsTable;

    fn request() {}

    fn table(view: View<'_>) -> Result<CgroupsTable, Malformed> {
        let index = Index { entries: Vec::new(), own_hash: None };
        let mut table = CgroupsTable { message: Vec::new(), index };
        Self::renew(&mut table, view)?;
        Ok(table)
    }

    fn renew(table: &mut CgroupsTable, view: View<'_>) -> Result<(), Malformed> {
        let CgroupsTable { message, index } = table;
        message.clear();
        message.shrink_to(KEPT * view.bytes().len());
        message.extend_from_slice(view.bytes());
        if index.fill(message, &view, None)? > CROWDED {
            index.fill(message, &view, Some(RandomState::default()))?;
        }
        Ok(())
    }

    fn is_same(table: &CgroupsTable, view: &View<'_>) -> bool {
        table.message == view.bytes()
    }
}

/// How many times the memory it needs a renewed table keeps at most.
const KEPT: usize = 4;

/// How many cgroups may stand where another belongs. At most half of the entries are taken, so with
/// hashes that mean well hardly ever as many do.
const CROWDED: usize = 64;

/// How many times as long as the message all names together may be. They are that long at most once
/// if no two items share bytes; where many share a long name, comparing names takes for ever.
const SHARED: u64 = 4;

/// Finds cgroups by hash and name: a hash table with linear probing.
#[derive(Debug)]
struct Index {
    /// A power of two of them.
    entries: Vec<Entry>,
    /// The hash of hash and name, if the provider's alone will not do.
    own_hash: Option<RandomState>,
}

/// All that a lookup looks at, in one cache line: a cgroup but for its path, and but for the end of
/// a name that is longer than most.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Entry {
    hash: u32,
    options: u32,
    enabled: u32,
    number: u32,
    /// Where they lie in the message.
    name: Span,
    path: Span,
    /// The start of the name, and what follows it in the message.
    prefix: [u8; PREFIX],
}

/// The length of the name of no cgroup: longer than a message.
const NO_NAME: u32 = u32::MAX;

/// As much as the line has room for.
const PREFIX: usize = 32;
const _: () = assert!(size_of::<Entry>() == 64);

impl Entry {
    const FREE: Entry = {
        let name = Span { offset: 0, length: NO_NAME };
        let path = Span { offset: 0, length: 0 };
        Entry { hash: 0, options: 0, enabled: 0, number: 0, name, path, prefix: [0; PREFIX] }
    };

    #[inline]
    fn new(number: u32, message: &[u8], place: Range<usize>) -> Result<Self, Malformed> {
        // What the directory of a message can say of it is no more than a u32 can.
        let start = place.start as u32;
        let SnapshotItem { hash, options, enabled, name, path } =
            SnapshotItem::checked(&message[place])?;
        let [name, path] = [name, path].map(|span| Span { offset: start + span.offset, ..span });
        let from = &message[name.offset as usize..];
        let prefix = match from.first_chunk() {
            Some(&prefix) => prefix,
            None => padded(from),
        };
        Ok(Entry { hash, options, enabled, number, name, path, prefix })
    }

    #[inline]
    fn free(&mut self) {
        self.name.length = NO_NAME;
    }

    #[inline]
    fn is_free(&self) -> bool {
        self.name.length == NO_NAME
    }

    #[inline]
    fn is(&self, message: &[u8], hash: u32, name: &[u8]) -> bool {
        self.says(hash, name).unwrap_or_else(|| self.name(message) == name)
    }

    /// Whether it is this cgroup; `None` if its own line does not say.
    #[inline]
    fn says(&self, hash: u32, name: &[u8]) -> Option<bool> {
        if self.hash != hash || self.name.length as usize != name.len() {
            return Some(false);
        }
        starts_with(&self.prefix, name)
    }

    #[inline]
    fn name<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        &message[self.name.range()]
    }

    #[inline]
    fn cgroup<'a>(&self, message: &'a [u8]) -> Cgroup<'a> {
        let &Entry { hash, options, enabled, name, path, .. } = self;
        let [name, path] = [name, path].map(|span| Text::new(&message[span.range()]));
        Cgroup { hash, options, enabled, name, path }
    }
}

/// The end of a message, and zeros.
#[cold]
#[inline(never)]
fn padded(end: &[u8]) -> [u8; PREFIX] {
    let mut prefix = [0; PREFIX];
    prefix[..end.len()].copy_from_slice(end);
    prefix
}

/// Whether `prefix` starts with `name`; `None` if that is longer.
///
/// Compares two pieces of fixed size that may overlap, which spares a call.
#[inline]
fn starts_with(prefix: &[u8; PREFIX], name: &[u8]) -> Option<bool> {
    #[inline]
    fn by<const N: usize>(prefix: &[u8], name: &[u8]) -> Option<bool> {
        let (first, last) = (name.first_chunk::<N>()?, name.last_chunk::<N>()?);
        Some(prefix.first_chunk() == Some(first) && prefix.last_chunk() == Some(last))
    }
    let prefix = prefix.get(..name.len())?;
    by::<16>(prefix, name)
        .or_else(|| by::<8>(prefix, name))
        .or_else(|| by::<4>(prefix, name))
        .or_else(|| Some(prefix.iter().eq(name)))
}

impl Index {
    /// Makes it the index of a snapshot, after checking each item of it, and says how many entries
    /// a lookup has to pass by at most.
    fn fill(
        &mut self,
        message: &[u8],
        view: &View<'_>,
        own_hash: Option<RandomState>,
    ) -> Result<usize, Malformed> {
        let Index { entries, .. } = self;
        let room = (2 * view.places().len()).next_power_of_two();
        entries.truncate(room);
        entries.shrink_to(KEPT * room);
        entries.iter_mut().for_each(Entry::free);
        entries.resize(room, Entry::FREE);
        self.own_hash = own_hash;
        let mut most = 0;
        let mut names_left = SHARED * message.len() as u64;
        for (number, place) in (0..).zip(view.places()) {
            let entry = Entry::new(number, message, place)?;
            let Some(left) = names_left.checked_sub(entry.name.length.into()) else {
                let why = "shares its bytes with too many others";
                return Err(SnapshotItem::LAYOUT.wrong("name", Defect::BadLayout, why));
            };
            names_left = left;
            if most > CROWDED && self.own_hash.is_none() {
                // All that is left to do here is to check.
                continue;
            }
            let name = entry.name(message);
            let (home, mask) = (self.home(entry.hash, name), self.entries.len() - 1);
            let mut passed = 0;
            loop {
                let there = &mut self.entries[home.wrapping_add(passed) & mask];
                if there.is_free() {
                    *there = entry;
                    break;
                }
                if there.is(message, entry.hash, name) {
                    break;
                }
                passed += 1;
            }
            most = most.max(passed);
        }
        Ok(most)
    }

    /// Most often, the cgroup is where the provider's hash says, and its line tells. Whether the index
    /// goes by that hash does not matter to a cgroup that is there.
    #[inline(always)]
    fn find(&self, message: &[u8], hash: u32, name: &[u8]) -> Option<&Entry> {
        let entry = &self.entries[spread(hash) & (self.entries.len() - 1)];
        if entry.says(hash, name) == Some(true) {
            return Some(entry);
        }
        self.search(message, hash, name)
    }

    /// Apart, so that the usual case need not save registers for it.
    #[inline(never)]
    fn search(&self, message: &[u8], hash: u32, name: &[u8]) -> Option<&Entry> {
        let (mut at, mask) = (self.home(hash, name), self.entries.len() - 1);
        loop {
            let entry = &self.entries[at & mask];
            if entry.is_free() {
                return None;
            }
            if entry.is(message, hash, name) {
                return Some(entry);
            }
            at = at.wrapping_add(1);
        }
    }

    /// Where the search for a cgroup begins, counted on beyond the end.
    #[inline]
    fn home(&self, hash: u32, name: &[u8]) -> usize {
        match &self.own_hash {
            None => spread(hash),
            Some(own_hash) => own_home(own_hash, hash, name),
        }
    }
}

/// Hashes of names that count up differ little: multiplied, they differ in all bits.
#[inline]
fn spread(hash: u32) -> usize {
    (u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

#[cold]
#[inline(never)]
fn own_home(own_hash: &RandomState, hash: u32, name: &[u8]) -> usize {
    own_hash.hash_one((hash, name)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(cgroups: &[(u32, &str)]) -> CgroupsTable {
        let cgroups = (0..).zip(cgroups).map(|(options, &(hash, name))| {
            let (name, path) = (Text::from(name), Text::from("/path"));
            Cgroup { hash, options, enabled: 1, name, path }
        });
        CgroupsTable::new(1, 9, &cgroups.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn finds_a_cgroup_only_by_both_hash_and_name() {
        let table = table(&[(1, "a"), (2, "a"), (1, "b"), (1, "")]);
        assert_eq!(table.get(2, "a").unwrap().options, 1);
        assert_eq!(table.get(1, "b").unwrap().options, 2);
        assert_eq!(table.get(1, "").unwrap().options, 3);
        assert_eq!(table.get(2, "b"), None);
        assert_eq!(table.get(3, "a"), None);
        // What stands in no cgroup is in no cgroup's place.
        assert_eq!(table.get(0, ""), None);
        assert_eq!(self::table(&[]).get(0, ""), None);
    }

    #[test]
    fn of_two_alike_the_first_is_found_and_both_are_listed() {
        let table = table(&[(1, "a"), (1, "a")]);
        assert_eq!(table.get(1, "a").unwrap().options, 0);
        assert_eq!(table.iter().count(), 2);
    }

    #[test]
    fn names_of_any_length_are_compared_to_their_end() {
        let names: Vec<_> = (0..200).map(|len| "n".repeat(len)).collect();
        let ends: Vec<_> = names.iter().map(|name| format!("{name}x")).collect();
        let all: Vec<_> = names.iter().chain(&ends).map(|name| (7, &**name)).collect();
        let table = table(&all);
        for (number, &(hash, name)) in all.iter().enumerate() {
            let cgroup = table.get(hash, name).unwrap();
            assert_eq!((cgroup.options as usize, cgroup.name), (number, name.into()));
            assert_eq!(table.at(number), Some(cgroup));
            assert_eq!(table.find(hash, format!("{name}y")), None);
        }
        assert_eq!(table.at(all.len()), None);
    }

    #[test]
    fn names_of_equal_length_and_hash_are_told_apart_by_any_byte() {
        for len in 1..2 * PREFIX {
            let name = "n".repeat(len);
            let table = table(&[(7, &name)]);
            assert_eq!(table.find(7, &name), Some(0));
            for at in 0..len {
                let mut other = name.clone().into_bytes();
                other[at] = b'o';
                assert_eq!(table.find(7, &other), None, "{at} of {len}");
            }
        }
    }

    #[test]
    fn items_that_share_their_bytes_take_no_more_memory_than_others() {
        let one = table(&[(1, "a")]).message;
        let (head, rest) = one.split_at(24);
        let (entry, item) = rest.split_at(8);
        let mut message = [head, &entry.repeat(10_000), item].concat();
        message[4..8].copy_from_slice(&10_000u32.to_ne_bytes());
        let view = CgroupsSnapshot::read_reply(&message).unwrap();
        let table = CgroupsSnapshot::table(view).unwrap();
        assert_eq!(table.iter().filter(|cgroup| cgroup.name == "a").count(), 10_000);
        assert_eq!(table.find(1, "a"), Some(0));
        assert_eq!(table.message.capacity(), message.len());
        assert_eq!(table.index.entries.capacity(), 32_768);
    }

    #[test]
    fn a_long_name_that_many_items_share_is_refused_before_it_takes_long() {
        const ITEMS: usize = 50_000;
        const NAME: usize = 2 << 20;
        let area = 24 + 8 * ITEMS;
        let mut message = vec![0; area + 32 * ITEMS + NAME + ITEMS + 1];
        let mut put = |at: usize, number: usize| {
            message[at..at + 4].copy_from_slice(&(number as u32).to_ne_bytes());
        };
        // On either order of bytes, a layout of 1 before flags of 0.
        let layout =
            u32::from_ne_bytes([1u16, 0].map(u16::to_ne_bytes).concat().try_into().unwrap());
        let end = area + 32 * ITEMS + NAME + ITEMS;
        put(0, layout as usize);
        put(4, ITEMS);
        for item in 0..ITEMS {
            // Heads of their own, names of zeros that begin a byte apart, empty paths.
            let start = area + 32 * item;
            put(24 + 8 * item, 32 * item);
            put(24 + 8 * item + 4, end + 1 - start);
            put(start, layout as usize);
            put(start + 16, area + 32 * ITEMS + item - start);
            put(start + 20, NAME - 1);
            put(start + 24, end - start);
        }
        let view = CgroupsSnapshot::read_reply(&message).unwrap();
        let refused = CgroupsSnapshot::table(view).unwrap_err();
        assert_eq!(refused.why, "shares its bytes with too many others");
    }

    #[test]
    fn an_item_that_breaks_a_rule_is_refused_wherever_it_is() {
        // All hashes are equal, so that the index gives up on them before the end.
        let names: Vec<_> = (0..200).map(|number| format!("cgroup_{number}")).collect();
        let cgroups: Vec<_> = names.iter().map(|name| (42, &**name)).collect();
        let message = table(&cgroups).message;
        let view = CgroupsSnapshot::read_reply(&message).unwrap();
        for place in view.places() {
            let mut damaged = message.clone();
            // No NUL behind the path.
            damaged[place.end - 1] = 1;
            let view = CgroupsSnapshot::read_reply(&damaged).unwrap();
            assert!(CgroupsSnapshot::table(view).is_err());
        }
    }

    #[test]
    fn a_renewed_table_has_nothing_of_the_old() {
        let mut renewed = table(&(0..500).map(|hash| (hash, "old")).collect::<Vec<_>>());
        let new = table(&[(1, "new"), (2, "new")]);
        let view = CgroupsSnapshot::read_reply(&new.message).unwrap();
        assert!(!CgroupsSnapshot::is_same(&renewed, &view));
        CgroupsSnapshot::renew(&mut renewed, view).unwrap();
        assert!(CgroupsSnapshot::is_same(&renewed, &view));
        assert!(renewed.iter().eq(new.iter()));
        assert_eq!(renewed.get(3, "old"), None);
        assert_eq!(renewed.find(2, "new"), Some(1));
        // Nor most of its memory.
        assert!(renewed.message.capacity() <= KEPT * new.message.len());
        assert!(renewed.index.entries.capacity() <= KEPT * 4);
    }

    #[test]
    fn finds_each_of_many_whose_hashes_are_all_equal() {
        let names: Vec<_> = (0..100_000).map(|number| format!("cgroup_{number}")).collect();
        let cgroups: Vec<_> = names.iter().map(|name| (42, &**name)).collect();
        let table = table(&cgroups);
        for (name, number) in names.iter().zip(0..) {
            assert_eq!(table.find(42, name), Some(number));
        }
    }
}
