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
mod tests;
