//! Sessions over rings: many requests at a time, one descriptor to wait on, and peers that break
//! the rules.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use common::{
    Dir, PATIENCE, carriers, client, increment_server, is_over,
    peer::{Fake, Peer, RawListener, grant, hello},
    process, served, still_serves,
};
use netipc::{
    ErrorKind, ServerOptions, SessionOptions, Wait,
    kinds::Increment,
    proto::{Agreement, Header, Hello, Service, Status, handshake::profile},
    transport::{Carrier, Listener, ListenerOptions, Session},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn wait() -> Wait<'static> {
    Wait::at_most(PATIENCE)
}

fn connect(dir: &Dir) -> Session {
    let session =
        Session::connect(dir, "increment", &SessionOptions::shared_memory(), wait()).unwrap();
    assert_eq!(session.carrier(), Carrier::Rings);
    session
}

fn request(id: u64) -> Header {
    Header::request(Increment::METHOD, id, 8)
}

fn answer(session: &Session, header: &Header) -> u64 {
    assert_eq!(header.transport_status, Status::Ok.code());
    let answer = u64::from_ne_bytes(session.payload().try_into().unwrap());
    assert_eq!(answer, header.message_id + 1);
    header.message_id
}

/// Whether the descriptor of a session becomes readable in time.
fn is_readable(session: &Session, patience: Duration) -> bool {
    let mut fds = [PollFd::new(session, PollFlags::IN)];
    let patience = Timespec::try_from(patience).unwrap();
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&patience))).unwrap() == 1
}

#[test]
fn a_hundred_requests_are_in_flight_at_once() {
    let dir = Dir::new();
    let _server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let mut session = connect(&dir);
    for round in 0..50 {
        let ids = round * 100..(round + 1) * 100;
        for id in ids.clone() {
            session.send(&request(id), &id.to_ne_bytes(), wait()).unwrap();
        }
        assert_eq!(session.in_flight(), 100);
        for id in ids {
            let header = session.receive(wait()).unwrap();
            assert_eq!(answer(&session, &header), id);
        }
    }
}

#[test]
fn a_client_that_does_not_listen_is_held_back_and_loses_nothing() {
    let dir = Dir::new();
    let _server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let mut session = connect(&dir);
    let mut sent = 0u64;
    // Until both rings are full, however long the server takes to fill its own.
    loop {
        assert!(sent < 100_000, "nothing holds it back");
        if session.try_send(&request(sent), &sent.to_ne_bytes()).unwrap() {
            sent += 1;
        } else if !is_readable(&session, Duration::from_millis(100)) {
            break;
        }
    }
    assert!(sent >= 128, "{sent}");
    let (mut received, mut pending) = (0, true);
    while received <= sent {
        while let Some(header) = session.try_receive().unwrap() {
            assert_eq!(answer(&session, &header), received);
            received += 1;
        }
        if pending && session.try_send(&request(sent), &sent.to_ne_bytes()).unwrap() {
            pending = false;
        }
        assert!(received > sent || is_readable(&session, PATIENCE), "{received} of {sent} answers");
    }
    still_serves(&dir);
}

#[test]
fn one_server_serves_all_carriers_at_once() {
    let dir = Dir::new();
    let _server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let mut clients: Vec<_> = carriers()
        .into_iter()
        .map(|(name, session)| (name, client::<Increment>(&dir, "increment", &session)))
        .collect();
    for number in 0..100 {
        for (name, client) in &mut clients {
            assert!(is_over(client, name));
            assert_eq!(client.call(number).unwrap(), number + 1);
        }
    }
}

#[test]
fn rings_are_used_only_where_both_sides_offer_them() {
    let dir = Dir::new();
    let _server = increment_server(&dir, served(&SessionOptions::published_shared_memory()));
    let mut modern = client::<Increment>(&dir, "increment", &SessionOptions::shared_memory());
    assert!(is_over(&modern, "shared memory"));
    assert_eq!(modern.call(1).unwrap(), 2);
}

