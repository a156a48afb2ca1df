//! How servers end: stopped, drained, at any time, whatever their clients and handlers do.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::{Arc, Barrier, mpsc},
    thread,
    time::Duration,
};

use common::{
    Dir, Running, await_that, carriers, client, increment_server, peer::Peer,
    process::REGIONS_ARE_FILES, served, timed,
};
use netipc::{
    Declined, ErrorKind, Server, ServerOptions, SessionOptions, Wait,
    kinds::{Increment, increment},
    proto::Header,
    transport::{Carrier, Listener, ListenerOptions, Session},
};

/// Far more than anything here takes, and far less than the usual timeout.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_server_that_stops_ends_a_call_over_shared_memory_before_its_deadline() {
    let dir = Dir::new();
    let session = SessionOptions::published_shared_memory();
    let (entered, entries) = mpsc::channel();
    let handler = move |_: &u64, _: &mut increment::Number<'_>| {
        entered.send(()).unwrap();
        loop {
            thread::park();
        }
    };
    let server = Running::<Increment>::start(&dir, "increment", served(&session), handler);
    let mut client = client::<Increment>(&dir, "increment", &session);
    let call = thread::spawn(move || (timed(|| client.call(1)), client));
    entries.recv().unwrap();
    assert!(!server.server.drain(Duration::ZERO));
    let ((answer, took), client) = call.join().unwrap();
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Disconnected);
    assert!(took < SOON);
    assert!(!client.ready());
}

#[test]
fn silent_connectors_cost_others_nothing_and_do_not_delay_the_end() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let options = ServerOptions { backlog: 128, workers: 2, ..served(&session) };
        let server = increment_server(&dir, options);
        let silent: Vec<_> = (0..100).map(|_| Peer::connect(&dir, "increment")).collect();
        let mut client = client::<Increment>(&dir, "increment", &session);
        assert_eq!(client.call(1).unwrap(), 2, "over {carrier}");
        // Who said nothing has no region.
        let shared = client.session().unwrap().carrier() == Carrier::SharedMemory;
        let files = dir.entries();
        let regions = files.iter().filter(|name| name.ends_with(".ipcshm")).count();
        assert_eq!(regions, usize::from(shared && REGIONS_ARE_FILES), "{files:?}");
        let ((), took) = timed(|| server.stop());
        // Those who have not said hello would have 5 seconds to do so.
        assert!(took < Duration::from_secs(4), "{took:?}");
        for peer in &silent {
            peer.await_hangup();
        }
    }
}

#[test]
fn a_silent_connector_is_hung_up_on_in_the_end() {
    let dir = Dir::new();
    let server = increment_server(&dir, ServerOptions::default());
    let silent = Peer::connect(&dir, "increment");
    let ((), took) = timed(|| silent.await_hangup());
    assert!(took >= Duration::from_secs(4), "{took:?}");
    await_that("the end of its session", || server.server.sessions() == 0);
}

#[test]
fn a_silent_connector_is_hung_up_on_while_every_worker_is_busy() {
    let dir = Dir::new();
    let (handler, entries, release) = common::held(|_| true, || ());
    let options = ServerOptions { workers: 1, ..ServerOptions::default() };
    let server = Running::<Increment>::start(&dir, "increment", options, handler);
    let silent = Peer::connect(&dir, "increment");
    await_that("the silent one's turn", || server.server.sessions() == 1);
    let mut client = client::<Increment>(&dir, "increment", &SessionOptions::default());
    thread::scope(|scope| {
        let slow = scope.spawn(move || client.call(1).unwrap());
        entries.recv().unwrap();
        silent.await_hangup();
        release.send(()).unwrap();
        assert_eq!(slow.join().unwrap(), 2);
    });
}

#[test]
fn who_waits_for_a_client_in_a_loop_of_its_own_hears_that_it_is_gone() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let options = ListenerOptions { session: session.clone(), ..ListenerOptions::default() };
        let listener = Listener::bind(&dir, "loop", &options).unwrap();
        let (received, receipts) = mpsc::channel();
        let serving = thread::spawn(move || {
            let mut session = listener.accept(Wait::at_most(SOON)).unwrap();
            session.receive(Wait::at_most(SOON)).unwrap();
            received.send(()).unwrap();
            session.receive(Wait::at_most(2 * SOON))
        });
        let mut client = Session::connect(&dir, "loop", &session, Wait::at_most(SOON)).unwrap();
        client.send(&Header::request(1, 1, 0), b"", Wait::at_most(SOON)).unwrap();
        receipts.recv().unwrap();
        let (error, took) = timed(|| {
            drop(client);
            serving.join().unwrap().unwrap_err()
        });
        assert_eq!(error.kind(), ErrorKind::Disconnected, "over {carrier}");
        assert!(took < SOON, "{took:?} over {carrier}");
    }
}

