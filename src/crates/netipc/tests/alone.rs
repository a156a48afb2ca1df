//! A client that is alone with its server gets a thread of its own, and nobody else is worse off.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    thread,
};

use common::{Dir, PATIENCE, Running, await_that, client, increment_server, process, served};
use netipc::{
    Client, Declined, ErrorKind, Handler, ServerOptions, SessionOptions, Wait,
    kinds::{Increment, increment::Number},
    proto::{Header, Service},
    transport::Session,
};

/// More than a client has to ask before it gets a thread.
const MANY: u64 = 200;

/// The name of a thread that serves one client.
const OWN: &str = "netipc-one-";

fn only_one_worker() -> ServerOptions {
    ServerOptions { workers: 1, ..served(&SessionOptions::default()) }
}

fn connect(dir: &Dir) -> Client<Increment> {
    client(dir, "increment", &SessionOptions::default())
}

fn call_often(client: &mut Client<Increment>) {
    (0..MANY).for_each(|number| assert_eq!(client.call(number).unwrap(), number + 1));
}

fn is_own_thread() -> bool {
    thread::current().name().unwrap().starts_with(OWN)
}

/// How many threads serve one client.
fn own_threads() -> usize {
    let is_own = |thread: &u32| {
        let name = fs::read_to_string(format!("/proc/self/task/{thread}/comm"));
        name.is_ok_and(|name| name.starts_with(OWN))
    };
    process::threads().iter().filter(|thread| is_own(thread)).count()
}

/// Answers 1 from a thread that serves one client, 0 from a worker.
fn tell_the_thread(_: &u64, reply: &mut Number<'_>) -> Result<(), Declined> {
    reply.value = is_own_thread().into();
    Ok(())
}

/// Holds the request for the largest answer, and tells whether the thread at it serves one client.
fn held() -> (impl Handler<Increment>, mpsc::Receiver<bool>, mpsc::Sender<()>) {
    common::held(|asked| asked == u64::MAX - 1, is_own_thread)
}

#[test]
fn a_client_has_a_thread_as_long_as_it_is_alone() {
    if !process::alone("a_client_has_a_thread_as_long_as_it_is_alone") {
        return;
    }
    let dir = Dir::new();
    let server = Running::<Increment>::start(&dir, "increment", only_one_worker(), tell_the_thread);
    let mut first = connect(&dir);
    assert_eq!(first.call(0).unwrap(), 0, "one call is not worth a thread");
    for _ in 0..3 {
        await_that("a thread of its own", || first.call(0).unwrap() == 1);
        let mut second = connect(&dir);
        assert_eq!(second.call(0).unwrap(), 0);
        // The thread finds out with a request.
        await_that("the end of the thread", || first.call(0).is_ok() && own_threads() == 0);
        for _ in 0..MANY {
            assert_eq!((first.call(0).unwrap(), second.call(0).unwrap()), (0, 0));
        }
        drop(second);
        await_that("the end of the second client", || server.server.sessions() == 1);
    }
    drop(first);
    await_that("the end of the last thread", || own_threads() == 0);
    server.stop();
}

#[test]
fn stops_at_once_while_the_only_client_is_silent() {
    let dir = Dir::new();
    let server = increment_server(&dir, only_one_worker());
    let mut client = connect(&dir);
    call_often(&mut client);
    server.stop();
    assert_eq!(client.call(1).unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn draining_waits_for_what_the_thread_of_a_client_handles() {
    let dir = Dir::new();
    let (handler, entries, release) = held();
    let server = Running::<Increment>::start(&dir, "increment", only_one_worker(), handler);
    let mut client = connect(&dir);
    call_often(&mut client);
    thread::scope(|scope| {
        let answer = scope.spawn(move || client.call(u64::MAX - 1).unwrap());
        assert!(entries.recv().unwrap(), "it has a thread of its own");
        server.server.stop();
        let drained = scope.spawn(|| server.server.drain(PATIENCE));
        release.send(()).unwrap();
        assert_eq!(answer.join().unwrap(), u64::MAX);
        assert!(drained.join().unwrap());
    });
}

#[test]
fn a_client_that_leaves_takes_its_thread_along() {
    let dir = Dir::new();
    let server = increment_server(&dir, only_one_worker());
    for _ in 0..20 {
        let mut client = connect(&dir);
        call_often(&mut client);
        drop(client);
        await_that("the end of the session", || server.server.sessions() == 0);
    }
    server.stop();
}

#[test]
fn no_more_requests_are_handled_at_once_than_there_are_workers() {
    let dir = Dir::new();
    let inside = Arc::new(AtomicU32::new(0));
    let handler = {
        let inside = Arc::clone(&inside);
        move |asked: &u64, reply: &mut Number<'_>| {
            assert_eq!(inside.fetch_add(1, SeqCst), 0, "another one is handled");
            thread::yield_now();
            inside.fetch_sub(1, SeqCst);
            common::add_one(asked, reply)
        }
    };
    let server = Running::<Increment>::start(&dir, "increment", only_one_worker(), handler);
    let mut busy = connect(&dir);
    let others_done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !others_done.load(SeqCst) {
                call_often(&mut busy);
            }
        });
        for _ in 0..100 {
            let mut other = connect(&dir);
            (0..5).for_each(|number| assert_eq!(other.call(number).unwrap(), number + 1));
        }
        others_done.store(true, SeqCst);
    });
    server.stop();
}

#[test]
fn the_only_client_gets_all_its_answers_however_late_it_reads_them() {
    let dir = Dir::new();
    let server = increment_server(&dir, only_one_worker());
    let options = SessionOptions::default();
    let wait = Wait::at_most(PATIENCE);
    let mut session = Session::connect(&dir, "increment", &options, wait).unwrap();
    let payload = 1u64.to_ne_bytes();
    let (mut sent, mut received) = (0, 0);
    for _ in 0..10 {
        // Until the server can send no answer and takes no request.
        loop {
            let header = Header::request(Increment::METHOD, sent, 8);
            if !session.try_send(&header, &payload).unwrap() {
                break;
            }
            sent += 1;
        }
        let unsent = Header::request(Increment::METHOD, sent, 8);
        while received < sent {
            assert_eq!(session.receive(wait).unwrap().message_id, received);
            received += 1;
        }
        session.send(&unsent, &payload, wait).unwrap();
        sent += 1;
    }
    assert!(sent > MANY);
    server.stop();
}
