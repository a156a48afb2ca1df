//! How long calls last, and how they are called off from other threads.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use common::{
    Dir, Running, carriers, increment_server, patient,
    peer::{Fake, Peer, RawListener, grant},
    process, served, timed,
};
use netipc::{
    Abort, Client, ClientState, Declined, ErrorKind, ServerOptions, SessionOptions, Wait,
    kinds::{Increment, StringReverse, increment},
    proto::{Header, Kind, parts::Cut},
    transport::Session,
};

/// What may come on top of a timeout on a machine that is busy with other things.
const SLACK: Duration = Duration::from_secs(10);

/// Longer than any test may take.
const VERY_LONG: Duration = Duration::from_secs(3600);

/// A server that never answers 0, and says when it was asked.
fn sleepy_server(dir: &Path, session: &SessionOptions) -> (Running<Increment>, mpsc::Receiver<()>) {
    let (entered, entries) = mpsc::channel();
    let handler = move |asked: &u64, reply: &mut increment::Number<'_>| -> Result<(), Declined> {
        if *asked == 0 {
            // Nobody listens any more once the test is over.
            let _ = entered.send(());
            loop {
                thread::park();
            }
        }
        common::add_one(asked, reply)
    };
    (Running::start(dir, "increment", served(session), handler), entries)
}

/// Ends a server with a handler that never returns.
fn abandon(server: Running<Increment>) {
    assert!(!server.server.drain(Duration::ZERO));
}

#[test]
fn a_call_ends_at_its_deadline_and_not_before() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let (server, entries) = sleepy_server(&dir, &session);
        for millis in [1, 50, 250, 1000] {
            let timeout = Duration::from_millis(millis);
            let mut client = patient::<Increment>(&dir, "increment", &session, Duration::ZERO);
            client.refresh();
            let (answer, took) = timed(|| client.call_within(0, timeout).map_err(|e| e.kind()));
            assert_eq!(answer, Err(ErrorKind::TimedOut), "{millis} ms over {carrier}");
            assert!(took >= timeout && took < timeout + SLACK, "{took:?} over {carrier}");
            let status = client.status();
            assert_eq!(status.state, ClientState::Broken);
            assert_eq!((status.error_count, status.reconnect_count), (1, 0));
            // The next call is not held up by the last.
            assert!(client.refresh());
            assert_eq!(client.call(1).unwrap(), 2);
        }
        // Each was asked once, if at all: the shortest may not have come so far.
        assert!(entries.try_iter().count() <= 4);
        abandon(server);
    }
}

#[test]
fn the_clients_own_timeout_counts_where_a_call_has_none() {
    let dir = Dir::new();
    let (server, _entries) = sleepy_server(&dir, &SessionOptions::default());
    let timeout = Duration::from_millis(100);
    let mut client = patient::<Increment>(&dir, "increment", &SessionOptions::default(), VERY_LONG);
    client.refresh();
    client.set_timeout(timeout);
    let (answer, took) = timed(|| client.call(0).map_err(|error| error.kind()));
    assert_eq!(answer, Err(ErrorKind::TimedOut));
    assert!(took >= timeout && took < SLACK, "{took:?}");
    abandon(server);
}

#[test]
fn reconnecting_and_asking_again_share_the_deadline_of_the_call() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        drop(listener.session().receive());
        // The second session is never agreed on.
        let peer = listener.accept();
        peer.hello();
        peer.await_hangup();
    });
    let timeout = Duration::from_millis(300);
    let mut client = patient::<Increment>(&dir, "increment", &SessionOptions::default(), timeout);
    client.refresh();
    let (answer, took) = timed(|| client.call(1).map_err(|error| error.kind()));
    assert_eq!(answer, Err(ErrorKind::TimedOut));
    assert!(took >= timeout && took < timeout + SLACK, "{took:?}");
    assert!(!client.ready());
    fake.finish();
}