#[test]
fn a_thousand_sessions_share_four_workers() {
    if !process::alone("a_thousand_sessions_share_four_workers") {
        return;
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, all).unwrap();
    let dir = Dir::new();
    let session = SessionOptions::shared_memory();
    let options = ServerOptions { workers: 4, backlog: 128, ..served(&session) };
    let before = process::threads().len();
    let server = increment_server(&dir, options);
    let mut clients: Vec<_> =
        (0..1000).map(|_| client::<Increment>(&dir, "increment", &session)).collect();
    assert!(process::threads().len() <= before + 6, "{}", process::threads().len());
    for (number, client) in (0..).zip(&mut clients) {
        assert_eq!(client.call(number).unwrap(), number + 1);
    }
    assert!(clients.iter().any(|client| is_over(client, "rings")));
    assert_eq!(server.server.sessions(), 1000);
}

#[test]
fn its_descriptor_tells_of_answers_and_of_the_end() {
    let dir = Dir::new();
    let listener =
        Listener::bind(&dir, "increment", &listener_options(SessionOptions::shared_memory()))
            .unwrap();
    let server = std::thread::spawn(move || listener.accept(wait()).unwrap());
    let mut client = connect(&dir);
    let mut server = server.join().unwrap();

    assert_eq!(client.try_receive().unwrap(), None);
    assert!(!is_readable(&client, Duration::ZERO));
    assert_eq!(server.try_receive().unwrap(), None);
    client.send(&request(1), &1u64.to_ne_bytes(), wait()).unwrap();
    assert!(is_readable(&server, PATIENCE));
    assert_eq!(server.try_receive().unwrap().unwrap().message_id, 1);
    assert_eq!(server.try_receive().unwrap(), None);
    assert!(!is_readable(&server, Duration::ZERO), "what was heard is over");
    let response = Header { kind: netipc::proto::Kind::Response, ..request(1) };
    server.send(&response, &2u64.to_ne_bytes(), wait()).unwrap();
    assert!(is_readable(&client, PATIENCE));
    let header = client.try_receive().unwrap().unwrap();
    answer(&client, &header);

    assert_eq!(client.try_receive().unwrap(), None);
    drop(server);
    assert!(is_readable(&client, PATIENCE));
    assert_eq!(client.try_receive().unwrap_err().kind(), ErrorKind::Disconnected);
}

fn listener_options(session: SessionOptions) -> ListenerOptions {
    ListenerOptions { session, ..ListenerOptions::default() }
}

#[test]
fn nothing_is_left_of_sessions_that_are_over() {
    if !process::alone("nothing_is_left_of_sessions_that_are_over") {
        return;
    }
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let dir = Dir::new();
    let server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    still_serves(&dir);
    common::await_that("the end of the session", || server.server.sessions() == 0);
    let before = descriptors();
    for _ in 0..20 {
        let mut client = client::<Increment>(&dir, "increment", &SessionOptions::shared_memory());
        assert_eq!(client.call(1).unwrap(), 2);
    }
    common::await_that("the end of all sessions", || server.server.sessions() == 0);
    common::await_that("the end of their descriptors", || descriptors() <= before);
    let is_mapped = || std::fs::read_to_string("/proc/self/maps").unwrap().contains("netipc-ring");
    common::await_that("the end of their memory", || !is_mapped());
    assert_eq!(dir.entries(), ["increment.sock"]);
}

