//! A ring with as little memory as a ring can have, and two that sleep.

use loom::{
    cell::UnsafeCell,
    sync::{Condvar, Mutex},
    thread,
};

use super::{
    atomic::{Arc, AtomicU64},
    check,
    ring::{Place, Reader, START, Track, Writer, fall_asleep, must_wake, sleep, wake_up},
};

const SLOTS: usize = 4;

/// Bulk of a record that is longer than its slot.
const LINE: usize = 64;

/// The bytes of a cache line are one cell: the model only has to see who touches them, and when.
struct Model {
    announcements: [AtomicU64; SLOTS],
    records: [UnsafeCell<u8>; SLOTS],
    bulk: [UnsafeCell<u8>; SLOTS],
    taken: AtomicU64,
}

impl Model {
    fn new() -> Arc<Self> {
        Arc::new(Model {
            announcements: [(); SLOTS].map(|()| AtomicU64::new(0)),
            records: [(); SLOTS].map(|()| UnsafeCell::new(0)),
            bulk: [(); SLOTS].map(|()| UnsafeCell::new(0)),
            taken: AtomicU64::new(0),
        })
    }

    fn cell(&self, place: Place, at: usize) -> &UnsafeCell<u8> {
        match place {
            Place::Slot(slot) => &self.records[slot],
            Place::Bulk => &self.bulk[at / LINE],
        }
    }
}

impl Track for Arc<Model> {
    fn slots(&self) -> u64 {
        SLOTS as u64
    }

    fn bulk(&self) -> u64 {
        (SLOTS * LINE) as u64
    }

    fn announcement(&self, slot: usize) -> &AtomicU64 {
        &self.announcements[slot]
    }

    fn taken(&self) -> &AtomicU64 {
        &self.taken
    }

    fn fill(&self, place: Place, at: usize, from: &[u8]) {
        if let Some(&byte) = from.first() {
            // SAFETY: the writer has the place now; the model checks that.
            self.cell(place, at).with_mut(|cell| unsafe { *cell = byte });
        }
    }

    fn copy(&self, place: Place, at: usize, into: &mut [u8]) {
        if let Some(byte) = into.first_mut() {
            // SAFETY: the reader has the place now; the model checks that.
            *byte = self.cell(place, at).with(|cell| unsafe { *cell });
        }
    }
}

/// A side's word in shared memory, and the descriptor it sleeps on.
struct Side {
    word: AtomicU64,
    rung: Mutex<bool>,
    bell: Condvar,
}

impl Side {
    fn new() -> Arc<Self> {
        Arc::new(Side { word: AtomicU64::new(0), rung: Mutex::new(false), bell: Condvar::new() })
    }

    /// Sleeps until somebody rings, unless what it waits for is there.
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

struct Ends {
    writer: Writer<Arc<Model>>,
    reader: Reader<Arc<Model>>,
    sender: Arc<Side>,
    receiver: Arc<Side>,
}

fn ends() -> Ends {
    let model = Model::new();
    Ends {
        writer: Writer::new(Arc::clone(&model)),
        reader: Reader::new(model),
        sender: Side::new(),
        receiver: Side::new(),
    }
}

/// Takes the next record, as a session does that finds none: it tells what it took, then sleeps.
fn take(reader: &mut Reader<Arc<Model>>, receiver: &Side, sender: &Side) -> u8 {
    loop {
        if let Some(length) = reader.open().unwrap() {
            let mut first = [0];
            reader.copy(0, &mut first);
            if length > START {
                let mut bulk = [0];
                reader.copy(START, &mut bulk);
                assert_eq!(bulk, first, "the bulk belongs to the record");
            }
            if reader.close(length) {
                sender.did(sleep::ROOM);
            }
            return first[0];
        }
        if reader.settle() {
            sender.did(sleep::ROOM);
        }
        receiver.sleep(sleep::RECORDS, || reader.open().unwrap().is_some());
    }
}

fn put(writer: &mut Writer<Arc<Model>>, sender: &Side, receiver: &Side, record: &[u8]) {
    while writer.push(&record[..8], &record[8..], 0).unwrap() == 0 {
        sender.sleep(sleep::ROOM, || writer.has_room_for(record.len()).unwrap());
    }
    receiver.did(sleep::RECORDS);
}

#[test]
fn no_record_is_missed_by_who_sleeps_for_it() {
    check(|| {
        let Ends { mut writer, mut reader, sender, receiver } = ends();
        let thread = thread::spawn({
            let (sender, receiver) = (Arc::clone(&sender), Arc::clone(&receiver));
            move || {
                for record in [[1; 8], [2; 8]] {
                    put(&mut writer, &sender, &receiver, &record);
                }
            }
        });
        assert_eq!(take(&mut reader, &receiver, &sender), 1);
        assert_eq!(take(&mut reader, &receiver, &sender), 2);
        thread.join().unwrap();
    });
}

#[test]
fn no_room_is_missed_by_who_sleeps_for_it_and_nothing_is_overwritten() {
    check(|| {
        let Ends { mut writer, mut reader, sender, receiver } = ends();
        // Full, slots and bulk: what follows needs what the reader gives back.
        const LONG: usize = START + LINE;
        for record in 0..SLOTS as u8 {
            assert_eq!(writer.push(&[record; 8], &[record; LONG - 8], 0), Ok(LONG));
        }
        let thread = thread::spawn({
            let (sender, receiver) = (Arc::clone(&sender), Arc::clone(&receiver));
            move || put(&mut writer, &sender, &receiver, &[SLOTS as u8; LONG])
        });
        for record in 0..=SLOTS as u8 {
            assert_eq!(take(&mut reader, &receiver, &sender), record);
        }
        thread.join().unwrap();
    });
}

#[test]
fn an_answer_wakes_who_sleeps_for_it() {
    check(|| {
        let Ends { writer: mut ask, reader: mut questions, sender: client, receiver: server } =
            ends();
        let model = Model::new();
        let (mut answer, mut answers) = (Writer::new(Arc::clone(&model)), Reader::new(model));
        let thread = thread::spawn({
            let (client, server) = (Arc::clone(&client), Arc::clone(&server));
            move || {
                let question = take(&mut questions, &server, &client);
                put(&mut answer, &server, &client, &[question + 10; 8]);
            }
        });
        put(&mut ask, &client, &server, &[1; 8]);
        assert_eq!(take(&mut answers, &client, &server), 11);
        thread.join().unwrap();
    });
}
