//! A snapshot of cgroups as a reader wants it: owned and indexed.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use netipc_proto::{
    Malformed, Text,
    kinds::{
        CgroupsSnapshot,
        cgroups_snapshot::{Cgroup, View},
    },
};

use crate::cache::Snapshot;

/// All cgroups of one snapshot, found by hash and name.
///
/// A cgroup is found in constant time whatever the provider's hashes are: they are only part of the
/// key of an index whose own hash nobody outside can foresee.
#[derive(Debug)]
pub struct CgroupsTable {
    systemd_enabled: u32,
    generation: u64,
    cgroups: Vec<Entry>,
    /// The names and paths, each followed by a NUL.
    strings: Vec<u8>,
    index: HashTable<u32>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Entry {
    hash: u32,
    options: u32,
    enabled: u32,
    /// Where the name starts; the path follows it.
    start: usize,
    name_len: usize,
    path_len: usize,
}

impl CgroupsTable {
    /// Makes the table of some cgroups. Of several with the same hash and name the first is found.
    ///
    /// # Errors
    ///
    /// Those of the cgroups.
    pub fn new<'a>(
        systemd_enabled: u32,
        generation: u64,
        cgroups: impl ExactSizeIterator<Item = Result<Cgroup<'a>, Malformed>>,
    ) -> Result<Self, Malformed> {
        let count = cgroups.len();
        let mut table = CgroupsTable {
            systemd_enabled,
            generation,
            cgroups: Vec::with_capacity(count),
            strings: Vec::new(),
            index: HashTable::with_capacity(count),
            hasher: RandomState::default(),
        };
        for cgroup in cgroups {
            table.push(cgroup?);
        }
        Ok(table)
    }

    fn push(&mut self, cgroup: Cgroup<'_>) {
        let Cgroup { hash, options, enabled, name, path } = cgroup;
        let (number, start) = (self.cgroups.len() as u32, self.strings.len());
        for text in [name, path] {
            self.strings.extend_from_slice(text.as_bytes());
            self.strings.push(0);
        }
        let (name_len, path_len) = (name.len(), path.len());
        self.cgroups.push(Entry { hash, options, enabled, start, name_len, path_len });
        let slot = self.hasher.hash_one((hash, name.as_bytes()));
        if self.position(slot, hash, name.as_bytes()).is_none() {
            let Self { index, cgroups, strings, hasher, .. } = self;
            index.insert_unique(slot, number, |&number| {
                let cgroup = cgroups[number as usize].view(strings);
                hasher.hash_one((cgroup.hash, cgroup.name.as_bytes()))
            });
        }
    }

    /// The cgroup with this hash and name.
    pub fn get(&self, hash: u32, name: impl AsRef<[u8]>) -> Option<Cgroup<'_>> {
        self.find(hash, name).and_then(|number| self.at(number))
    }

    /// The number of the cgroup with this hash and name.
    pub fn find(&self, hash: u32, name: impl AsRef<[u8]>) -> Option<usize> {
        let name = name.as_ref();
        self.position(self.hasher.hash_one((hash, name)), hash, name)
    }

    fn position(&self, slot: u64, hash: u32, name: &[u8]) -> Option<usize> {
        let same = |&number: &u32| {
            let entry = &self.cgroups[number as usize];
            entry.hash == hash && entry.name(&self.strings) == name
        };
        self.index.find(slot, same).map(|&number| number as usize)
    }

    /// One cgroup, by its number in the snapshot.
    pub fn at(&self, number: usize) -> Option<Cgroup<'_>> {
        self.cgroups.get(number).map(|entry| entry.view(&self.strings))
    }

    /// Each cgroup, in the provider's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Cgroup<'_>> {
        self.cgroups.iter().map(|entry| entry.view(&self.strings))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cgroups.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cgroups.is_empty()
    }

    /// Whether systemd runs the machine, as the provider sees it.
    pub fn systemd_enabled(&self) -> u32 {
        self.systemd_enabled
    }

    /// Which state of the provider it is.
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl Entry {
    fn name<'a>(&self, strings: &'a [u8]) -> &'a [u8] {
        &strings[self.start..][..self.name_len]
    }

    fn view<'a>(&self, strings: &'a [u8]) -> Cgroup<'a> {
        let path = self.start + self.name_len + 1;
        Cgroup {
            hash: self.hash,
            options: self.options,
            enabled: self.enabled,
            name: Text::new(self.name(strings)),
            path: Text::new(&strings[path..][..self.path_len]),
        }
    }
}

impl Snapshot for CgroupsSnapshot {
    type Table = CgroupsTable;

    fn request() {}

    fn table(view: View<'_>) -> Result<CgroupsTable, Malformed> {
        CgroupsTable::new(view.systemd_enabled, view.generation, view.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(cgroups: &[(u32, &str)]) -> CgroupsTable {
        let cgroups = cgroups.iter().enumerate().map(|(options, &(hash, name))| {
            let options = options as u32;
            let (name, path) = (Text::from(name), Text::from("/path"));
            Ok(Cgroup { hash, options, enabled: 1, name, path })
        });
        CgroupsTable::new(1, 9, cgroups).unwrap()
    }

    #[test]
    fn finds_a_cgroup_only_by_both_hash_and_name() {
        let table = table(&[(1, "a"), (2, "a"), (1, "b"), (1, "")]);
        assert_eq!(table.get(2, "a").unwrap().options, 1);
        assert_eq!(table.get(1, "b").unwrap().options, 2);
        assert_eq!(table.get(1, "").unwrap().options, 3);
        assert_eq!(table.get(2, "b"), None);
        assert_eq!(table.get(3, "a"), None);
    }

    #[test]
    fn of_two_alike_the_first_is_found_and_both_are_listed() {
        let table = table(&[(1, "a"), (1, "a")]);
        assert_eq!(table.get(1, "a").unwrap().options, 0);
        assert_eq!(table.iter().count(), 2);
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
