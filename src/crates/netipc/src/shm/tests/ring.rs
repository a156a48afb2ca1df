//! The rules of a ring. Nothing here asks the system for anything, so all of it runs under Miri.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex},
    thread,
};

use super::super::{
    atomic::{
        AtomicU64,
        Ordering::{Relaxed, Release},
    },
    ring::{
        Place, Reader, RingError, START, Track, Writer, fall_asleep, must_wake, sleep, wake_up,
    },
    words,
};
use crate::testing::Random;

const SLOTS: usize = 8;
const BULK: usize = 512;
const LONGEST: usize = START + BULK / 4;
const HEAD: usize = 32;

/// A ring in ordinary memory.
#[derive(Debug)]
struct Memory {
    slots: [[AtomicU64; 8]; SLOTS],
    bulk: [AtomicU64; BULK / 8],
    taken: AtomicU64,
}

impl Memory {
    fn new() -> Arc<Self> {
        let zero = |_| AtomicU64::new(0);
        Arc::new(Memory {
            slots: [(); SLOTS].map(|()| [(); 8].map(zero)),
            bulk: [(); BULK / 8].map(zero),
            taken: AtomicU64::new(0),
        })
    }

    fn words(&self, place: Place) -> &[AtomicU64] {
        match place {
            Place::Slot(slot) => &self.slots[slot][1..],
            Place::Bulk => &self.bulk,
        }
    }
}

impl Track for Arc<Memory> {
    fn slots(&self) -> u64 {
        SLOTS as u64
    }

    fn bulk(&self) -> u64 {
        BULK as u64
    }

    fn announcement(&self, slot: usize) -> &AtomicU64 {
        &self.slots[slot][0]
    }

    fn taken(&self) -> &AtomicU64 {
        &self.taken
    }

    fn fill(&self, place: Place, at: usize, from: &[u8]) {
        words::fill(self.words(place), at, from);
    }

    fn copy(&self, place: Place, at: usize, into: &mut [u8]) {
        words::copy(self.words(place), at, into);
    }
}

type Ring = (Writer<Arc<Memory>>, Reader<Arc<Memory>>, Arc<Memory>);

fn ring() -> Ring {
    let memory = Memory::new();
    (Writer::new(Arc::clone(&memory)), Reader::new(Arc::clone(&memory)), memory)
}

fn push_all(writer: &mut Writer<Arc<Memory>>, message: &[u8]) -> usize {
    let (head, body) = message.split_at(HEAD);
    let (mut done, mut records) = (0, 0);
    while done < message.len() {
        match writer.push(head, body, done).unwrap() {
            0 => panic!("no room"),
            put => (done, records) = (done + put, records + 1),
        }
    }
    records
}

fn next(reader: &mut Reader<Arc<Memory>>) -> Option<Vec<u8>> {
    let length = reader.open().unwrap()?;
    let mut record = vec![0; length];
    // As a session does it: the head first, then what follows.
    let head = length.min(HEAD);
    reader.copy(0, &mut record[..head]);
    reader.copy(head, &mut record[head..]);
    let _ = reader.close(length);
    Some(record)
}

fn message(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 7 + seed * 13 + 1) as u8).collect()
}

#[test]
fn a_record_comes_out_as_it_went_in_whatever_its_length() {
    let (mut writer, mut reader, _) = ring();
    assert_eq!(next(&mut reader), None);
    for length in HEAD..=LONGEST {
        let sent = message(length, length);
        assert_eq!(push_all(&mut writer, &sent), 1);
        assert_eq!(next(&mut reader), Some(sent), "{length} bytes");
        assert_eq!(next(&mut reader), None, "only once");
    }
}

#[test]
fn a_small_message_stays_within_its_line() {
    let (mut writer, _, memory) = ring();
    push_all(&mut writer, &[0xFF; START]);
    assert!(memory.bulk.iter().all(|word| word.load(Relaxed) == 0));
    assert!(memory.slots[1].iter().all(|word| word.load(Relaxed) == 0));
    assert!(memory.slots[0].iter().all(|word| word.load(Relaxed) != 0));
}

#[test]
fn a_message_longer_than_the_ring_passes_in_parts() {
    let (mut writer, mut reader, _) = ring();
    let sent = message(1, 10 * BULK);
    let (head, body) = sent.split_at(HEAD);
    let (mut done, mut received) = (0, Vec::new());
    while received.len() < sent.len() {
        while done < sent.len() {
            match writer.push(head, body, done).unwrap() {
                0 => break,
                put => done += put,
            }
        }
        let part = next(&mut reader).expect("a writer without room has written something");
        assert!(part.len() <= LONGEST);
        received.extend(part);
    }
    assert_eq!(received, sent);
    assert_eq!(next(&mut reader), None);
}

