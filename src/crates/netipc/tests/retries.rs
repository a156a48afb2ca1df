//! What a call does when it is not answered as it should be: retries, growth, counters.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::unwrap_used)]

mod common;

use std::{path::Path, time::Duration};

use common::{
    Dir, Running, client, patient,
    peer::{Fake, Peer, RawListener, grant, hello, message},
    served, snapshot_of,
};
use netipc::{
    Client, ClientState, Error, ErrorKind, ServerOptions, SessionOptions, Text,
    kinds::{CgroupsSnapshot, Increment, StringReverse, string_reverse},
    proto::{Header, Hello, Kind, Status},
};

const SOON: Duration = Duration::from_secs(10);

fn usual() -> SessionOptions {
    SessionOptions::default()
}

fn increment_client(dir: &Path) -> Client<Increment> {
    patient(dir, "increment", &usual(), Duration::ZERO)
}

fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    result.map(drop).unwrap_err().kind()
}

fn refusal(status: u16) -> impl FnOnce(&Peer, &Hello) + Send {
    move |peer, _| {
        let mut packet = grant(&hello()).packet();
        packet[14..16].copy_from_slice(&status.to_ne_bytes());
        packet[Header::LEN + 4..].fill(0);
        peer.send(&packet);
    }
}

#[test]
fn a_request_is_one_envelope_numbered_by_the_calls_before() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        let peer = listener.session();
        for number in 1..=3u64 {
            let (header, payload) = peer.answer(Status::Ok, &(number + 1).to_ne_bytes()).unwrap();
            assert_eq!(header, Header::request(1, number, 8));
            assert_eq!(payload, number.to_ne_bytes());
        }
        peer.await_hangup();
    });
    let mut client = increment_client(&dir);
    client.refresh();
    for number in 1..=3 {
        assert_eq!(client.call(number).unwrap(), number + 1);
    }
    client.close();
    fake.finish();
}

/// One call against a server that answers every request with `answer`: how it ends, and how many
/// requests the server got.
fn call_against(
    answer: impl Fn(&Peer, &Header) + Send + 'static,
) -> (Client<Increment>, Result<u64, Error>, usize) {
    let dir = Dir::new();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let fake = Fake::start(&dir, "increment", move |listener: RawListener| {
        let mut requests = 0;
        let mut sessions = Vec::new();
        loop {
            if listener.is_called() {
                sessions.push(listener.session());
            }
            let Some(peer) = sessions.last() else { continue };
            if peer.is_readable()
                && let Some((header, _)) = peer.receive_message()
            {
                requests += 1;
                answer(peer, &header);
                continue;
            }
            if is_done.try_recv() == Err(std::sync::mpsc::TryRecvError::Disconnected) {
                return requests;
            }
            std::thread::yield_now();
        }
    });
    let mut client = patient::<Increment>(&dir, "increment", &usual(), SOON);
    client.refresh();
    assert!(client.ready());
    let answer = client.call(1);
    drop(done);
    (client, answer, fake.finish())
}

fn respond(peer: &Peer, header: Header, payload: &[u8]) {
    // The client may have given the session up already.
    let _ = peer.try_send(&message(&header, payload));
}

fn response(request: &Header) -> Header {
    Header { kind: Kind::Response, ..*request }
}

#[test]
fn an_answer_to_something_else_is_asked_for_once_more_and_no_more() {
    type Answer = fn(&Peer, &Header);
    let cases: [(Answer, ErrorKind); 9] = [
        (
            |peer, request| {
                let header = Header { message_id: request.message_id + 1, ..response(request) };
                respond(peer, header, &[0; 8]);
            },
            ErrorKind::UnknownId,
        ),
        (
            |peer, request| {
                respond(peer, Header { code: 9, ..response(request) }, &[0; 8]);
            },
            ErrorKind::Protocol,
        ),
        (|peer, request| respond(peer, *request, &[0; 8]), ErrorKind::Protocol),
        (
            |peer, request| {
                respond(peer, Header { kind: Kind::Control, ..*request }, &[0; 8]);
            },
            ErrorKind::Protocol,
        ),
        (
            |peer, _| {
                let _ = peer.try_send(&[0x55; 40]);
            },
            ErrorKind::Protocol,
        ),
        (|peer, request| respond(peer, response(request), &[0; 7]), ErrorKind::Protocol),
        (
            |peer, request| {
                let mut packet = message(&response(request), &[0; 8]);
                packet.extend([0; 3]);
                let _ = peer.try_send(&packet);
            },
            ErrorKind::Protocol,
        ),
        (
            |peer, request| {
                let status = Status::BadEnvelope.code();
                respond(peer, Header { transport_status: status, ..response(request) }, &[]);
            },
            ErrorKind::Rejected,
        ),
        (|peer, _| peer.hang_up(), ErrorKind::Disconnected),
    ];
    for (number, (answer, expected)) in cases.into_iter().enumerate() {
        let (client, result, requests) = call_against(answer);
        assert_eq!(kind(result), expected, "case {number}");
        assert_eq!(requests, 2, "case {number}");
        let status = client.status();
        assert_eq!(status.state, ClientState::Broken, "case {number}");
        assert_eq!((status.reconnect_count, status.error_count, status.call_count), (1, 1, 0));
    }
}

