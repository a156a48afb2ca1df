//! Failures that other implementations of this protocol had.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    cell::RefCell,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

use common::{
    Dir, PATIENCE, Running, await_that, client, increment_server, patient,
    peer::{Fake, Peer, RawListener, hello},
    process, served,
};
use netipc::{
    Abort, ClientState, ErrorKind, Server, ServerOptions, SessionOptions, Text, Wait,
    kinds::{Increment, StringReverse, increment, string_reverse},
    proto::{Header, Hello, Kind, Malformed, Service, Status, Unwritable, handshake::profile},
    transport::{Listener, ListenerOptions, Session},
};

/// Both ends of a session over shared memory.
fn shared_session(dir: &Dir) -> (Session, Session) {
    let session = SessionOptions::published_shared_memory();
    let options = ListenerOptions { session: session.clone(), ..ListenerOptions::default() };
    let listener = Listener::bind(dir, "raw", &options).unwrap();
    let wait = Wait::at_most(PATIENCE);
    let path = dir.to_path_buf();
    let client = std::thread::spawn(move || Session::connect(&path, "raw", &session, wait));
    let server = listener.accept(wait).unwrap();
    let client = client.join().unwrap().unwrap();
    assert!(client.is_shared_memory() && server.is_shared_memory());
    (client, server)
}

#[test]
fn a_message_taken_from_shared_memory_is_out_of_reach_of_its_sender() {
    let dir = Dir::new();
    let (mut client, mut server) = shared_session(&dir);
    let wait = Wait::at_most(PATIENCE);
    client.send(&Header::request(9, 1, 0), b"question", wait).unwrap();
    server.receive(wait).unwrap();
    // Whoever may write the region may do so at any time.
    let region = dir.entries().into_iter().find(|name| name.ends_with(".ipcshm")).unwrap();
    let region = std::fs::OpenOptions::new().write(true).open(dir.join(region)).unwrap();
    let size = region.metadata().unwrap().len();
    region.write_all_at(&vec![0xEE; size as usize - 64], 64).unwrap();
    assert_eq!(server.payload(), b"question");
}

#[test]
fn over_shared_memory_a_request_waits_for_the_response_to_the_one_before() {
    let dir = Dir::new();
    let (mut client, mut server) = shared_session(&dir);
    let wait = Wait::at_most(PATIENCE);
    client.send(&Header::request(9, 1, 0), b"first", wait).unwrap();
    let error = client.send(&Header::request(9, 2, 0), b"second", wait).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(client.in_flight(), 1);
    let request = server.receive(wait).unwrap();
    assert_eq!((request.message_id, server.payload()), (1, &b"first"[..]));
    server.send(&Header { kind: Kind::Response, ..request }, b"answer", wait).unwrap();
    client.receive(wait).unwrap();
    assert_eq!(client.payload(), b"answer");
    // Nothing comes twice.
    let soon = Wait::at_most(Duration::from_millis(20));
    assert_eq!(server.receive(soon).unwrap_err().kind(), ErrorKind::TimedOut);
    client.send(&Header::request(9, 2, 0), b"second", wait).unwrap();
    server.receive(wait).unwrap();
    assert_eq!(server.payload(), b"second");
}

#[test]
fn limits_that_no_region_can_hold_leave_the_socket() {
    for limit in [u32::MAX, u32::MAX - 31, u32::MAX - 32, u32::MAX - 64] {
        let session = SessionOptions {
            max_response_payload_bytes: limit,
            ..SessionOptions::published_shared_memory()
        };
        let dir = Dir::new();
        let _server = increment_server(&dir, served(&session));
        let mut client = client::<Increment>(&dir, "increment", &session);
        assert!(!client.session().unwrap().is_shared_memory(), "{limit}");
        assert_eq!(client.session().unwrap().agreement().agreed_max_response_payload_bytes, limit);
        assert_eq!(client.call(1).unwrap(), 2);
        assert_eq!(dir.entries(), ["increment.sock"]);
    }
}

/// A kind whose client calls itself off as it reads an answer, which then is none.
struct CallsItselfOff;

thread_local! {
    static ABORT: RefCell<Option<Abort>> = const { RefCell::new(None) };
}

impl Service for CallsItselfOff {
    const METHOD: u16 = Increment::METHOD;
    const NAME: &'static str = Increment::NAME;

    type Request<'a> = u64;
    type RequestView<'a> = u64;
    type ReplyBuilder<'a> = increment::Number<'a>;
    type ReplyView<'a> = u64;

    fn request_len(number: u64) -> usize {
        Increment::request_len(number)
    }

    fn write_request(number: u64, out: &mut [u8]) -> Result<usize, Unwritable> {
        Increment::write_request(number, out)
    }

    fn read_request(bytes: &[u8]) -> Result<u64, Malformed> {
        Increment::read_request(bytes)
    }

