//! What a server makes of clients that refuse, misbehave or are too many.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use common::{
    Dir, Running, await_that, client, increment_server,
    peer::{Peer, hello, message},
    served, timed,
};
use netipc::{
    Declined, ErrorKind, ServerOptions, SessionOptions,
    kinds::{CgroupsSnapshot, Increment, increment},
    proto::{Header, Hello, Kind, PartHeader, Status, parts},
};

const SOON: Duration = Duration::from_secs(10);

fn session(dir: &Dir) -> Peer {
    Peer::session(dir, "increment", &hello()).0
}

#[test]
fn hangs_up_on_what_is_no_request_and_says_nothing() {
    let dir = Dir::new();
    let server = increment_server(&dir, ServerOptions::default());
    let request = Header::request(1, 1, 8);
    let packets = [
        message(&Header { kind: Kind::Response, ..request }, &[0; 8]),
        message(&Header { kind: Kind::Control, ..request }, &[0; 8]),
        vec![0x55; 40],
        request.to_bytes()[..20].to_vec(),
        // Longer than it says, which is for one packet.
        [message(&request, &[0; 8]), vec![0]].concat(),
        hello().packet().to_vec(),
    ];
    for (number, packet) in packets.iter().enumerate() {
        let peer = session(&dir);
        peer.send(packet);
        assert_eq!(peer.receive(), None, "case {number}");
    }
    await_that("the end of their sessions", || server.server.sessions() == 0);
    common::still_serves(&dir);
}

#[test]
fn another_method_is_unsupported_and_the_session_goes_on() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let peer = session(&dir);
    peer.send_message(&Header::request(2, 9, 0), &[]);
    let (header, payload) = peer.receive_message().unwrap();
    assert_eq!(header.transport_status, Status::Unsupported.code());
    assert_eq!((header.kind, header.code, header.message_id), (Kind::Response, 2, 9));
    assert_eq!((header.flags, header.item_count), (0, 1));
    assert!(payload.is_empty());
    peer.ask(10, 41);
    assert_eq!(peer.answered(10), 42);

    // As a typed client sees it.
    let mut other = client::<CgroupsSnapshot>(&dir, "increment", &SessionOptions::default());
    assert_eq!(other.call(()).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(other.ready());
}

/// Sends a request, and expects this status, nothing else, and the end of the session.
fn refused(peer: &Peer, request: &Header, payload: &[u8], status: Status) {
    peer.send_message(request, payload);
    let (header, payload) = peer.receive_message().unwrap();
    assert_eq!(Status::from_code(header.transport_status), Some(status));
    assert_eq!(header.message_id, request.message_id);
    assert_eq!((header.kind, header.flags, header.item_count), (Kind::Response, 0, 1));
    assert!(payload.is_empty());
    assert_eq!(peer.receive(), None);
}

#[test]
fn answers_what_it_cannot_read_or_do_and_hangs_up() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let request = Header::request(1, 5, 0);
    refused(&session(&dir), &request, &[0; 7], Status::BadEnvelope);
    refused(&session(&dir), &request, &u64::MAX.to_ne_bytes(), Status::InternalError);
    common::still_serves(&dir);
}

#[test]
fn a_request_above_the_limit_is_answered_before_the_server_hangs_up() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let request = Header::request(1, 5, 0);
    refused(&session(&dir), &request, &[0; 1025], Status::LimitExceeded);
    // It is not even waited for.
    let peer = session(&dir);
    peer.send(&Header::request(1, 6, 1 << 30).to_bytes());
    let (header, _) = peer.receive_message().unwrap();
    assert_eq!(header.transport_status, Status::LimitExceeded.code());
    assert_eq!(peer.receive(), None);
    common::still_serves(&dir);
}

#[test]
fn more_items_than_agreed_are_above_the_limit() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let request = Header { flags: Header::BATCH, item_count: 2, ..Header::request(1, 5, 0) };
    refused(&session(&dir), &request, &batch(&[1, 2]), Status::LimitExceeded);
}

#[test]
fn half_a_message_holds_nobody_up() {
    let dir = Dir::new();
    let options = ServerOptions { workers: 1, ..ServerOptions::default() };
    let server = increment_server(&dir, options);
    let small = Hello { packet_size: 64, ..hello() };
    let (peer, agreement) = Peer::session(&dir, "increment", &small);
    let header = Header::request(1, 1, 500);
    let mut cut = parts::Cut::new(&header, agreement.agreed_packet_size).unwrap();
    let first = cut.next().unwrap();
    peer.send(&[&first.head[..], &[7; 500][first.payload.clone()]].concat());
    common::still_serves(&dir);
    // A part that does not belong to it ends the session.
    let (stray, _) = Peer::session(&dir, "increment", &small);
    stray.send(&[&first.head[..], &[7; 500][first.payload]].concat());
    stray.send(&[0x55; 64]);
    assert_eq!(stray.receive(), None);
    assert_eq!(PartHeader::LEN, Header::LEN);
    let ((), took) = timed(|| server.stop());
    assert!(took < SOON);
    peer.await_hangup();
}

/// The payload of a batch of increments.
fn batch(numbers: &[u64]) -> Vec<u8> {
    let directory = (0..numbers.len() as u32).flat_map(|at| [at * 8, 8]);
    let directory = directory.flat_map(u32::to_ne_bytes);
    directory.chain(numbers.iter().flat_map(|number| number.to_ne_bytes())).collect()
}