#[test]
fn what_is_not_served_is_asked_for_once_and_the_session_stays() {
    let (client, result, requests) = call_against(|peer, request| {
        let status = Status::Unsupported.code();
        respond(peer, Header { transport_status: status, ..response(request) }, &[]);
    });
    assert_eq!(kind(result), ErrorKind::Unsupported);
    assert_eq!(requests, 1);
    assert_eq!(client.status().state, ClientState::Ready);
    assert_eq!(client.status().error_count, 1);
}

#[test]
fn a_failed_handler_is_asked_once() {
    let (client, result, requests) = call_against(|peer, request| {
        let status = Status::InternalError.code();
        // What comes with such a status is never read.
        respond(peer, Header { transport_status: status, ..response(request) }, &[0; 8]);
    });
    assert_eq!(kind(result), ErrorKind::HandlerFailed);
    assert_eq!(requests, 1);
    assert_eq!(client.status().state, ClientState::Broken);
}

#[test]
fn a_response_above_the_limit_is_asked_for_with_larger_limits_and_then_given_up() {
    let (client, result, requests) = call_against(|peer, request| {
        let header = Header { payload_len: u32::MAX - 100, ..response(request) };
        let _ = peer.try_send(&header.to_bytes());
    });
    assert_eq!(kind(result), ErrorKind::LimitExceeded);
    // 64 KiB, and four times the double of it up to 1 MiB.
    assert_eq!(requests, 5);
    assert_eq!(client.status().state, ClientState::Broken);
    assert_eq!(client.status().error_count, 1);
}

#[test]
fn growing_ends_after_eight_requests() {
    let dir = Dir::new();
    let (limits, seen) = std::sync::mpsc::channel();
    let fake = Fake::start(&dir, "increment", move |listener: RawListener| {
        for _ in 0..8 {
            let peer = listener.accept();
            let offer = peer.hello();
            limits.send(offer.max_response_payload_bytes).unwrap();
            peer.send(&grant(&offer).packet());
            peer.answer(Status::LimitExceeded, &[]);
            peer.await_hangup();
        }
        assert!(!listener.is_called());
    });
    let session = SessionOptions { max_response_payload_bytes: 16, ..usual() };
    let mut client = patient::<Increment>(&dir, "increment", &session, SOON);
    client.refresh();
    assert_eq!(kind(client.call(1)), ErrorKind::LimitExceeded);
    assert_eq!(client.status().state, ClientState::Broken);
    fake.finish();
    let limits: Vec<_> = seen.iter().collect();
    assert_eq!(limits, [16, 32, 64, 128, 256, 512, 1024, 2048]);
}

#[test]
fn what_was_learned_outlives_sessions() {
    let dir = Dir::new();
    let session = usual();
    let server = Running::start(&dir, "snapshot", served(&session), snapshot_of(2000));
    let mut client = client::<CgroupsSnapshot>(&dir, "snapshot", &session);
    assert_eq!(client.call(()).unwrap().item_count, 2000);
    let reconnects = client.status().reconnect_count;
    assert!(reconnects > 0);
    client.close();
    server.stop();
    // A server that has learned nothing yet is told at once.
    let _server = Running::start(&dir, "snapshot", served(&session), snapshot_of(2000));
    client.refresh();
    assert_eq!(client.call(()).unwrap().item_count, 2000);
    assert_eq!(client.status().reconnect_count, reconnects);
    assert_eq!(client.status().error_count, 0);
}

#[test]
fn a_server_remembers_for_later_clients_what_an_earlier_one_needed() {
    let dir = Dir::new();
    let session = usual();
    let _server = Running::start(&dir, "snapshot", served(&session), snapshot_of(2000));
    let mut first = client::<CgroupsSnapshot>(&dir, "snapshot", &session);
    assert_eq!(first.call(()).unwrap().item_count, 2000);
    let mut second = client::<CgroupsSnapshot>(&dir, "snapshot", &session);
    assert_eq!(second.call(()).unwrap().item_count, 2000);
    assert_eq!(second.status().reconnect_count, 0);
}

fn reverse(
    asked: &Text<'_>,
    reply: &mut string_reverse::Reply<'_>,
) -> Result<(), netipc::Declined> {
    let text: Vec<u8> = asked.as_bytes().iter().rev().copied().collect();
    Ok(reply.set(&text)?)
}