#[test]
fn the_parts_of_an_answer_share_the_deadline_of_the_call() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "reverse", |listener: RawListener| {
        let peer = listener.accept();
        let mut offer = peer.hello();
        offer.packet_size = 64;
        let agreed = grant(&offer);
        peer.send(&agreed.packet());
        let (request, _) = peer.receive_message().unwrap();
        let header = Header { kind: Kind::Response, payload_len: 60_000, ..request };
        let cut = Cut::new(&header, agreed.agreed_packet_size).unwrap();
        let payload = vec![0; 60_000];
        // A part every now and then, each long before the deadline, for longer than it.
        for part in cut {
            let packet = [&part.head[..], &payload[part.payload]].concat();
            if peer.try_send(&packet).is_err() {
                return;
            }
            let rest = Wait::at_most(Duration::from_millis(20));
            while rest.remaining().is_ok() {
                thread::yield_now();
            }
        }
        panic!("the client waited for all parts");
    });
    let timeout = Duration::from_millis(200);
    let mut client = patient::<StringReverse>(&dir, "reverse", &SessionOptions::default(), timeout);
    client.refresh();
    let (answer, took) = timed(|| client.call(b"abc").map(drop).map_err(|error| error.kind()));
    assert_eq!(answer, Err(ErrorKind::TimedOut));
    assert!(took >= timeout && took < timeout + SLACK, "{took:?}");
    drop(client);
    fake.finish();
}

#[test]
fn a_request_nobody_reads_ends_at_the_deadline() {
    let dir = Dir::new();
    let size = 8 << 20;
    let fake = Fake::start(&dir, "reverse", |listener: RawListener| {
        let peer = listener.session();
        // Reads nothing until the client is gone.
        peer.await_end();
    });
    let session =
        SessionOptions { max_request_payload_bytes: 2 * size as u32, ..SessionOptions::default() };
    let timeout = Duration::from_millis(200);
    let mut client = patient::<StringReverse>(&dir, "reverse", &session, timeout);
    client.refresh();
    let text = vec![b'x'; size];
    let (answer, took) = timed(|| client.call(&text).map(drop).map_err(|error| error.kind()));
    assert_eq!(answer, Err(ErrorKind::TimedOut));
    assert!(took >= timeout && took < timeout + SLACK, "{took:?}");
    drop(client);
    fake.finish();
}

/// Runs `work` in a thread, waits for `begun` and until the thread sleeps, and calls it off.
fn called_off<T: Send>(abort: &Abort, begun: impl FnOnce(), work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let (id, ids) = mpsc::channel();
        let worker = scope.spawn(move || {
            id.send(process::thread_id()).unwrap();
            timed(work)
        });
        let worker_id = ids.recv().unwrap();
        begun();
        process::await_sleep(worker_id);
        abort.set();
        let (done, took) = worker.join().unwrap();
        assert!(took < SLACK, "{took:?}");
        done
    })
}

#[test]
fn an_abort_ends_a_call_that_waits_for_its_answer() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let (server, entries) = sleepy_server(&dir, &session);
        let mut client = patient::<Increment>(&dir, "increment", &session, VERY_LONG);
        client.refresh();
        let abort = client.abort().clone();
        let asked = || entries.recv().unwrap();
        let answer = called_off(&abort, asked, || client.call(0).map_err(|error| error.kind()));
        assert_eq!(answer, Err(ErrorKind::Aborted), "over {carrier}");
        assert_eq!(client.status().state, ClientState::Broken);
        assert_eq!((client.status().error_count, client.status().reconnect_count), (1, 0));

        // It stays so until it is taken back.
        assert!(!client.refresh());
        abort.clear();
        assert!(client.refresh());
        assert_eq!(client.call(1).unwrap(), 2);
        assert!(entries.try_recv().is_err(), "asked twice");
        abandon(server);
    }
}

#[test]
fn an_abort_ends_a_handshake_with_a_silent_server() {
    let dir = Dir::new();
    let listener = RawListener::bind(&dir, "increment", 4);
    let abort = Abort::new();
    let mut silent = None;
    let hello = || {
        let peer = listener.accept();
        peer.hello();
        silent = Some(peer);
    };
    let session = SessionOptions::default();
    let wait = Wait::at_most(VERY_LONG).or(&abort);
    let connect = || Session::connect(&dir, "increment", &session, wait).map(drop);
    let connected = called_off(&abort, hello, connect);
    assert_eq!(connected.unwrap_err().kind(), ErrorKind::Aborted);
    assert!(silent.is_some());

    let mut client = patient::<Increment>(&dir, "increment", &session, VERY_LONG);
    let abort = client.abort().clone();
    let hello = || silent = Some(listener.accept());
    called_off(&abort, hello, || client.refresh());
    assert_eq!(client.last_error().unwrap().kind(), ErrorKind::Aborted);
    assert_eq!(client.status().state, ClientState::Disconnected);
}

