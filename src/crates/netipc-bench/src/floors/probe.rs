//! A plain hash lookup that touches one cache line: the entry holds its name.
//!
//! `items` entries, asked for in an order without pattern; a step makes [`ASKED`] lookups.

use std::hint::black_box;

use anyhow::{Context, Result};

use crate::{
    data::{cgroups, shuffled},
    peer::Case,
};

/// Lookups in a step: enough that reading the clock does not count.
pub(crate) const ASKED: usize = 256;

const NAME: usize = 59;

/// A whole cache line. `len` 0: free.
#[repr(C, align(64))]
#[derive(Clone)]
struct Entry {
    hash: u32,
    len: u8,
    name: [u8; NAME],
}

pub(crate) fn call(case: &Case<'_>) -> Result<()> {
    let all = cgroups(case.task.items);
    let mut table = Table::with_room_for(all.len());
    for cgroup in &all {
        table.insert(cgroup.hash, cgroup.name.as_bytes())?;
    }
    let order = shuffled(all.len());
    let asked: Vec<(u32, String)> =
        order.iter().map(|&i| (all[i].hash, all[i].name.clone())).collect();
    let (table, asked) = (&table, &asked);
    let threads = 0..case.task.threads;
    let steps = threads.map(|thread| {
        let mut at = thread * asked.len() / case.task.threads;
        move || {
            for _ in 0..ASKED {
                let (hash, name) = &asked[at];
                at = if at + 1 == asked.len() { 0 } else { at + 1 };
                black_box(table.find(*hash, name.as_bytes()).context("a name is missing")?);
            }
            Ok(())
        }
    });
    case.measure(ASKED as u64, steps.collect())
}

/// Open addressing, at most half full.
struct Table {
    entries: Vec<Entry>,
}

impl Table {
    fn with_room_for(count: usize) -> Self {
        let free = Entry { hash: 0, len: 0, name: [0; NAME] };
        Table { entries: vec![free; (count * 2).next_power_of_two()] }
    }

    fn insert(&mut self, hash: u32, name: &[u8]) -> Result<()> {
        let mask = self.entries.len() - 1;
        let mut at = spread(hash) & mask;
        while self.entries[at].len != 0 {
            at = (at + 1) & mask;
        }
        let entry = &mut self.entries[at];
        entry.name.get_mut(..name.len()).context("a name too long")?.copy_from_slice(name);
        (entry.hash, entry.len) = (hash, name.len() as u8);
        Ok(())
    }

    fn find(&self, hash: u32, name: &[u8]) -> Option<&Entry> {
        let mask = self.entries.len() - 1;
        let mut at = spread(hash) & mask;
        loop {
            let entry = &self.entries[at];
            if entry.hash == hash && &entry.name[..usize::from(entry.len)] == name {
                return Some(entry);
            }
            if entry.len == 0 {
                return None;
            }
            at = (at + 1) & mask;
        }
    }
}

/// Uses all bits of the producer's hash, whose low bits alone repeat in names that count up.
fn spread(hash: u32) -> usize {
    (u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_each_name_and_no_other() {
        assert_eq!(size_of::<Entry>(), 64);
        let all = cgroups(500);
        let mut table = Table::with_room_for(all.len());
        for cgroup in &all {
            table.insert(cgroup.hash, cgroup.name.as_bytes()).unwrap();
        }
        for cgroup in &all {
            let found = table.find(cgroup.hash, cgroup.name.as_bytes()).unwrap();
            assert_eq!(&found.name[..usize::from(found.len)], cgroup.name.as_bytes());
            assert!(table.find(cgroup.hash, b"another").is_none());
        }
    }
}
