//! What refreshing a cache cannot do without: copying the message once, checking it, and building one
//! index.
//!
//! The table is the copied message itself; the index maps (hash, name) to an item's place in it.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};

use crate::{
    data::{Cgroup, cgroups},
    peer::Case,
};

const HEAD: usize = 24;
const ITEM: usize = 32;
const FREE: u32 = u32::MAX;

pub(crate) fn call(case: &Case<'_>) -> Result<()> {
    let message = encode(&cgroups(case.task.items));
    case.measure(
        1,
        vec![move || {
            let table = Table::of(black_box(&message))?;
            black_box(&table);
            Ok(())
        }],
    )
}

/// A snapshot response as it comes (PROTOCOL.md, snapshots).
pub(crate) fn encode(all: &[Cgroup]) -> Vec<u8> {
    let area = HEAD + 8 * all.len();
    let mut out = vec![0; area];
    out[0..2].copy_from_slice(&1u16.to_ne_bytes());
    out[4..8].copy_from_slice(&(all.len() as u32).to_ne_bytes());
    out[8..12].copy_from_slice(&1u32.to_ne_bytes());
    out[16..24].copy_from_slice(&7u64.to_ne_bytes());
    for (index, cgroup) in all.iter().enumerate() {
        out.resize(out.len().next_multiple_of(8), 0);
        let at = out.len();
        let (name, path) = (cgroup.name.as_bytes(), cgroup.path.as_bytes());
        let mut head = [0; ITEM];
        head[0..2].copy_from_slice(&1u16.to_ne_bytes());
        let path_at = ITEM + name.len() + 1;
        let numbers = [cgroup.hash, 0, 1, ITEM as u32, name.len() as u32, path_at as u32];
        for (place, number) in head[4..].chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&number.to_ne_bytes());
        }
        head[28..].copy_from_slice(&(path.len() as u32).to_ne_bytes());
        out.extend_from_slice(&head);
        for text in [name, path] {
            out.extend_from_slice(text);
            out.push(0);
        }
        let entry = [at - area, out.len() - at].map(|number| (number as u32).to_ne_bytes());
        out[HEAD + 8 * index..][..8].copy_from_slice(entry.as_flattened());
    }
    out
}

/// The copied message and its index.
struct Table {
    message: Vec<u8>,
    index: Vec<u32>,
}

impl Table {
    fn of(message: &[u8]) -> Result<Self> {
        let message = message.to_vec();
        let count = u32_at(&message, 4)?;
        let mut table = Table { index: vec![FREE; (count * 2).next_power_of_two()], message };
        let mask = table.index.len() - 1;
        for item in (0..count).map(|n| HEAD + 8 * n) {
            let area = HEAD + 8 * count;
            let (offset, len) = (u32_at(&table.message, item)?, u32_at(&table.message, item + 4)?);
            ensure!(offset % 8 == 0 && len >= ITEM, "a malformed entry");
            let at = area + offset;
            check(table.message.get(at..at + len).context("an item out of bounds")?)?;
            let (hash, name) = table.key(at)?;
            let mut slot = spread(hash, name) & mask;
            while table.index[slot] != FREE {
                if table.key(table.index[slot] as usize)? == (hash, name) {
                    break;
                }
                slot = (slot + 1) & mask;
            }
            if table.index[slot] == FREE {
                table.index[slot] = at as u32;
            }
        }
        Ok(table)
    }

    /// Hash and name of the item at `at`.
    fn key(&self, at: usize) -> Result<(u32, &[u8])> {
        let item = self.message.get(at..).context("an item out of bounds")?;
        let (offset, len) = (u32_at(item, 16)?, u32_at(item, 20)?);
        ensure!(offset >= ITEM, "a name in the head");
        let name = item.get(offset..offset + len).context("a name out of bounds")?;
        Ok((u32_at(item, 4)? as u32, name))
    }
}

/// Checks an item as the wire demands before it is used: its head, and that its two strings lie behind
/// the head, end in a NUL and share no byte.
fn check(item: &[u8]) -> Result<()> {
    // The version is 1, the flags behind it are 0.
    let head = [1u16, 0].map(u16::to_ne_bytes);
    ensure!(item.starts_with(head.as_flattened()), "a malformed item");
    let mut ends = [(0, 0); 2];
    for (string, at) in ends.iter_mut().zip([16, 24]) {
        let (offset, len) = (u32_at(item, at)?, u32_at(item, at + 4)?);
        ensure!(offset >= ITEM, "a string in the head");
        ensure!(item.get(offset + len) == Some(&0), "a string without its end");
        *string = (offset, offset + len);
    }
    let [name, path] = ends;
    ensure!(name.1 < path.0 || path.1 < name.0, "strings that overlap");
    Ok(())
}

/// Mixes hash and name, eight bytes at a time.
fn spread(hash: u32, name: &[u8]) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |state: u64, word: u64| (state.rotate_left(5) ^ word).wrapping_mul(ODD);
    let (words, rest) = name.as_chunks::<8>();
    let state = words.iter().fold(u64::from(hash), |s, word| mix(s, u64::from_le_bytes(*word)));
    let state = rest.iter().fold(state, |s, &byte| mix(s, byte.into()));
    (state >> 32) as usize
}

fn u32_at(bytes: &[u8], at: usize) -> Result<usize> {
    let field = bytes.get(at..at + 4).and_then(|field| field.try_into().ok());
    Ok(u32::from_ne_bytes(field.context("cut short")?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_in_the_index_once() {
        let all = cgroups(300);
        let table = Table::of(&encode(&all)).unwrap();
        let mut places: Vec<u32> = table.index.iter().copied().filter(|&at| at != FREE).collect();
        places.sort_unstable();
        let keys = places.iter().map(|&at| table.key(at as usize).unwrap());
        assert!(keys.eq(all.iter().map(|c| (c.hash, c.name.as_bytes()))));
    }

    #[test]
    fn damaged_items_are_refused() {
        let message = encode(&cgroups(2));
        let second = HEAD + 16 + u32_at(&message, HEAD + 8).unwrap();
        for (at, byte) in [(0, 2), (16, 31), (20, 1), (23, 255), (24, 33), (32 + 19, 1)] {
            let mut damaged = message.clone();
            damaged[second + at] = byte;
            assert!(Table::of(&damaged).is_err(), "byte {at}");
        }
        assert!(Table::of(&message[..message.len() - 1]).is_err());
    }

    #[test]
    fn the_first_of_two_equal_keys_wins() {
        let mut all = cgroups(2);
        all[1] = cgroups(1).pop().unwrap();
        let table = Table::of(&encode(&all)).unwrap();
        assert_eq!(table.index.iter().filter(|&&at| at != FREE).count(), 1);
    }
}
