//! How sides that wait for each other get on, whether they look again or sleep.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use common::{Dir, Running, carriers, client, increment_server, served};
use netipc::{
    ServerOptions, SessionOptions, Spin,
    kinds::{Increment, increment},
};

/// More than both sides need to find out whether looking again pays.
const MANY: u64 = 2_000;

#[test]
fn sides_that_wait_in_different_ways_understand_each_other() {
    let ways = [Spin::Adaptive, Spin::Off, Spin::AtMost(Duration::from_micros(5))];
    for (carrier, session) in carriers() {
        for (server_spin, client_spin) in ways.iter().flat_map(|s| ways.iter().map(move |c| (s, c)))
        {
            let dir = Dir::new();
            let served = served(&SessionOptions { spin: *server_spin, ..session.clone() });
            let _server = increment_server(&dir, served);
            let session = SessionOptions { spin: *client_spin, ..session.clone() };
            let mut client = client::<Increment>(&dir, "increment", &session);
            for number in 0..MANY {
                assert_eq!(client.call(number).unwrap(), number + 1, "over {carrier}");
            }
        }
    }
}

#[test]
fn a_client_that_never_pauses_does_not_keep_the_only_worker_from_others() {
    let dir = Dir::new();
    let session = SessionOptions::default();
    let server = increment_server(&dir, ServerOptions { workers: 1, ..served(&session) });
    let mut busy = client::<Increment>(&dir, "increment", &session);
    let others_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !others_done.load(Relaxed) {
                assert_eq!(busy.call(1).unwrap(), 2);
            }
        });
        for _ in 0..20 {
            let mut other = client::<Increment>(&dir, "increment", &session);
            for number in 0..20 {
                assert_eq!(other.call(number).unwrap(), number + 1);
            }
        }
        others_done.store(true, Relaxed);
    });
    server.stop();
}

#[test]
fn a_slow_handler_delays_its_own_session_only() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let (entered, entries) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let released = Mutex::new(released);
        let handler = move |asked: &u64, reply: &mut increment::Number<'_>| {
            if *asked == 0 {
                entered.send(()).unwrap();
                released.lock().unwrap().recv().unwrap();
            }
            common::add_one(asked, reply)
        };
        let options = ServerOptions { workers: 2, ..served(&session) };
        let _server = Running::<Increment>::start(&dir, "increment", options, handler);
        let mut slow = client::<Increment>(&dir, "increment", &session);
        let mut others: Vec<_> =
            (0..3).map(|_| client::<Increment>(&dir, "increment", &session)).collect();
        thread::scope(|scope| {
            let slow = scope.spawn(move || slow.call(0).unwrap());
            entries.recv().unwrap();
            for number in 1..MANY {
                for other in &mut others {
                    assert_eq!(other.call(number).unwrap(), number + 1, "over {carrier}");
                }
            }
            release.send(()).unwrap();
            assert_eq!(slow.join().unwrap(), 1);
        });
    }
}