#[test]
fn an_abort_ends_waiting_for_room_in_a_full_backlog() {
    let dir = Dir::new();
    let _listener = RawListener::bind(&dir, "increment", 1);
    let mut waiting = Vec::new();
    while let Some(peer) = Peer::connect_at_once(&dir, "increment") {
        waiting.push(peer);
    }
    let session = SessionOptions::default();
    let mut client = patient::<Increment>(&dir, "increment", &session, VERY_LONG);
    let abort = client.abort().clone();
    called_off(&abort, || {}, || client.refresh());
    assert_eq!(client.status().state, ClientState::Disconnected);
    assert_eq!(client.status().connect_count, 0);

    // Nor does a full backlog hold anyone up past the deadline.
    abort.clear();
    let timeout = Duration::from_millis(100);
    client.set_timeout(timeout);
    let (_, took) = timed(|| client.refresh());
    assert_eq!(client.last_error().unwrap().kind(), ErrorKind::Busy);
    assert_eq!(client.status().state, ClientState::Disconnected);
    assert!(took >= timeout && took < timeout + SLACK, "{took:?}");
}

#[test]
fn an_abort_ends_sending_to_somebody_who_does_not_read() {
    let dir = Dir::new();
    let size = 8 << 20;
    let listener = RawListener::bind(&dir, "reverse", 4);
    let session =
        SessionOptions { max_request_payload_bytes: 2 * size as u32, ..SessionOptions::default() };
    let mut client = patient::<StringReverse>(&dir, "reverse", &session, VERY_LONG);
    let abort = client.abort().clone();
    let mut peer = None;
    let text = vec![b'x'; size];
    let read_one = || {
        let accepted = listener.session();
        accepted.receive();
        peer = Some(accepted);
    };
    let answer = called_off(&abort, read_one, || {
        client.refresh();
        client.call(&text).map(drop).map_err(|error| error.kind())
    });
    assert_eq!(answer, Err(ErrorKind::Aborted));
    assert_eq!(client.status().state, ClientState::Broken);
}

#[test]
fn a_call_that_begins_called_off_sends_nothing_and_keeps_its_session() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        let peer = listener.session();
        let (request, _) = peer.answer(netipc::proto::Status::Ok, &2u64.to_ne_bytes()).unwrap();
        assert_eq!(request.message_id, 1);
        assert_eq!(peer.receive(), None);
    });
    let session = SessionOptions::default();
    let mut client = patient::<Increment>(&dir, "increment", &session, VERY_LONG);
    client.refresh();
    let abort = client.abort().clone();
    thread::spawn(move || abort.set()).join().unwrap();
    for _ in 0..3 {
        assert_eq!(client.call(1).unwrap_err().kind(), ErrorKind::Aborted);
    }
    assert!(client.ready());
    assert_eq!((client.status().error_count, client.status().call_count), (3, 0));
    client.abort().clear();
    assert_eq!(client.call(1).unwrap(), 2);
    client.close();
    fake.finish();
}

#[test]
fn aborts_may_come_at_any_time_even_while_the_client_closes() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let _server = increment_server(&dir, served(&session));
        let mut client = patient::<Increment>(&dir, "increment", &session, VERY_LONG);
        let over = AtomicBool::new(false);
        let abort = client.abort().clone();
        let mut answered = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    abort.set();
                    abort.clear();
                }
            });
            for round in 0..300 {
                client.refresh();
                match client.call(round) {
                    Ok(answer) => {
                        assert_eq!(answer, round + 1, "over {carrier}");
                        answered += 1;
                    }
                    Err(error) => {
                        let kinds = [ErrorKind::Aborted, ErrorKind::NotReady];
                        assert!(kinds.contains(&error.kind()), "over {carrier}: {error}");
                    }
                }
                client.close();
            }
            over.store(true, Relaxed);
        });
        client.close();
        client.refresh();
        assert_eq!(client.call(1).unwrap(), 2);
        assert_eq!(client.status().call_count, answered + 1);
    }
}

#[test]
fn a_timed_out_client_costs_the_server_nothing() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let server = increment_server(&dir, ServerOptions { workers: 1, ..served(&session) });
        for _ in 0..50 {
            let mut client = patient::<Increment>(&dir, "increment", &session, VERY_LONG);
            client.refresh();
            // Over before it is answered, mostly.
            let _ = client.call_within(1, Duration::from_nanos(1));
        }
        common::await_that("the end of their sessions", || server.server.sessions() == 0);
        let mut client: Client<Increment> = common::client(&dir, "increment", &session);
        assert_eq!(client.call(1).unwrap(), 2, "over {carrier}");
    }
}
