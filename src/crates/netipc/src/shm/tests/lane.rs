//! The rules of a lane. Nothing here asks the system for anything, so all of it runs under Miri.

use std::{
    cell::UnsafeCell,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

use super::super::{
    atomic::{
        AtomicU32, AtomicU64,
        Ordering::{Relaxed, Release},
    },
    lane::{Armed, LaneError, Reader, Slot, Taken, Wakeup, Writer},
};

const CAPACITY: usize = 128;

/// A slot in ordinary memory.
#[derive(Debug)]
struct Memory {
    sequence: AtomicU64,
    length: AtomicU32,
    signal: AtomicU32,
    bytes: UnsafeCell<[u8; CAPACITY]>,
    asleep: Mutex<()>,
    woken: Condvar,
}

// SAFETY: the lane's rules say who may touch `bytes`. That they hold is what Miri watches.
unsafe impl Sync for Memory {}

impl Memory {
    fn new() -> Arc<Self> {
        Arc::new(Memory {
            sequence: AtomicU64::new(0),
            length: AtomicU32::new(0),
            signal: AtomicU32::new(0),
            bytes: UnsafeCell::new([0; CAPACITY]),
            asleep: Mutex::new(()),
            woken: Condvar::new(),
        })
    }

    fn at(&self, at: usize, len: usize) -> *mut u8 {
        assert!(at + len <= CAPACITY);
        // SAFETY: it is within the array.
        unsafe { self.bytes.get().cast::<u8>().add(at) }
    }

    /// What a peer does that keeps to no rule.
    fn forge(&self, length: u32) {
        self.length.store(length, Release);
        self.sequence.fetch_add(1, Release);
        self.signal.fetch_add(1, Release);
        self.wake();
    }

    fn wake(&self) {
        drop(self.asleep.lock().unwrap());
        self.woken.notify_all();
    }
}

impl Slot for Arc<Memory> {
    fn sequence(&self) -> &AtomicU64 {
        &self.sequence
    }

    fn length(&self) -> &AtomicU32 {
        &self.length
    }

    fn wakeup(&self) -> Wakeup<'_> {
        Wakeup::Signal(&self.signal)
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn fill(&self, at: usize, from: &[u8]) {
        // SAFETY: the writer has the slot now.
        unsafe { self.at(at, from.len()).copy_from_nonoverlapping(from.as_ptr(), from.len()) }
    }

    fn copy(&self, at: usize, into: &mut [u8]) {
        // SAFETY: the reader has the slot now.
        unsafe { into.as_mut_ptr().copy_from_nonoverlapping(self.at(at, into.len()), into.len()) }
    }

    fn sleep(&self, rung: &AtomicU32, armed: Armed, until: Option<Instant>) {
        let asleep = self.asleep.lock().unwrap();
        if self.signal.load(Relaxed) != armed.signal || rung.load(Relaxed) != armed.rung {
            return;
        }
        match until {
            None => drop(self.woken.wait(asleep).unwrap()),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                drop(self.woken.wait_timeout(asleep, left).unwrap());
            }
        }
    }

    fn wake_peer(&self) {
        self.wake();
    }

    fn wake_own(&self, _rung: &AtomicU32) {
        self.wake();
    }
}

fn lane() -> (Writer<Arc<Memory>>, Reader<Arc<Memory>>, Arc<Memory>) {
    let memory = Memory::new();
    (Writer::new(Arc::clone(&memory)), Reader::new(Arc::clone(&memory), 3), memory)
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(20))
}

fn message(reader: &Reader<Arc<Memory>>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    reader.copy(0, &mut bytes);
    bytes
}

#[test]
fn a_message_comes_out_as_it_went_in() {
    let (mut writer, mut reader, _) = lane();
    assert_eq!(reader.poll(CAPACITY), Ok(None));
    for (head, body) in [("head", "body"), ("head", ""), ("", "body")] {
        writer.publish(head.as_bytes(), body.as_bytes()).unwrap();
        let whole = format!("{head}{body}");
        assert_eq!(reader.poll(CAPACITY), Ok(Some(whole.len())));
        assert_eq!(message(&reader, whole.len()), whole.as_bytes());
        assert_eq!(reader.poll(CAPACITY), Ok(None), "only once");
    }
    assert_eq!((writer.written(), reader.taken()), (3, 3));
}

#[test]
fn a_message_can_fill_the_slot_and_no_more() {
    let (mut writer, mut reader, _) = lane();
    writer.publish(&[1; 32], &[2; CAPACITY - 32]).unwrap();
    assert_eq!(reader.take(CAPACITY, None), Ok(Taken::Message(CAPACITY)));
    let refused = writer.publish(&[1; 32], &[2; CAPACITY - 31]);
    assert_eq!(refused, Err(LaneError::TooLarge { length: CAPACITY + 1, most: CAPACITY }));
    assert_eq!(writer.publish(&[], &[]), Err(LaneError::Empty));
    assert_eq!(reader.poll(CAPACITY), Ok(None), "what was refused was not published");
}