#[test]
fn a_ring_takes_as_many_records_as_it_has_slots_and_then_none() {
    let (mut writer, mut reader, _) = ring();
    for number in 0..SLOTS {
        assert_ne!(writer.push(&message(number, HEAD), &[], 0), Ok(0));
    }
    assert_eq!(writer.push(&[0; HEAD], &[], 0), Ok(0));
    assert_eq!(writer.has_room_for(HEAD), Ok(false));
    for number in 0..SLOTS {
        assert_eq!(next(&mut reader), Some(message(number, HEAD)));
    }
    assert_eq!(next(&mut reader), None);
    assert_eq!(writer.has_room_for(HEAD), Ok(true));
    assert_eq!(writer.has_room_for(10 * BULK), Ok(true), "for the next record of it");
}

#[test]
fn a_ring_takes_as_many_bytes_as_it_has_bulk() {
    let (mut writer, mut reader, _) = ring();
    let long = [1; LONGEST];
    for _ in 0..4 {
        push_all(&mut writer, &long);
    }
    assert_eq!(writer.has_room_for(LONGEST), Ok(false));
    assert_eq!(writer.has_room_for(START), Ok(true), "a small one needs none");
    assert_eq!(writer.push(&long[..HEAD], &long[HEAD..], 0), Ok(0));
    next(&mut reader).unwrap();
    assert_eq!(writer.has_room_for(LONGEST), Ok(true), "a share of the bulk is told at once");
}

#[test]
fn a_reader_tells_what_it_took_now_and_then_and_when_asked() {
    let (mut writer, mut reader, memory) = ring();
    push_all(&mut writer, &[0; HEAD]);
    let length = reader.open().unwrap().unwrap();
    assert!(!reader.close(length));
    assert_eq!(memory.taken.load(Relaxed), 0);
    assert!(reader.settle());
    assert_eq!(memory.taken.load(Relaxed), 1);
    assert!(!reader.settle(), "once is enough");
    // By itself when it is a quarter of the slots.
    for number in 1..=SLOTS / 4 {
        push_all(&mut writer, &[0; HEAD]);
        let length = reader.open().unwrap().unwrap();
        assert_eq!(reader.close(length), number == SLOTS / 4);
    }
}

#[test]
fn the_bulk_of_a_record_begins_at_a_line_of_its_own() {
    let (mut writer, mut reader, memory) = ring();
    let used = || memory.bulk.iter().map(|word| word.load(Relaxed) != 0).collect::<Vec<_>>();
    let mut expected = vec![false; BULK / 8];
    for line in 0..3 {
        push_all(&mut writer, &[0xFF; START + 1]);
        expected[line * 8] = true;
        assert_eq!(used(), expected);
        assert_eq!(next(&mut reader), Some(vec![0xFF; START + 1]));
    }
}

#[test]
fn a_length_that_cannot_be_is_refused() {
    let (_, reader, memory) = ring();
    for length in [0, LONGEST as u32 + 1, u32::MAX] {
        memory.slots[0][0].store(u64::from(length) << 32 | 1, Release);
        let error = RingError::Length { length, most: LONGEST as u64 };
        assert_eq!(reader.open(), Err(error));
    }
}

#[test]
fn an_announcement_of_another_turn_is_none() {
    let (_, reader, memory) = ring();
    for stamp in [0, 2, 1 + SLOTS as u64, 1 + (1 << 16), 1 + (1 << 31), u64::from(u32::MAX)] {
        memory.slots[0][0].store(40 << 32 | stamp, Release);
        assert_eq!(reader.open(), Ok(None));
    }
}

#[test]
fn a_peer_that_claims_what_cannot_be_is_refused() {
    for claimed in [5, u64::MAX] {
        let (mut writer, _, memory) = ring();
        for _ in 0..4 {
            push_all(&mut writer, &[1; LONGEST]);
        }
        memory.taken.store(claimed, Relaxed);
        let error = RingError::Taken { claimed, sent: 4 };
        assert_eq!(writer.has_room_for(LONGEST), Err(error));
        assert_eq!(writer.push(&[1; HEAD], &[1; LONGEST], 0), Err(error));
    }
    let (mut writer, mut reader, memory) = ring();
    for _ in 0..4 {
        push_all(&mut writer, &[1; LONGEST]);
    }
    next(&mut reader).unwrap();
    assert_eq!(writer.has_room_for(LONGEST), Ok(true));
    push_all(&mut writer, &[1; LONGEST]);
    memory.taken.store(0, Relaxed);
    let error = RingError::Taken { claimed: 0, sent: 5 };
    assert_eq!(writer.has_room_for(LONGEST), Err(error), "what was taken is not put back");
}

