//! One lookup without a transport: each key and each item is written once and read once.
//!
//! Caller writes the keys, provider reads them and writes the items, caller reads those and
//! compares the echoed keys. The bytes are those of the wire (PROTOCOL.md, lookups), and the
//! readers make the checks of the wire in the same pass; nothing is split, stitched or copied.

use std::hint::black_box;

use anyhow::{Context, Result, ensure};

use crate::{
    data::{self, Cgroup, Process, index_of},
    peer::Case,
};

const HEAD: usize = 16;
const CGROUP: usize = 28;
const PROCESS: usize = 60;
const LABEL: usize = 16;

pub(crate) fn call_cgroups(case: &Case<'_>) -> Result<()> {
    let all = data::cgroups(case.task.items);
    let (mut request, mut response) = (Vec::new(), Vec::new());
    case.measure(
        1,
        vec![move || {
            write_paths(&mut request, black_box(&all))?;
            answer_paths(&request, &all, &mut response)?;
            read_cgroups(&response, &all)
        }],
    )
}

pub(crate) fn call_apps(case: &Case<'_>) -> Result<()> {
    let all = data::processes(case.task.items);
    let (mut request, mut response) = (Vec::new(), Vec::new());
    case.measure(
        1,
        vec![move || {
            write_pids(&mut request, black_box(&all));
            answer_pids(&request, &all, &mut response)?;
            read_processes(&response, &all)
        }],
    )
}

pub(crate) fn write_paths(out: &mut Vec<u8>, all: &[Cgroup]) -> Result<()> {
    start(out, all.len(), 0);
    for (index, cgroup) in all.iter().enumerate() {
        let at = open(out);
        put_string(out, cgroup.path.as_bytes())?;
        close(out, index, all.len(), at);
    }
    Ok(())
}

pub(crate) fn answer_paths(request: &[u8], all: &[Cgroup], out: &mut Vec<u8>) -> Result<()> {
    let count = count(request)?;
    start(out, count, 7);
    for (index, key) in items(request, count).enumerate() {
        let (0, path) = key?.split_last().context("an empty key")? else {
            anyhow::bail!("a key without its end");
        };
        ensure!(!has_end(path), "a key with an inner end");
        let cgroup = index_of(path).and_then(|index| all.get(index)).context("an unknown key")?;
        let at = open(out);
        put_cgroup(out, path, cgroup)?;
        close(out, index, count, at);
    }
    Ok(())
}

fn put_cgroup(out: &mut Vec<u8>, path: &[u8], cgroup: &Cgroup) -> Result<()> {
    let name = cgroup.name.as_bytes();
    let mut head = [0; CGROUP];
    let name_at = CGROUP + path.len() + 1;
    head[0..2].copy_from_slice(&1u16.to_ne_bytes());
    head[4..6].copy_from_slice(&1u16.to_ne_bytes());
    head[8..12].copy_from_slice(&(CGROUP as u32).to_ne_bytes());
    head[12..16].copy_from_slice(&(path.len() as u32).to_ne_bytes());
    head[16..20].copy_from_slice(&(name_at as u32).to_ne_bytes());
    head[20..24].copy_from_slice(&(name.len() as u32).to_ne_bytes());
    head[24..26].copy_from_slice(&(cgroup.labels.len() as u16).to_ne_bytes());
    out.extend_from_slice(&head);
    put_string(out, path)?;
    put_string(out, name)?;
    out.resize(out.len().next_multiple_of(8), 0);
    let table = (name_at + name.len() + 1).next_multiple_of(8);
    let mut text_at = table + LABEL * cgroup.labels.len();
    for (key, value) in &cgroup.labels {
        let value_at = text_at + key.len() + 1;
        let mut entry = [0; LABEL];
        let numbers = [text_at, key.len(), value_at, value.len()];
        for (place, number) in entry.chunks_exact_mut(4).zip(numbers) {
            place.copy_from_slice(&(number as u32).to_ne_bytes());
        }
        out.extend_from_slice(&entry);
        text_at = value_at + value.len() + 1;
    }
    for (key, value) in &cgroup.labels {
        ensure!(!key.is_empty(), "a label without a key");
        put_string(out, key.as_bytes())?;
        put_string(out, value.as_bytes())?;
    }
    Ok(())
}