#[test]
fn a_length_that_cannot_be_costs_only_that_message() {
    let (mut writer, mut reader, memory) = lane();
    memory.forge(0);
    assert_eq!(reader.take(CAPACITY, None), Err(LaneError::NoLength));
    for length in [CAPACITY as u32 + 1, u32::MAX] {
        memory.forge(length);
        let error = LaneError::TooLarge { length: length as usize, most: CAPACITY };
        assert_eq!(reader.take(CAPACITY, None), Err(error));
    }
    // Within the slot, but more than this reader takes.
    memory.forge(101);
    assert_eq!(reader.take(100, None), Err(LaneError::TooLarge { length: 101, most: 100 }));
    writer.publish(b"next", b"").unwrap();
    assert_eq!(reader.take(100, None), Ok(Taken::Message(4)));
    assert_eq!(reader.taken(), 5, "in step again");
}

#[test]
fn an_end_begins_with_what_it_finds() {
    let memory = Memory::new();
    memory.sequence.store(41, Relaxed);
    let mut reader = Reader::new(Arc::clone(&memory), 0);
    let mut writer = Writer::new(Arc::clone(&memory));
    assert_eq!(reader.poll(CAPACITY), Ok(None));
    writer.publish(b"42", b"").unwrap();
    assert_eq!(reader.poll(CAPACITY), Ok(Some(2)));
    assert_eq!((writer.written(), reader.taken()), (42, 42));
}

#[test]
fn no_sequence_number_breaks_a_reader() {
    let (_, mut reader, memory) = lane();
    memory.length.store(1, Relaxed);
    memory.sequence.store(u64::MAX, Relaxed);
    for _ in 0..3 {
        assert_eq!(reader.poll(CAPACITY), Ok(Some(1)));
    }
    memory.sequence.store(0, Relaxed);
    assert_eq!(reader.poll(CAPACITY), Ok(None));
    // The last number there is.
    memory.sequence.store(u64::MAX - 1, Relaxed);
    let mut reader = Reader::new(Arc::clone(&memory), 0);
    memory.sequence.store(u64::MAX, Relaxed);
    assert_eq!(reader.poll(CAPACITY), Ok(Some(1)));
    assert_eq!(reader.poll(CAPACITY), Ok(None));
}

#[test]
fn the_signal_may_wrap() {
    let (mut writer, mut reader, memory) = lane();
    memory.signal.store(u32::MAX, Relaxed);
    writer.publish(b"x", b"").unwrap();
    assert_eq!(memory.signal.load(Relaxed), 0);
    assert_eq!(reader.take(CAPACITY, None), Ok(Taken::Message(1)));
}

#[test]
fn a_wait_ends_when_its_time_is_over_and_not_before() {
    let (_, mut reader, memory) = lane();
    let until = soon();
    thread::scope(|scope| {
        scope.spawn(|| {
            // Woken for nothing, it sleeps on.
            while Some(Instant::now()) < until {
                memory.signal.fetch_add(1, Release);
                memory.wake();
                thread::yield_now();
            }
        });
        assert_eq!(reader.take(CAPACITY, until), Ok(Taken::TimedOut));
        assert!(Some(Instant::now()) >= until);
    });
    assert_eq!(reader.taken(), 0);
}

#[test]
fn a_ring_ends_the_wait_of_another_thread() {
    let (_, mut reader, _) = lane();
    let bell = reader.bell();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| reader.take(CAPACITY, None));
        bell.clone().ring();
        assert_eq!(waiting.join().unwrap(), Ok(Taken::Rung));
    });
    assert_eq!(reader.take(CAPACITY, soon()), Ok(Taken::TimedOut), "and only one");
}

#[test]
fn a_ring_before_the_wait_is_heard() {
    let (mut writer, mut reader, _) = lane();
    let bell = reader.bell();
    bell.ring();
    bell.ring();
    writer.publish(b"first", b"").unwrap();
    assert_eq!(reader.take(CAPACITY, None), Ok(Taken::Message(5)), "a message comes first");
    assert_eq!(reader.take(CAPACITY, None), Ok(Taken::Rung));
    assert_eq!(reader.take(CAPACITY, soon()), Ok(Taken::TimedOut));
    // The peer takes no message from it.
    assert_eq!(Reader::new(Memory::new(), 0).poll(CAPACITY), Ok(None));
}

#[test]
fn each_answer_belongs_to_its_question() {
    const ROUNDS: u32 = if cfg!(miri) { 50 } else { 20_000 };
    let (mut ask, mut questions, _) = lane();
    let (mut answer, mut answers, _) = lane();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..ROUNDS {
                let Ok(Taken::Message(length)) = questions.take(CAPACITY, None) else {
                    panic!("every question is one");
                };
                let question = message(&questions, length);
                answer.publish(b"re: ", &question).unwrap();
            }
        });
        for round in 0..ROUNDS {
            let question = round.to_ne_bytes().repeat(1 + round as usize % 30);
            ask.publish(&question, b"").unwrap();
            let expected = [b"re: ", &question[..]].concat();
            assert_eq!(answers.take(CAPACITY, None), Ok(Taken::Message(expected.len())));
            assert_eq!(message(&answers, expected.len()), expected);
        }
    });
}