/// Without bells both sides knock on the socket, as strangers always do.
#[test]
fn sessions_take_no_bells_when_descriptors_are_scarce() {
    if !process::alone("sessions_take_no_bells_when_descriptors_are_scarce") {
        return;
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(256), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let dir = Dir::new();
    let server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let mut clients: Vec<_> = (0..40)
        .map(|_| client::<Increment>(&dir, "increment", &SessionOptions::shared_memory()))
        .collect();
    assert!(clients.iter().all(|client| is_over(client, "rings")));
    for number in 0..100 {
        for client in &mut clients {
            assert_eq!(client.call(number).unwrap(), number + 1);
        }
    }
    // The last of them has none: what it waits for is its socket.
    let mut last = connect(&dir);
    assert_eq!(last.try_receive().unwrap(), None);
    for round in 0..10 {
        for id in round * 300..(round + 1) * 300 {
            last.send(&request(id), &id.to_ne_bytes(), wait()).unwrap();
            if last.in_flight() == 150 {
                let header = last.receive(wait()).unwrap();
                answer(&last, &header);
            }
        }
    }
    while last.in_flight() > 0 {
        let header = last.receive(wait()).unwrap();
        answer(&last, &header);
    }
    drop(clients);
    common::await_that("the end of all but one", || server.server.sessions() == 1);
    drop(server);
    assert!(is_readable(&last, PATIENCE));
    assert_eq!(last.receive(wait()).unwrap_err().kind(), ErrorKind::Disconnected);
}

#[test]
fn without_descriptors_for_rings_something_else_carries_the_messages() {
    if !process::alone("without_descriptors_for_rings_something_else_carries_the_messages") {
        return;
    }
    let dir = Dir::new();
    let _server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(64), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let mut fillers = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        fillers.push(file);
    }
    // For both ends of a connection and nothing more.
    fillers.truncate(fillers.len() - 2);
    let options = SessionOptions::shared_memory();
    let mut session = Session::connect(&dir, "increment", &options, wait()).unwrap();
    assert_eq!(session.carrier(), Carrier::Socket);
    session.send(&request(1), &1u64.to_ne_bytes(), wait()).unwrap();
    let header = session.receive(wait()).unwrap();
    answer(&session, &header);
}

/// Grants rings, with these descriptors, to who asks for them.
fn give(listener: &RawListener, handed: &[OwnedFd]) {
    let peer = listener.accept();
    let hello = peer.hello();
    assert_ne!(hello.supported_profiles & profile::RING, 0);
    let rings = Agreement {
        server_supported_profiles: profile::RING,
        selected_profile: profile::RING,
        ..grant(&hello)
    };
    let handed: Vec<_> = handed.iter().map(AsFd::as_fd).collect();
    peer.send_with(&rings.packet(), &handed);
    peer.await_hangup();
}

#[test]
fn a_client_that_is_given_nothing_useful_goes_on_without_rings() {
    let dir = Dir::new();
    let file = || OwnedFd::from(std::fs::File::open("/proc/self/status").unwrap());
    let fake = Fake::start(&dir, "increment", move |listener| {
        for handed in [vec![], vec![file()], vec![file(), file(), file()]] {
            give(&listener, &handed);
            let peer = listener.accept();
            let hello = peer.hello();
            assert_eq!(hello.supported_profiles & profile::RING, 0);
            peer.send(&grant(&hello).packet());
            peer.answer(Status::Ok, &2u64.to_ne_bytes()).unwrap();
            peer.await_hangup();
        }
    });
    for _ in 0..3 {
        let mut client = client::<Increment>(&dir, "increment", &SessionOptions::shared_memory());
        assert!(is_over(&client, "socket"));
        assert_eq!(client.call(1).unwrap(), 2);
        let fallback = client.session().unwrap().fallback().unwrap();
        assert_eq!(fallback.kind(), ErrorKind::Protocol, "{fallback}");
    }
    fake.finish();
}

/// A client that has the memory of its session, to do with it what it likes.
fn intruder(dir: &Dir) -> (Peer, Agreement, OwnedFd, Option<OwnedFd>) {
    let peer = Peer::connect(dir, "increment");
    let hello = Hello { supported_profiles: profile::RING, ..hello() };
    peer.send(&hello.packet());
    let (packet, mut handed) = peer.receive_with();
    let agreement = hello.agreement(&packet).unwrap();
    assert!(agreement.uses_rings());
    let memory = handed.remove(0);
    let bell = (!handed.is_empty()).then(|| handed.remove(0));
    (peer, agreement, memory, bell)
}

const SLOTS_AT: u64 = 1024;

fn write(memory: &OwnedFd, at: u64, bytes: &[u8]) {
    assert_eq!(rustix::io::pwrite(memory, bytes, at).unwrap(), bytes.len());
}

fn ring(bell: &Option<OwnedFd>) {
    rustix::io::write(bell.as_ref().unwrap(), &1u64.to_ne_bytes()).unwrap();
}