fn read_cgroups(response: &[u8], all: &[Cgroup]) -> Result<()> {
    let count = count(response)?;
    ensure!(count == all.len(), "{count} items");
    for (item, asked) in items(response, count).zip(all) {
        let item = item?;
        ensure!(u16_at(item, 0)? == 1 && u16_at(item, 2)? <= 4, "an item's head");
        ensure!(u16_at(item, 6)? == 0 && u16_at(item, 26)? == 0, "reserved fields");
        let [path_at, name_at] = [u32_at(item, 8)?, u32_at(item, 16)?];
        let path = string(item, CGROUP, path_at, u32_at(item, 12)?)?;
        let name = string(item, CGROUP, name_at, u32_at(item, 20)?)?;
        let apart = path_at + path.len() < name_at || name_at + name.len() < path_at;
        ensure!(apart && !path.is_empty(), "texts that overlap, or no path");
        ensure!(path == asked.path.as_bytes(), "another key came back");
        let labels = usize::from(u16_at(item, 24)?);
        let known = u16_at(item, 2)? == 0;
        let bare = u16_at(item, 4)? == 0 && name.is_empty() && labels == 0;
        ensure!(known || bare, "an item that contradicts its status");
        let end = (path_at + path.len()).max(name_at + name.len()) + 1;
        let table = end.next_multiple_of(8);
        let pad = item.get(end..table).unwrap_or_default();
        ensure!(labels == 0 || pad.iter().all(|&byte| byte == 0), "padding that is not zero");
        let mut text_at = table + LABEL * labels;
        for entry in (table..text_at).step_by(LABEL) {
            for field in [entry, entry + 8] {
                ensure!(u32_at(item, field)? == text_at, "a gap between labels");
                let text = string(item, CGROUP, text_at, u32_at(item, field + 4)?)?;
                ensure!(field != entry || !text.is_empty(), "a label without a key");
                text_at += text.len() + 1;
                black_box(text);
            }
        }
        let end = if labels == 0 { end } else { text_at };
        ensure!(end == item.len(), "bytes behind the last text");
        black_box((path, name));
    }
    Ok(())
}

pub(crate) fn write_pids(out: &mut Vec<u8>, all: &[Process]) {
    start(out, all.len(), 0);
    for (index, process) in all.iter().enumerate() {
        let at = open(out);
        out.extend_from_slice(&process.pid.to_ne_bytes());
        out.extend_from_slice(&[0; 4]);
        close(out, index, all.len(), at);
    }
}

pub(crate) fn answer_pids(request: &[u8], all: &[Process], out: &mut Vec<u8>) -> Result<()> {
    let count = count(request)?;
    start(out, count, 7);
    for (index, key) in items(request, count).enumerate() {
        let key = key?;
        ensure!(key.len() == 8 && u32_at(key, 4)? == 0, "a malformed key");
        let process = u32_at(key, 0)?.checked_sub(1).and_then(|index| all.get(index));
        let at = open(out);
        put_process(out, process.context("an unknown key")?)?;
        close(out, index, count, at);
    }
    Ok(())
}

fn put_process(out: &mut Vec<u8>, process: &Process) -> Result<()> {
    let mut head = [0; PROCESS];
    head[0..2].copy_from_slice(&1u16.to_ne_bytes());
    head[4..6].copy_from_slice(&1u16.to_ne_bytes());
    head[8..12].copy_from_slice(&process.pid.to_ne_bytes());
    head[12..16].copy_from_slice(&1u32.to_ne_bytes());
    head[16..20].copy_from_slice(&1000u32.to_ne_bytes());
    head[24..32].copy_from_slice(&u64::from(process.pid).to_ne_bytes());
    let texts = [&process.comm, &process.cgroup_path, &process.cgroup_name].map(String::as_bytes);
    let mut text_at = PROCESS;
    for (place, text) in head[32..56].chunks_exact_mut(8).zip(texts) {
        place[..4].copy_from_slice(&(text_at as u32).to_ne_bytes());
        place[4..].copy_from_slice(&(text.len() as u32).to_ne_bytes());
        text_at += text.len() + 1;
    }
    out.extend_from_slice(&head);
    texts.iter().try_for_each(|text| put_string(out, text))
}

fn read_processes(response: &[u8], all: &[Process]) -> Result<()> {
    let count = count(response)?;
    ensure!(count == all.len(), "{count} items");
    for (item, asked) in items(response, count).zip(all) {
        let item = item?;
        // The floor asks for none but known processes in known cgroups.
        ensure!(u16_at(item, 0)? == 1 && u16_at(item, 2)? == 0, "an item's head");
        ensure!(u32_at(item, 20)? == 0 && u16_at(item, 58)? == 0, "reserved fields");
        ensure!(u16_at(item, 6)? == 0 && u16_at(item, 56)? == 0, "another status, or labels");
        ensure!(u32_at(item, 8)? == asked.pid as usize, "another key came back");
        let at = [u32_at(item, 32)?, u32_at(item, 40)?, u32_at(item, 48)?];
        let comm = string(item, PROCESS, at[0], u32_at(item, 36)?)?;
        let path = string(item, PROCESS, at[1], u32_at(item, 44)?)?;
        let name = string(item, PROCESS, at[2], u32_at(item, 52)?)?;
        ensure!(
            (1..=15).contains(&comm.len()) && !path.is_empty(),
            "a command's length, or no path"
        );
        let end = [comm, path, name].iter().zip(at).fold(PROCESS, |end, (text, at)| {
            // The order in which the wire's writers put them; another would not be wrong, only slower.
            if at == end { at + text.len() + 1 } else { usize::MAX }
        });
        ensure!(end == item.len(), "texts that overlap, or bytes behind them");
        black_box((comm, path, name));
    }
    Ok(())
}