    fn build_reply<'a>(
        asked: &'a u64,
        out: &'a mut [u8],
    ) -> Result<increment::Number<'a>, Unwritable> {
        Increment::build_reply(asked, out)
    }

    fn finish_reply(reply: increment::Number<'_>) -> Result<usize, Unwritable> {
        Increment::finish_reply(reply)
    }

    fn read_reply(_: &[u8]) -> Result<u64, Malformed> {
        ABORT.with_borrow(|abort| abort.as_ref().unwrap().set());
        Increment::read_reply(&[])
    }
}

#[test]
fn a_call_that_was_called_off_connects_to_nobody() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        let peer = listener.session();
        peer.answer(Status::Ok, &2u64.to_ne_bytes()).unwrap();
        peer.await_hangup();
        listener
    });
    let session = SessionOptions::default();
    let mut client = patient::<CallsItselfOff>(&dir, "increment", &session, PATIENCE);
    client.refresh();
    ABORT.set(Some(client.abort().clone()));
    assert_eq!(client.call(1).unwrap_err().kind(), ErrorKind::Aborted);
    let status = client.status();
    assert_eq!((status.state, status.reconnect_count), (ClientState::Broken, 0));
    assert_eq!(status.error_count, 1);
    assert!(!fake.finish().is_called(), "it connected again");
}

#[test]
fn the_answer_to_another_batch_is_none() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        for _ in 0..2 {
            let peer = listener.session();
            let (request, payload) = peer.receive_message().unwrap();
            let header = Header { message_id: request.message_id + 1, ..request };
            peer.respond(&header, Status::Ok.code(), &payload);
            peer.await_hangup();
        }
        assert!(!listener.is_called());
    });
    let session = SessionOptions { max_request_batch_items: 8, ..SessionOptions::default() };
    let mut client = patient::<Increment>(&dir, "increment", &session, PATIENCE);
    client.refresh();
    let error = client.call_batch(&[1, 2, 3]).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownId);
    fake.finish();
}

#[test]
fn what_fails_leaves_no_descriptor_behind() {
    if !process::alone("what_fails_leaves_no_descriptor_behind") {
        return;
    }
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let dir = Dir::new();
    let guarded = SessionOptions { auth_token: 7, ..SessionOptions::published_shared_memory() };
    let server = increment_server(&dir, served(&guarded));
    let _stream = std::os::unix::net::UnixListener::bind(dir.join("foreign.sock")).unwrap();
    std::fs::create_dir_all(dir.join("full.sock/entry")).unwrap();
    let attempt = || {
        for service in ["increment", "foreign", "missing", "full", "bad name"] {
            let options = SessionOptions::published_shared_memory();
            let mut client = patient::<Increment>(&dir, service, &options, PATIENCE);
            client.refresh();
            assert!(!client.ready());
        }
        for service in ["increment", "foreign", "full", "bad name"] {
            let options = ServerOptions::default();
            Server::<Increment>::bind(&dir, service, options, common::add_one).unwrap_err();
        }
        for offer in [Hello { auth_token: 8, ..hello() }, Hello { packet_size: 0, ..hello() }] {
            Peer::connect(&dir, "increment").agree(&offer).unwrap_err();
        }
        // A session that is agreed on and given up.
        let offer = Hello { auth_token: 7, supported_profiles: profile::SHM, ..hello() };
        drop(Peer::session(&dir, "increment", &offer));
        await_that("the end of all sessions", || server.server.sessions() == 0);
    };
    attempt();
    let before = descriptors();
    for _ in 0..20 {
        attempt();
    }
    await_that("the end of all descriptors", || descriptors() <= before);
}

#[test]
fn a_drain_that_comes_while_the_server_starts_ends_it() {
    for _ in 0..50 {
        let dir = Dir::new();
        let options = ServerOptions::default();
        let server = Server::<Increment>::bind(&dir, "increment", options, common::add_one);
        let server = server.unwrap();
        let running = server.clone();
        let begun = Instant::now();
        let thread = std::thread::spawn(move || running.run());
        assert!(server.drain(PATIENCE));
        thread.join().unwrap();
        assert!(server.drain(PATIENCE), "a second drain has nothing to wait for");
        assert!(begun.elapsed() < PATIENCE);
        drop(server);
        assert!(dir.entries().is_empty());
    }
}

#[test]
fn no_byte_of_a_handler_is_sent_beside_its_answer() {
    // The buffer that a long answer was written into is used again for a short one.
    let dir = Dir::new();
    let handler = |asked: &Text<'_>, reply: &mut string_reverse::Reply<'_>| {
        let room = reply.room();
        room[..1000].fill(b's');
        Ok(reply.set(asked.as_bytes())?)
    };
    let options = ServerOptions::default();
    let _server = Running::<StringReverse>::start(&dir, "reverse", options, handler);
    let peer = Peer::session(&dir, "reverse", &hello()).0;
    let mut request = vec![0; StringReverse::encoded_len(3)];
    StringReverse::write_request(b"abc", &mut request).unwrap();
    peer.send_message(&Header::request(StringReverse::METHOD, 1, 0), &request);
    let (_, payload) = peer.receive_message().unwrap();
    assert_eq!(payload, request);
}