#[test]
fn a_request_above_the_limit_makes_the_session_grow() {
    let dir = Dir::new();
    let _server =
        Running::<StringReverse>::start(&dir, "reverse", ServerOptions::default(), reverse);
    let mut client = client::<StringReverse>(&dir, "reverse", &usual());
    let text = [b'x'; 50_000];
    assert_eq!(client.call(&text).unwrap().as_bytes(), text);
    assert_eq!(client.status().reconnect_count, 1);
    assert_eq!((client.status().call_count, client.status().error_count), (1, 0));
}

#[test]
fn a_request_the_server_does_not_take_leaves_the_client_as_it_was() {
    let dir = Dir::new();
    let limited = SessionOptions { max_request_payload_bytes: 1024, ..usual() };
    let _server = Running::<StringReverse>::start(&dir, "reverse", served(&limited), reverse);
    let mut client = client::<StringReverse>(&dir, "reverse", &usual());
    assert_eq!(kind(client.call(&[b'x'; 2000])), ErrorKind::LimitExceeded);
    assert!(client.ready());
    assert_eq!(client.call(b"abc").unwrap().as_bytes(), b"cba");
    client.close();
    assert!(client.refresh());
    assert_eq!(client.call(b"abc").unwrap().as_bytes(), b"cba");
}

#[test]
fn a_session_that_broke_once_is_no_failure() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        drop(listener.session().receive());
        let peer = listener.session();
        let (request, _) = peer.answer(Status::Ok, &2u64.to_ne_bytes()).unwrap();
        assert_eq!(request.message_id, 1);
        peer.await_hangup();
    });
    let mut client = increment_client(&dir);
    client.refresh();
    assert_eq!(client.call(1).unwrap(), 2);
    let status = client.status();
    assert_eq!(status.state, ClientState::Ready);
    assert_eq!((status.connect_count, status.reconnect_count), (1, 1));
    assert_eq!((status.call_count, status.error_count), (1, 0));
    client.close();
    fake.finish();
}

#[test]
fn a_reconnect_that_is_refused_decides_the_state_and_the_first_failure_is_told() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        drop(listener.session().receive());
        let peer = listener.accept();
        let offer = peer.hello();
        refusal(Status::AuthFailed.code())(&peer, &offer);
    });
    let mut client = increment_client(&dir);
    client.refresh();
    assert_eq!(kind(client.call(1)), ErrorKind::Disconnected);
    assert_eq!(client.status().state, ClientState::AuthFailed);
    assert_eq!(client.status().error_count, 1);
    fake.finish();
}

#[test]
fn a_snapshot_that_cannot_be_read_is_asked_for_once_more() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "snapshot", |listener: RawListener| {
        for _ in 0..2 {
            let peer = listener.session();
            peer.answer(Status::Ok, &[0xff; 24]);
            peer.await_hangup();
        }
        assert!(!listener.is_called());
    });
    let mut client = client::<CgroupsSnapshot>(&dir, "snapshot", &usual());
    assert_eq!(kind(client.call(())), ErrorKind::Protocol);
    assert_eq!(client.status().state, ClientState::Broken);
    fake.finish();
}

#[test]
fn a_batch_that_cannot_be_read_is_asked_for_once_more_and_one_of_one_is_none() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        let peer = listener.session();
        // Nothing came for the empty batch.
        let (request, _) = peer.answer(Status::Ok, &2u64.to_ne_bytes()).unwrap();
        assert_eq!(request, Header::request(1, 1, 8));
        let short = [0u32, 7, 8, 8].map(u32::to_ne_bytes).concat();
        let answers = [&short[..], &[0; 16]].concat();
        let (request, _) = peer.answer(Status::Ok, &answers).unwrap();
        assert_eq!((request.flags, request.item_count), (Header::BATCH, 2));
        peer.await_hangup();
        // As good, but it does not say that it is a batch.
        let peer = listener.session();
        let (request, _) = peer.receive_message().unwrap();
        let plain = Header { flags: 0, ..response(&request) };
        peer.send_message(&plain, &[&[0; 16][..], &[0; 16]].concat());
        peer.await_hangup();
    });
    let session = SessionOptions { max_request_batch_items: 2, ..usual() };
    let mut client = patient::<Increment>(&dir, "increment", &session, SOON);
    client.refresh();
    assert_eq!(client.call_batch(&[]).unwrap().iter().count(), 0);
    let one: Vec<_> = client.call_batch(&[1]).unwrap().iter().map(Result::unwrap).collect();
    assert_eq!(one, [2]);
    assert_eq!(kind(client.call_batch(&[1, 2])), ErrorKind::Protocol);
    assert_eq!(client.status().state, ClientState::Broken);
    assert_eq!((client.status().call_count, client.status().reconnect_count), (1, 1));
    fake.finish();
}
