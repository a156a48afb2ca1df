use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
    time::Duration,
};

use super::{LONG, SHORT, pair, short};
use crate::{Abort, ErrorKind, Wait, sys::imp::pause};

#[test]
fn ends_a_wait_from_another_thread() {
    let (_a, b) = pair();
    let abort = Abort::new();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| b.wait_readable(Wait::FOREVER.or(&abort)));
        abort.clone().set();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Aborted);
    });
}

#[test]
fn stays_set_until_it_is_cleared() {
    let (_a, b) = pair();
    let abort = Abort::new();
    let wait = || Wait::at_most(SHORT).or(&abort);
    abort.set();
    abort.set();
    for _ in 0..2 {
        assert_eq!(b.wait_readable(wait()).unwrap_err().kind(), ErrorKind::Aborted);
        assert_eq!(pause(LONG, wait()).unwrap_err().kind(), ErrorKind::Aborted);
    }
    abort.clear();
    abort.clear();
    assert_eq!(b.wait_readable(wait()).unwrap_err().kind(), ErrorKind::TimedOut);
    // And again, now that there is a descriptor.
    abort.set();
    assert_eq!(b.wait_readable(wait()).unwrap_err().kind(), ErrorKind::Aborted);
    abort.clear();
    assert_eq!(b.wait_readable(wait()).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn wins_over_a_packet() {
    let (a, b) = pair();
    let abort = Abort::new();
    assert!(a.send(b"hello", b"").unwrap());
    b.wait_readable(Wait::FOREVER.or(&abort)).unwrap();
    abort.set();
    let error = b.wait_readable(Wait::FOREVER.or(&abort)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
}

#[test]
fn a_storm_of_changes_leaves_it_as_it_was_last_told() {
    let abort = Abort::new();
    let (_a, b) = pair();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    abort.set();
                    abort.clear();
                }
            });
        }
        let mut aborted = 0;
        while aborted < 1000 {
            let wait = Wait::at_most(Duration::from_micros(50)).or(&abort);
            match b.wait_readable(wait).unwrap_err().kind() {
                ErrorKind::Aborted => aborted += 1,
                other => assert_eq!(other, ErrorKind::TimedOut),
            }
        }
        stop.store(true, SeqCst);
    });
    abort.clear();
    assert_eq!(b.wait_readable(short().or(&abort)).unwrap_err().kind(), ErrorKind::TimedOut);
    abort.set();
    let error = b.wait_readable(Wait::FOREVER.or(&abort)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
}