fn announce(memory: &OwnedFd, number: u32, length: u32) {
    let word = u64::from(length) << 32 | u64::from(number + 1);
    write(memory, SLOTS_AT + 64 * u64::from(number), &word.to_ne_bytes());
}

#[test]
fn an_intruder_can_write_what_it_likes_and_loses_only_its_session() {
    let dir = Dir::new();
    let server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let mut honest = client::<Increment>(&dir, "increment", &SessionOptions::shared_memory());

    // By the rules: a request by hand is answered.
    let (peer, _, memory, bell) = intruder(&dir);
    write(&memory, SLOTS_AT + 8, &request(7).to_bytes());
    write(&memory, SLOTS_AT + 8 + 32, &41u64.to_ne_bytes());
    announce(&memory, 0, 40);
    ring(&bell);
    let answered = |memory: &OwnedFd| {
        let mut slot = [0; 64];
        let at = SLOTS_AT + 128 * 64;
        assert_eq!(rustix::io::pread(memory, &mut slot, at).unwrap(), 64);
        u64::from_ne_bytes(slot[40..48].try_into().unwrap())
    };
    common::await_that("an answer", || answered(&memory) == 42);
    // And not by the rules: of no bytes, too long, no envelope, not what its envelope says.
    drop(peer);
    let broken: [&dyn Fn(&OwnedFd); 6] = [
        &|memory| announce(memory, 0, 0),
        &|memory| announce(memory, 0, u32::MAX),
        &|memory| announce(memory, 0, 31),
        &|memory| announce(memory, 0, 40),
        &|memory| {
            write(memory, SLOTS_AT + 8, &request(1).to_bytes());
            announce(memory, 0, 41);
        },
        &|memory| {
            // A part of a message, and then more than is left of it.
            let header = Header { payload_len: 100, ..request(1) };
            write(memory, SLOTS_AT + 8, &header.to_bytes());
            announce(memory, 0, 56);
            announce(memory, 1, 200);
        },
    ];
    for (number, breaks) in broken.iter().enumerate() {
        let (peer, _, memory, bell) = intruder(&dir);
        breaks(&memory);
        ring(&bell);
        peer.await_hangup();
        assert_eq!(honest.call(1).unwrap(), 2, "after {number}");
    }
    assert_eq!(honest.status().reconnect_count, 0);
    // Claims that cannot be: seen once the server needs to know.
    let (peer, _, memory, bell) = intruder(&dir);
    write(&memory, 512, &u64::MAX.to_ne_bytes());
    for turn in 0..2u32 {
        for slot in 0..128 {
            let id = u64::from(turn * 128 + slot);
            let at = SLOTS_AT + 64 * u64::from(slot);
            write(&memory, at + 8, &request(id).to_bytes());
            let word = 40 << 32 | (id + 1);
            write(&memory, at, &u64::to_ne_bytes(word));
        }
        ring(&bell);
        let taken = || {
            let mut word = [0; 8];
            rustix::io::pread(&memory, &mut word, 384).unwrap();
            u64::from_ne_bytes(word)
        };
        if turn == 0 {
            common::await_that("the first turn", || taken() >= 96);
        }
    }
    peer.await_hangup();
    assert_eq!(honest.call(1).unwrap(), 2);
    drop(honest);
    common::await_that("the end of all sessions", || server.server.sessions() == 0);
}

#[test]
fn a_request_over_the_limit_is_refused_before_the_rest_of_it_comes() {
    let dir = Dir::new();
    let _server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let (peer, agreement, memory, bell) = intruder(&dir);
    let too_long = agreement.agreed_max_request_payload_bytes + 1;
    let header = Header { payload_len: too_long, ..request(1) };
    write(&memory, SLOTS_AT + 8, &header.to_bytes());
    announce(&memory, 0, 56);
    ring(&bell);
    peer.await_hangup();
    let mut slot = [0; 64];
    rustix::io::pread(&memory, &mut slot, SLOTS_AT + 128 * 64).unwrap();
    let response = Header::read(&slot[8..]).unwrap();
    assert_eq!(response.transport_status, Status::LimitExceeded.code());
}