/// Writes the head of a request or, with its generation, of a response, and room for the directory.
fn start(out: &mut Vec<u8>, count: usize, generation: u64) {
    out.clear();
    let mut head = [0; HEAD];
    head[0..2].copy_from_slice(&1u16.to_ne_bytes());
    head[4..8].copy_from_slice(&(count as u32).to_ne_bytes());
    head[8..16].copy_from_slice(&generation.to_ne_bytes());
    out.extend_from_slice(&head);
    out.resize(HEAD + 8 * count, 0);
}

/// Where the next item begins.
fn open(out: &mut Vec<u8>) -> usize {
    out.resize(out.len().next_multiple_of(8), 0);
    out.len()
}

/// Enters the item that began at `at` into the directory.
fn close(out: &mut [u8], index: usize, count: usize, at: usize) {
    let (offset, len) = (at - HEAD - 8 * count, out.len() - at);
    let entry = &mut out[HEAD + 8 * index..][..8];
    entry[..4].copy_from_slice(&(offset as u32).to_ne_bytes());
    entry[4..].copy_from_slice(&(len as u32).to_ne_bytes());
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) -> Result<()> {
    ensure!(!has_end(text), "a text with an inner end");
    out.extend_from_slice(text);
    out.push(0);
    Ok(())
}

/// Whether there is a NUL in a text, eight bytes at a time.
fn has_end(text: &[u8]) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    let zeros = |word: &[u8; 8]| {
        let word = u64::from_le_bytes(*word);
        word.wrapping_sub(LOW) & !word & (LOW << 7)
    };
    let Some(last) = text.last_chunk() else { return text.contains(&0) };
    text.as_chunks().0.iter().fold(zeros(last), |found, word| found | zeros(word)) != 0
}

fn count(payload: &[u8]) -> Result<usize> {
    ensure!(u16_at(payload, 0)? == 1 && u16_at(payload, 2)? == 0, "a malformed head");
    u32_at(payload, 4)
}

/// The items of a request or a response, in ascending and disjoint places.
fn items(payload: &[u8], count: usize) -> impl Iterator<Item = Result<&[u8]>> {
    let directory = payload.get(HEAD..HEAD + 8 * count).unwrap_or_default();
    let area = payload.get(HEAD + 8 * count..).unwrap_or_default();
    let mut end = 0;
    directory.chunks_exact(8).map(move |entry| {
        let (offset, len) = (u32_at(entry, 0)?, u32_at(entry, 4)?);
        ensure!(offset >= end && offset % 8 == 0, "items out of order");
        end = offset + len;
        area.get(offset..end).context("an item out of bounds")
    })
}

/// The text at `offset`, behind the item's fixed part, ended by a NUL and without one inside.
fn string(item: &[u8], fixed: usize, offset: usize, len: usize) -> Result<&[u8]> {
    ensure!(offset >= fixed, "a text in the head");
    let text = item.get(offset..offset + len + 1).context("a text out of bounds")?;
    match text.split_last() {
        Some((0, text)) if !has_end(text) => Ok(text),
        _ => anyhow::bail!("a text without its end"),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    let field = bytes.get(at..at + 2).and_then(|field| field.try_into().ok());
    Ok(u16::from_ne_bytes(field.context("cut short")?))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<usize> {
    let field = bytes.get(at..at + 4).and_then(|field| field.try_into().ok());
    Ok(u32::from_ne_bytes(field.context("cut short")?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cgroup_asked_for_comes_back() {
        let all = data::cgroups(40);
        let (mut request, mut response) = (Vec::new(), Vec::new());
        write_paths(&mut request, &all).unwrap();
        answer_paths(&request, &all, &mut response).unwrap();
        read_cgroups(&response, &all).unwrap();
        let key = data::cgroups(41).pop().unwrap().path;
        let changed = Cgroup { path: key, ..data::cgroups(1).pop().unwrap() };
        assert!(read_cgroups(&response[..response.len() - 1], &all).is_err());
        assert!(read_cgroups(&response, &[changed]).is_err());
    }

    #[test]
    fn every_process_asked_for_comes_back() {
        let all = data::processes(40);
        let (mut request, mut response) = (Vec::new(), Vec::new());
        write_pids(&mut request, &all);
        answer_pids(&request, &all, &mut response).unwrap();
        read_processes(&response, &all).unwrap();
        assert!(read_processes(&response, &data::processes(39)).is_err());
    }
}
