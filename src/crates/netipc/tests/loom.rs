//! Lanes, rings, who has a client and who may handle a request, under every order in which two threads may run and see each other's writes.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" cargo test --release -p netipc --test loom
//! ```
//!
//! All are those of the library, with the atomics of the model in place of the real ones. The
//! kernel's part, sleeping and waking, is modelled here.
#![cfg(loom)]

/// What they find as the atomics of their crate.
mod atomic {
    pub(crate) use loom::sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU32, AtomicU64, Ordering, fence},
    };
}

#[path = "../src/server/hold.rs"]
#[allow(dead_code)]
mod hold;
#[path = "loom/hold.rs"]
mod hold_model;
#[path = "../src/shm/lane.rs"]
#[allow(dead_code)]
mod lane;
#[path = "../src/server/permits.rs"]
#[allow(dead_code)]
mod permits;
#[path = "loom/permits.rs"]
mod permits_model;
#[path = "../src/shm/ring.rs"]
#[allow(dead_code)]
mod ring;
#[path = "loom/ring.rs"]
mod ring_model;

use std::time::Instant;

use loom::{cell::UnsafeCell, sync::atomic::Ordering::Relaxed, thread};

use atomic::{Arc, AtomicU32, AtomicU64, Condvar, Mutex};
use lane::{Armed, Reader, Slot, Taken, Wakeup, Writer};

const CAPACITY: usize = 2;

/// A slot whose bytes tell when they are touched by two at once.
struct Model {
    sequence: AtomicU64,
    length: AtomicU32,
    signal: AtomicU32,
    bytes: [UnsafeCell<u8>; CAPACITY],
    flags: Option<Flags>,
    /// The kernel's: it compares the words, or looks at an event, and falls asleep in one step.
    event: Mutex<bool>,
    woken: Condvar,
}

/// The words of a layout without a signal.
struct Flags {
    waiting: AtomicU32,
    closed: AtomicU32,
}

impl Model {
    fn new() -> Arc<Self> {
        Self::with(None)
    }

    fn with_flags() -> Arc<Self> {
        Self::with(Some(Flags { waiting: AtomicU32::new(0), closed: AtomicU32::new(0) }))
    }

    fn with(flags: Option<Flags>) -> Arc<Self> {
        Arc::new(Model {
            sequence: AtomicU64::new(0),
            length: AtomicU32::new(0),
            signal: AtomicU32::new(0),
            bytes: [UnsafeCell::new(0), UnsafeCell::new(0)],
            flags,
            event: Mutex::new(false),
            woken: Condvar::new(),
        })
    }

    fn wake(&self) {
        *self.event.lock().unwrap() = true;
        self.woken.notify_all();
    }
}

impl Slot for Arc<Model> {
    fn sequence(&self) -> &AtomicU64 {
        &self.sequence
    }

    fn length(&self) -> &AtomicU32 {
        &self.length
    }

    fn wakeup(&self) -> Wakeup<'_> {
        match &self.flags {
            None => Wakeup::Signal(&self.signal),
            Some(Flags { waiting, closed }) => Wakeup::Flags { waiting, closed },
        }
    }

    fn capacity(&self) -> usize {
        CAPACITY
    }

    fn fill(&self, at: usize, from: &[u8]) {
        for (cell, &byte) in self.bytes[at..].iter().zip(from) {
            // SAFETY: the writer has the slot now; the model checks that.
            cell.with_mut(|cell| unsafe { *cell = byte });
        }
    }

    fn copy(&self, at: usize, into: &mut [u8]) {
        for (cell, byte) in self.bytes[at..].iter().zip(into) {
            // SAFETY: the reader has the slot now; the model checks that.
            *byte = cell.with(|cell| unsafe { *cell });
        }
    }

    fn sleep(&self, rung: &AtomicU32, armed: Armed, until: Option<Instant>) {
        assert!(until.is_none(), "the model has no clock");
        let mut event = self.event.lock().unwrap();
        // Relaxed: the kernel's look publishes nothing to who asked for it.
        let signalled = match self.flags {
            None => self.signal.load(Relaxed) != armed.signal,
            Some(_) => *event,
        };
        if !signalled && rung.load(Relaxed) == armed.rung {
            event = self.woken.wait(event).unwrap();
        }
        *event = false;
    }

    fn wake_peer(&self) {
        self.wake();
    }

    fn wake_own(&self, _rung: &AtomicU32) {
        self.wake();
    }
}

/// Tries all orders with up to three switches between threads that none of them asked for. Without
/// this bound the larger models do not come to an end within minutes.
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn lane() -> (Writer<Arc<Model>>, Reader<Arc<Model>>) {
    let model = Model::new();
    (Writer::new(Arc::clone(&model)), Reader::new(model, 0))
}

