use std::{
    collections::BTreeSet,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use super::{SHORT, pair};
use crate::sys::{Interest, Poller, Readiness, Socket};

fn soon() -> Option<Instant> {
    Some(Instant::now() + SHORT)
}

fn ready(token: u64, hangup: bool) -> Readiness {
    Readiness::Ready { token, hangup }
}

#[test]
fn reports_an_event_once_until_it_is_armed_again() {
    let poller = Poller::new().unwrap();
    let (a, b) = pair();
    poller.add(&b, 7, Interest::Readable).unwrap();
    assert_eq!(poller.wait(soon()).unwrap(), Readiness::TimedOut);
    assert!(a.send(b"hello", b"").unwrap());
    assert_eq!(poller.wait(None).unwrap(), ready(7, false));
    assert_eq!(poller.wait(soon()).unwrap(), Readiness::TimedOut);
    // What was not received is reported again, under another token if one is given.
    poller.rearm(&b, 8, Interest::Readable).unwrap();
    assert_eq!(poller.wait(None).unwrap(), ready(8, false));
    poller.remove(&b).unwrap();
    assert!(a.send(b"hello", b"").unwrap());
    assert_eq!(poller.wait(soon()).unwrap(), Readiness::TimedOut);
    assert!(poller.rearm(&b, 8, Interest::Readable).is_err());
}

#[test]
fn reports_a_hang_up_whatever_was_asked_for() {
    for interest in [Interest::Readable, Interest::Writable, Interest::Hangup] {
        let poller = Poller::new().unwrap();
        let (a, b) = pair();
        if interest == Interest::Writable {
            while b.send(&[0; 32], &[0; 10_000]).unwrap() {}
        }
        poller.add(&b, 1, interest).unwrap();
        drop(a);
        assert_eq!(poller.wait(None).unwrap(), ready(1, true), "{interest:?}");
    }
}

#[test]
fn data_is_no_news_to_who_only_waits_for_a_hang_up() {
    let poller = Poller::new().unwrap();
    let (a, b) = pair();
    poller.add(&b, 1, Interest::Hangup).unwrap();
    assert!(a.send(b"hello", b"").unwrap());
    assert_eq!(poller.wait(soon()).unwrap(), Readiness::TimedOut);
    drop(a);
    assert_eq!(poller.wait(None).unwrap(), ready(1, true));
}

#[test]
fn reports_room_to_write() {
    let poller = Poller::new().unwrap();
    let (a, b) = pair();
    while a.send(&[0; 32], &[0; 10_000]).unwrap() {}
    poller.add(&a, 1, Interest::Writable).unwrap();
    assert_eq!(poller.wait(soon()).unwrap(), Readiness::TimedOut);
    while b.receive(&mut [0; 32], &mut [0; 10_000]).unwrap().is_some() {}
    assert_eq!(poller.wait(None).unwrap(), ready(1, false));
}

#[test]
fn a_wake_ends_the_wait_of_all_threads_and_all_later_waits() {
    const THREADS: usize = 8;
    let poller = Poller::new().unwrap();
    let (_a, b) = pair();
    poller.add(&b, 1, Interest::Readable).unwrap();
    thread::scope(|scope| {
        let waiting: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| poller.wait(None).unwrap())).collect();
        poller.wake();
        for waiting in waiting {
            assert_eq!(waiting.join().unwrap(), Readiness::Woken);
        }
    });
    assert_eq!(poller.wait(None).unwrap(), Readiness::Woken);
    assert_eq!(poller.wait(Some(Instant::now())).unwrap(), Readiness::Woken);
}

#[test]
fn each_of_many_events_goes_to_exactly_one_of_the_waiting_threads() {
    const SOCKETS: u64 = 50;
    const ROUNDS: u64 = 20;
    let poller = Poller::new().unwrap();
    let pairs: Vec<(Socket, Socket)> = (0..SOCKETS).map(|_| pair()).collect();
    for (token, (_, b)) in pairs.iter().enumerate() {
        poller.add(b, token as u64, Interest::Readable).unwrap();
    }
    let seen = Mutex::new(BTreeSet::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Readiness::Ready { token, .. } = poller.wait(None).unwrap() {
                    let (_, b) = &pairs[token as usize];
                    let mut head = [0; 32];
                    while let Some(packet) = b.receive(&mut head, &mut []).unwrap() {
                        assert_eq!(packet.len, 8);
                        let round = u64::from_ne_bytes(*head.first_chunk().unwrap());
                        assert!(seen.lock().unwrap().insert((token, round)), "seen twice");
                    }
                    poller.rearm(b, token, Interest::Readable).unwrap();
                    if seen.lock().unwrap().len() as u64 == SOCKETS * ROUNDS {
                        poller.wake();
                    }
                }
            });
        }
        for round in 0..ROUNDS {
            for (a, _) in &pairs {
                while !a.send(&u64::to_ne_bytes(round), b"").unwrap() {
                    thread::yield_now();
                }
            }
        }
    });
    assert_eq!(seen.lock().unwrap().len() as u64, SOCKETS * ROUNDS);
}

#[test]
fn waits_no_shorter_than_told() {
    let poller = Poller::new().unwrap();
    for wait in [Duration::ZERO, Duration::from_micros(300), SHORT] {
        let deadline = Instant::now() + wait;
        assert_eq!(poller.wait(Some(deadline)).unwrap(), Readiness::TimedOut);
        assert!(Instant::now() >= deadline);
    }
}
