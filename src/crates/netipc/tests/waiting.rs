//! How sides that wait for each other get on, whether they look again or sleep.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use common::{Dir, Running, carriers, client, held, increment_server, served};
use netipc::{
    ServerOptions, SessionOptions, Spin, Wait,
    kinds::Increment,
    proto::{Header, Service},
    transport::{Carrier, Session},
};

fn wait() -> Wait<'static> {
    Wait::at_most(common::PATIENCE)
}

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
        let (handler, entries, release) = held(|asked| asked == 0, || ());
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

/// Keeps requests in flight, so that there is always one more, until told to stop.
fn flood(mut session: Session, answered: &AtomicU64, is_over: &AtomicBool) {
    for id in 0.. {
        let request = Header::request(Increment::METHOD, id, 8);
        session.send(&request, &1u64.to_ne_bytes(), wait()).unwrap();
        if session.in_flight() == 60 {
            session.receive(wait()).unwrap();
            answered.fetch_add(1, Relaxed);
        }
        if is_over.load(Relaxed) {
            break;
        }
    }
}

/// Ends the floods, also if the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
fn a_slow_handler_does_not_delay_those_its_worker_served_before() {
    for (carrier, session) in carriers().into_iter().filter(|(name, _)| *name != "shared memory") {
        let dir = Dir::new();
        let (handler, entries, release) = held(|asked| asked == 0, || ());
        let options = ServerOptions { workers: 2, ..served(&session) };
        let _server = Running::<Increment>::start(&dir, "increment", options, handler);
        let mut slow = client::<Increment>(&dir, "increment", &session);
        let (answered, is_over) = ([const { AtomicU64::new(0) }; 2], AtomicBool::new(false));
        thread::scope(|scope| {
            let _over = Over(&is_over);
            for answered in &answered {
                let session = Session::connect(&dir, "increment", &session, wait()).unwrap();
                assert_ne!(session.carrier(), Carrier::SharedMemory);
                let is_over = &is_over;
                scope.spawn(move || flood(session, answered, is_over));
            }
            let calls = scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(slow.call(0).unwrap(), 1);
                }
            });
            for _ in 0..20 {
                entries.recv().unwrap();
                let before = answered.each_ref().map(|answered| answered.load(Relaxed));
                for (answered, before) in answered.iter().zip(before) {
                    let what = format!("an answer beside a slow one, over {carrier}");
                    common::await_that(&what, || answered.load(Relaxed) > before + 200);
                }
                release.send(()).unwrap();
            }
            calls.join().unwrap();
        });
    }
}