fn next(reader: &mut Reader<Arc<Model>>) -> Vec<u8> {
    let Ok(Taken::Message(length)) = reader.take(CAPACITY, None) else { panic!("a message") };
    let mut bytes = vec![0; length];
    reader.copy(0, &mut bytes);
    bytes
}

#[test]
fn no_wake_up_is_lost_and_the_message_is_whole() {
    check(|| {
        let (mut writer, mut reader) = lane();
        let writer = thread::spawn(move || writer.publish(&[1], &[2]).unwrap());
        assert_eq!(next(&mut reader), [1, 2]);
        writer.join().unwrap();
    });
}

#[test]
fn no_wake_up_is_lost_where_flags_tell_who_sleeps() {
    check(|| {
        let model = Model::with_flags();
        let (mut writer, mut reader) =
            (Writer::new(Arc::clone(&model)), Reader::new(Arc::clone(&model), 0));
        // It leaves only later: leaving wakes the reader in any case.
        let writer = thread::spawn(move || {
            writer.publish(&[1], &[2]).unwrap();
            writer
        });
        assert_eq!(next(&mut reader), [1, 2]);
        drop(writer.join().unwrap());
        assert_eq!(reader.take(CAPACITY, None), Ok(Taken::Closed));
    });
}

#[test]
fn no_ring_is_lost_where_flags_tell_who_sleeps() {
    check(|| {
        let mut reader = Reader::new(Model::with_flags(), 0);
        let bell = reader.bell();
        let ringer = thread::spawn(move || bell.ring());
        assert_eq!(reader.take(CAPACITY, None), Ok(Taken::Rung));
        ringer.join().unwrap();
    });
}

#[test]
fn an_answer_is_never_the_one_before() {
    check(|| {
        let (mut ask, mut questions) = lane();
        let (mut answer, mut answers) = lane();
        let server = thread::spawn(move || {
            for _ in 0..2 {
                let question = next(&mut questions);
                answer.publish(&[question[0] + 10], &[]).unwrap();
            }
        });
        for question in [1, 2] {
            ask.publish(&[question], &[]).unwrap();
            assert_eq!(next(&mut answers), [question + 10]);
        }
        server.join().unwrap();
    });
}

#[test]
fn no_ring_of_an_own_bell_is_lost() {
    check(|| {
        let (_writer, mut reader) = lane();
        let bell = reader.bell();
        let ringer = thread::spawn(move || bell.ring());
        assert_eq!(reader.take(CAPACITY, None), Ok(Taken::Rung));
        ringer.join().unwrap();
    });
}

#[test]
fn neither_a_ring_nor_a_message_hides_the_other() {
    check(|| {
        let (mut writer, mut reader) = lane();
        let bell = reader.bell();
        let ringer = thread::spawn(move || bell.ring());
        let writer = thread::spawn(move || writer.publish(&[1], &[]).unwrap());
        let mut came = [reader.take(CAPACITY, None), reader.take(CAPACITY, None)];
        came.sort_by_key(|came| matches!(came, Ok(Taken::Rung)));
        assert_eq!(came, [Ok(Taken::Message(1)), Ok(Taken::Rung)]);
        ringer.join().unwrap();
        writer.join().unwrap();
    });
}

/// A kernel that looks at the signal alone, as all do before 5.16: the ring must move it too.
#[test]
fn a_ring_is_heard_by_who_sleeps_on_the_signal_alone() {
    check(|| {
        let (_writer, mut reader) = one_word::lane();
        let bell = reader.bell();
        let ringer = thread::spawn(move || bell.ring());
        assert_eq!(reader.take(CAPACITY, None), Ok(Taken::Rung));
        ringer.join().unwrap();
    });
}

mod one_word {
    use super::*;

    pub(super) struct OneWord(Arc<Model>);

    pub(super) fn lane() -> (Writer<OneWord>, Reader<OneWord>) {
        let model = Model::new();
        (Writer::new(OneWord(Arc::clone(&model))), Reader::new(OneWord(model), 0))
    }

    impl Slot for OneWord {
        fn sequence(&self) -> &AtomicU64 {
            self.0.sequence()
        }

        fn length(&self) -> &AtomicU32 {
            self.0.length()
        }

        fn wakeup(&self) -> Wakeup<'_> {
            self.0.wakeup()
        }

        fn capacity(&self) -> usize {
            CAPACITY
        }

        fn fill(&self, at: usize, from: &[u8]) {
            self.0.fill(at, from);
        }

        fn copy(&self, at: usize, into: &mut [u8]) {
            self.0.copy(at, into);
        }

        fn sleep(&self, _rung: &AtomicU32, armed: Armed, _until: Option<Instant>) {
            let asleep = self.0.event.lock().unwrap();
            if self.0.signal.load(Relaxed) == armed.signal {
                drop(self.0.woken.wait(asleep).unwrap());
            }
        }

        fn wake_peer(&self) {
            self.0.wake();
        }

        fn wake_own(&self, _rung: &AtomicU32) {
            self.0.wake();
        }
    }
}