#[test]
fn a_server_stopped_before_it_runs_does_not_run() {
    let dir = Dir::new();
    let server =
        Server::<Increment>::bind(&dir, "increment", ServerOptions::default(), common::add_one)
            .unwrap();
    server.stop();
    server.stop();
    server.run();
    assert!(server.drain(Duration::from_secs(1)));
    assert!(server.drain(Duration::ZERO));
    drop(server);
    assert!(dir.entries().is_empty());
}

#[test]
fn a_server_that_never_ran_can_be_drained_and_dropped() {
    let dir = Dir::new();
    let server =
        Server::<Increment>::bind(&dir, "increment", ServerOptions::default(), common::add_one)
            .unwrap();
    assert!(server.drain(Duration::from_secs(1)));
    drop(server);
    assert!(dir.entries().is_empty());
}

#[test]
fn a_server_does_not_run_twice() {
    let dir = Dir::new();
    let server = increment_server(&dir, ServerOptions::default());
    client::<Increment>(&dir, "increment", &SessionOptions::default()).call(1).unwrap();
    // Runs already: returns at once.
    server.server.run();
    assert!(server.server.drain(SOON));
    server.server.run();
    server.server.stop();
}

#[test]
fn a_stop_during_the_handshake_ends_it() {
    let dir = Dir::new();
    let server = increment_server(&dir, ServerOptions::default());
    let peer = Peer::connect(&dir, "increment");
    await_that("the connection", || server.server.sessions() == 1);
    let ((), took) = timed(|| server.stop());
    assert!(took < Duration::from_secs(4), "{took:?}");
    peer.await_hangup();
}

#[test]
fn a_request_being_handled_is_answered_before_the_end() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let (entered, entries) = mpsc::channel();
        let gate = Arc::new(Barrier::new(2));
        let handler = {
            let gate = Arc::clone(&gate);
            move |asked: &u64, reply: &mut increment::Number<'_>| {
                entered.send(()).unwrap();
                gate.wait();
                common::add_one(asked, reply)
            }
        };
        let server = Running::<Increment>::start(&dir, "increment", served(&session), handler);
        let mut client = client::<Increment>(&dir, "increment", &session);
        let call = thread::spawn(move || client.call(1));
        entries.recv().unwrap();
        server.server.stop();
        let drained = {
            let server = server.server.clone();
            thread::spawn(move || server.drain(SOON))
        };
        gate.wait();
        assert_eq!(call.join().unwrap().unwrap(), 2, "over {carrier}");
        assert!(drained.join().unwrap());
        assert!(server.server.drain(Duration::ZERO));
        assert!(dir.entries().is_empty());
    }
}

#[test]
fn draining_gives_up_on_a_handler_that_never_returns() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let (entered, entries) = mpsc::channel();
        let handler = move |_: &u64, _: &mut increment::Number<'_>| -> Result<(), Declined> {
            entered.send(()).unwrap();
            loop {
                thread::park();
            }
        };
        let server = Running::<Increment>::start(&dir, "increment", served(&session), handler);
        let mut client = client::<Increment>(&dir, "increment", &session);
        let call = thread::spawn(move || client.call(1));
        entries.recv().unwrap();
        let timeout = Duration::from_millis(300);
        let (drained, took) = timed(|| server.server.drain(timeout));
        assert!(!drained, "over {carrier}");
        assert!(took >= timeout, "{took:?}");
        assert!(took < timeout + Duration::from_secs(5), "{took:?}");
        assert!(call.join().unwrap().is_err());
        // The thread that runs the server is not lost with the handler.
        server.stop();
        assert!(dir.entries().iter().all(|name| !name.ends_with(".sock")));
    }
}

#[test]
fn many_threads_may_stop_a_server_at_once() {
    let dir = Dir::new();
    let server = increment_server(&dir, ServerOptions::default());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert!(server.server.drain(SOON)));
            scope.spawn(|| server.server.stop());
        }
    });
}
