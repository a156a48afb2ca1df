use std::{
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    thread,
    time::Instant,
};

use super::{
    super::poll::{self, pause},
    LONG, SHORT, pair, short, without_descriptors,
};
use crate::{
    Abort, ErrorKind, Wait,
    testing::{part, run_child},
};

#[test]
fn is_set_by_a_descriptor_that_becomes_readable() {
    let (_a, b) = pair();
    let (reader, mut writer) = io::pipe().unwrap();
    let abort = Abort::watching(OwnedFd::from(reader));
    let wait = Wait::at_most(SHORT).or(&abort);
    assert!(!abort.is_set());
    assert_eq!(b.wait_readable(wait).unwrap_err().kind(), ErrorKind::TimedOut);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| b.wait_readable(Wait::FOREVER.or(&abort)));
        writer.write_all(b"x").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Aborted);
    });
    // Nothing was read from it.
    abort.clear();
    assert!(abort.is_set());

    let (reader, writer) = io::pipe().unwrap();
    let abort = Abort::watching(OwnedFd::from(reader));
    drop(writer);
    assert!(abort.is_set(), "a hang-up sets it too");

    let (reader, _writer) = io::pipe().unwrap();
    let abort = Abort::watching(OwnedFd::from(reader));
    abort.set();
    let error = b.wait_readable(Wait::FOREVER.or(&abort)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted, "as does setting it");
}

#[test]
fn works_when_there_is_no_descriptor_for_it() {
    if part().is_none() {
        run_child!(works_when_there_is_no_descriptor_for_it, "alone");
        return;
    }
    let (_a, b) = pair();
    let abort = Abort::new();
    without_descriptors(|| {
        let wait = Wait::at_most(SHORT).or(&abort);
        assert_eq!(b.wait_readable(wait).unwrap_err().kind(), ErrorKind::TimedOut);
        thread::scope(|scope| {
            let waiting = scope.spawn(|| b.wait_readable(Wait::FOREVER.or(&abort)));
            abort.set();
            assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Aborted);
        });
    });
    assert_eq!(pause(LONG, Wait::FOREVER.or(&abort)).unwrap_err().kind(), ErrorKind::Aborted);
}

#[test]
fn what_it_says_and_what_its_descriptor_says_are_the_same() {
    const ROUNDS: u32 = 20_000;
    let abort = Abort::new();
    let signal = abort.signal().expect("there are descriptors").as_fd();
    let (begun, done) = (AtomicU32::new(0), AtomicU32::new(0));
    let wait_for = |counter: &AtomicU32, round| {
        while counter.load(SeqCst) != round {
            thread::yield_now();
        }
    };
    let mut contradictions = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                wait_for(&begun, round);
                abort.set();
                done.store(round, SeqCst);
            }
        });
        for round in 1..=ROUNDS {
            begun.store(round, SeqCst);
            abort.clear();
            wait_for(&done, round);
            contradictions += u32::from(abort.is_set() != poll::is_readable(signal));
        }
    });
    assert_eq!(contradictions, 0);
}

#[test]
fn a_pause_is_as_long_as_it_is_told_to_be() {
    let begun = Instant::now();
    pause(SHORT, Wait::FOREVER).unwrap();
    assert!(begun.elapsed() >= SHORT);
    let abort = Abort::new();
    let begun = Instant::now();
    pause(SHORT, Wait::at_most(LONG).or(&abort)).unwrap();
    assert!(begun.elapsed() >= SHORT);
    assert_eq!(pause(LONG, short()).unwrap_err().kind(), ErrorKind::TimedOut);
}