/// Whatever a peer writes anywhere at any time, both ends stay within their memory, ask for no more
/// than the longest record, and come to an end.
#[test]
fn no_bytes_of_a_peer_lead_astray() {
    let mut random = Random::new("no_bytes_of_a_peer_lead_astray");
    const ROUNDS: usize = if cfg!(miri) { 200 } else { 100_000 };
    let (mut writer, mut reader, memory) = ring();
    let (mut broken, mut read) = (0, 0);
    for _ in 0..ROUNDS {
        let forged = match random.below(4) {
            0 => random.next(),
            1 => random.below(64),
            // Plausible: the next number, any length.
            2 => random.below(300) << 32 | (read as u64 + 1) & u64::from(u32::MAX),
            _ => u64::MAX - random.below(8),
        };
        match random.below(4) {
            0 => memory.taken.store(forged, Relaxed),
            1 => memory.slots[random.below(SLOTS as u64) as usize][0].store(forged, Relaxed),
            2 => memory.slots[read % SLOTS][0].store(forged, Relaxed),
            _ => memory.bulk[random.below(BULK as u64 / 8) as usize].store(forged, Relaxed),
        }
        let body = vec![0; random.below(2 * BULK as u64) as usize];
        match writer.push(&[0; HEAD], &body, 0) {
            Ok(put) => assert!(put <= LONGEST),
            Err(_) => broken += 1,
        }
        match reader.open() {
            Ok(Some(length)) => {
                assert!((1..=LONGEST).contains(&length));
                let mut record = vec![0; length];
                reader.copy(0, &mut record);
                let _ = reader.close(length);
                read += 1;
            }
            Ok(None) => {}
            Err(_) => broken += 1,
        }
    }
    assert!(broken > 0 && read > 0, "{broken} broken, {read} read");
}

/// Random messages in and out, against a queue.
#[test]
fn behaves_like_a_queue() {
    let mut random = Random::new("behaves_like_a_queue");
    const ROUNDS: usize = if cfg!(miri) { 200 } else { 50_000 };
    let (mut writer, mut reader, _) = ring();
    let mut queue = VecDeque::new();
    for round in 0..ROUNDS {
        if random.below(2) == 0 {
            let sent = message(round, HEAD + random.below((LONGEST - HEAD + 1) as u64) as usize);
            let room = writer.has_room_for(sent.len()).unwrap();
            let put = writer.push(&sent[..HEAD], &sent[HEAD..], 0).unwrap();
            assert_eq!(put, if room { sent.len() } else { 0 });
            if room {
                queue.push_back(sent);
            } else {
                assert!(!queue.is_empty(), "an empty ring has room");
            }
        } else {
            assert_eq!(next(&mut reader), queue.pop_front());
        }
    }
}

/// Who sleeps, and the descriptor it sleeps on.
#[derive(Debug, Default)]
struct Sleeper {
    word: AtomicU64,
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Sleeper {
    fn sleep(&self, what: u64, mut is_there: impl FnMut() -> bool) {
        fall_asleep(&self.word, what);
        if !is_there() {
            let mut rung = self.rung.lock().unwrap();
            while !*rung {
                rung = self.bell.wait(rung).unwrap();
            }
            *rung = false;
        }
        wake_up(&self.word);
    }

    fn did(&self, what: u64) {
        if must_wake(&self.word, what) {
            *self.rung.lock().unwrap() = true;
            self.bell.notify_one();
        }
    }
}

#[test]
fn threads_that_sleep_for_records_and_room_lose_nothing() {
    const ROUNDS: usize = if cfg!(miri) { 100 } else { 20_000 };
    let (mut writer, mut reader, _) = ring();
    let (sender, receiver) = (Sleeper::default(), Sleeper::default());
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..ROUNDS {
                let sent = message(round, HEAD + round % 300);
                let mut done = 0;
                while done < sent.len() {
                    match writer.push(&sent[..HEAD], &sent[HEAD..], done).unwrap() {
                        0 => {
                            let left = sent.len() - done;
                            sender.sleep(sleep::ROOM, || writer.has_room_for(left).unwrap());
                        }
                        put => {
                            done += put;
                            receiver.did(sleep::RECORDS);
                        }
                    }
                }
            }
        });
        for round in 0..ROUNDS {
            let expected = message(round, HEAD + round % 300);
            let mut received = Vec::new();
            while received.len() < expected.len() {
                let Some(length) = reader.open().unwrap() else {
                    if reader.settle() {
                        sender.did(sleep::ROOM);
                    }
                    receiver.sleep(sleep::RECORDS, || reader.open().unwrap().is_some());
                    continue;
                };
                let at = received.len();
                received.resize(at + length, 0);
                reader.copy(0, &mut received[at..]);
                if reader.close(length) {
                    sender.did(sleep::ROOM);
                }
            }
            assert_eq!(received, expected);
        }
    });
}