#[test]
fn answers_each_item_of_a_batch_in_order() {
    for count in [1u64, 2, 3, 64] {
        let dir = Dir::new();
        let _server = increment_server(&dir, ServerOptions::default());
        let offer = Hello { max_request_batch_items: 64, ..hello() };
        let (peer, agreement) = Peer::session(&dir, "increment", &offer);
        assert_eq!(agreement.agreed_max_request_batch_items, 64);
        assert_eq!(agreement.agreed_max_response_batch_items, 64);
        let numbers: Vec<_> = (0..count).collect();
        let items = count as u32;
        let header = Header { flags: Header::BATCH, item_count: items, ..Header::request(1, 3, 0) };
        peer.send_message(&header, &batch(&numbers));
        let (header, payload) = peer.receive_message().unwrap();
        assert_eq!(header.transport_status, 0, "{count}");
        // The flag decides, even for one item.
        assert_eq!((header.flags, header.item_count), (Header::BATCH, items));
        let answers: Vec<_> = numbers.iter().map(|number| number + 1).collect();
        assert_eq!(payload, batch(&answers));
    }
}

#[test]
fn one_failing_item_fails_its_batch() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let offer = Hello { max_request_batch_items: 64, ..hello() };
    let session = || Peer::session(&dir, "increment", &offer).0;
    let header = Header { flags: Header::BATCH, item_count: 3, ..Header::request(1, 3, 0) };
    refused(&session(), &header, &batch(&[1, u64::MAX, 3]), Status::InternalError);
    let mut short = batch(&[1, 2, 3]);
    short[4] = 7;
    refused(&session(), &header, &short, Status::BadEnvelope);
    // An item outside of the message is no batch at all.
    let mut outside = batch(&[1, 2, 3]);
    outside[0] = 0xf8;
    let peer = session();
    peer.send_message(&header, &outside);
    assert_eq!(peer.receive(), None);
    common::still_serves(&dir);
}

#[test]
fn answers_pipelined_requests_in_order() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let peer = session(&dir);
    for id in 0..5 {
        peer.ask(100 - id, id);
    }
    for id in 0..5 {
        assert_eq!(peer.answered(100 - id), id + 1);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_request_sent_before_hanging_up_half_is_answered() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let peer = session(&dir);
    peer.ask(1, 1);
    peer.hang_up_half();
    assert_eq!(peer.answered(1), 2);
    assert_eq!(peer.receive(), None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_never_reads_holds_nobody_up() {
    let dir = Dir::new();
    let options = ServerOptions { workers: 1, ..ServerOptions::default() };
    let server = increment_server(&dir, options);
    let peer = session(&dir);
    let mut sent = 0;
    // Until neither side has room, which the server brings about by not reading any further.
    let request = |id: u64| message(&Header::request(1, id, 8), &id.to_ne_bytes());
    loop {
        if peer.send_at_once(&request(sent)) {
            sent += 1;
            continue;
        }
        common::still_serves(&dir);
        if !peer.send_at_once(&request(sent)) {
            break;
        }
        sent += 1;
    }
    assert!(sent > 1);
    common::still_serves(&dir);
    // When it reads at last, nothing is missing.
    for id in 0..sent {
        assert_eq!(peer.answered(id), id + 1);
    }
    while peer.send_at_once(&request(sent)) {
        sent += 1;
    }
    let (drained, took) = timed(|| server.server.drain(SOON));
    assert!(took < SOON, "{took:?}");
    assert!(drained);
}

#[test]
fn handlers_run_at_once_for_several_sessions_and_one_by_one_for_each() {
    let dir = Dir::new();
    let (entered, entries) = mpsc::channel();
    let gate = Arc::new(std::sync::Barrier::new(3));
    let handler = {
        let gate = Arc::clone(&gate);
        move |asked: &u64, reply: &mut increment::Number<'_>| {
            entered.send(*asked).unwrap();
            gate.wait();
            common::add_one(asked, reply)
        }
    };
    let options = ServerOptions { workers: 4, ..ServerOptions::default() };
    let _server = Running::<Increment>::start(&dir, "increment", options, handler);
    let (one, other) = (session(&dir), session(&dir));
    one.ask(1, 10);
    one.ask(2, 11);
    other.ask(1, 20);
    let mut first = [entries.recv().unwrap(), entries.recv().unwrap()];
    first.sort_unstable();
    assert_eq!(first, [10, 20]);
    // Were the second request of the first session handled as well, it would be here by the time
    // its third party is.
    assert!(entries.try_recv().is_err());
    gate.wait();
    assert_eq!((one.answered(1), other.answered(1)), (11, 21));
    assert_eq!(entries.recv().unwrap(), 11);
    other.ask(2, 21);
    assert_eq!(entries.recv().unwrap(), 21);
    gate.wait();
    assert_eq!((one.answered(2), other.answered(2)), (12, 22));
}

#[test]
fn fewer_than_one_worker_is_one() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions { workers: 0, ..ServerOptions::default() });
    common::still_serves(&dir);
}

#[test]
fn workers_do_not_limit_the_sessions_over_shared_memory() {
    let dir = Dir::new();
    let session = SessionOptions::published_shared_memory();
    let _server = increment_server(&dir, ServerOptions { workers: 1, ..served(&session) });
    let mut clients: Vec<_> =
        (0..6).map(|_| client::<Increment>(&dir, "increment", &session)).collect();
    for client in &mut clients {
        assert!(client.session().unwrap().is_shared_memory());
        assert_eq!(client.call(1).unwrap(), 2);
    }
}

#[test]
fn a_handler_that_serves_nothing_says_so() {
    let dir = Dir::new();
    let handler = |_: &u64, _: &mut increment::Number<'_>| -> Result<(), Declined> {
        Err(Declined::Unsupported)
    };
    let _server = Running::<Increment>::start(&dir, "increment", Default::default(), handler);
    let mut client = client::<Increment>(&dir, "increment", &SessionOptions::default());
    assert_eq!(client.call(1).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(client.ready());
}
