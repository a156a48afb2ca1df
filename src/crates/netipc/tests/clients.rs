//! What a server makes of clients that refuse, misbehave or are too many.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    os::unix::fs::MetadataExt,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

use common::{
    Dir, Running, await_that, carriers, client, increment_server, patient,
    peer::{Peer, hello, message},
    process, served, timed,
};
use netipc::{
    ClientState, Declined, ErrorKind, Server, ServerOptions, SessionOptions,
    kinds::{CgroupsSnapshot, Increment, increment},
    proto::{Header, Hello, Kind, PartHeader, Refusal, Status, handshake::profile, parts},
};

const SOON: Duration = Duration::from_secs(10);

fn session(dir: &Dir) -> Peer {
    Peer::session(dir, "increment", &hello()).0
}

fn ask(peer: &Peer, id: u64, number: u64) {
    peer.send_message(&Header::request(1, id, 8), &number.to_ne_bytes());
}

/// Takes an answer to request `id`, which must have gone well.
fn answer(peer: &Peer, id: u64) -> u64 {
    let (header, payload) = peer.receive_message().unwrap();
    assert_eq!(header, Header { kind: Kind::Response, ..Header::request(1, id, 8) });
    u64::from_ne_bytes(payload.try_into().unwrap())
}

fn still_serves(dir: &Dir) {
    let mut client = client::<Increment>(dir, "increment", &SessionOptions::default());
    assert_eq!(client.call(1).unwrap(), 2);
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
    still_serves(&dir);
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
    ask(&peer, 10, 41);
    assert_eq!(answer(&peer, 10), 42);

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
    still_serves(&dir);
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
    still_serves(&dir);
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
    still_serves(&dir);
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
    still_serves(&dir);
}

#[test]
fn answers_pipelined_requests_in_order() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let peer = session(&dir);
    for id in 0..5 {
        ask(&peer, 100 - id, id);
    }
    for id in 0..5 {
        assert_eq!(answer(&peer, 100 - id), id + 1);
    }
}

#[test]
fn a_request_sent_before_hanging_up_half_is_answered() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let peer = session(&dir);
    ask(&peer, 1, 1);
    rustix::net::shutdown(&peer, rustix::net::Shutdown::Write).unwrap();
    assert_eq!(answer(&peer, 1), 2);
    assert_eq!(peer.receive(), None);
}

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
        still_serves(&dir);
        if !peer.send_at_once(&request(sent)) {
            break;
        }
        sent += 1;
    }
    assert!(sent > 1);
    still_serves(&dir);
    // When it reads at last, nothing is missing.
    for id in 0..sent {
        assert_eq!(answer(&peer, id), id + 1);
    }
    while peer.send_at_once(&request(sent)) {
        sent += 1;
    }
    let (drained, took) = timed(|| server.server.drain(SOON));
    assert!(took < SOON, "{took:?}");
    assert!(drained);
}

/// What a server answers a first packet: how it refuses, or `None` if it only hangs up.
fn greeted(dir: &Dir, packet: &[u8]) -> Option<Result<(), Refusal>> {
    let peer = Peer::connect(dir, "increment");
    peer.send(packet);
    let answer = peer.receive()?;
    let agreed = hello().agreement(&answer);
    if agreed.is_err() {
        // Nothing is told beside the reason.
        assert_eq!(answer[Header::LEN..Header::LEN + 2], 1u16.to_ne_bytes());
        assert!(answer[Header::LEN + 2..].iter().all(|&byte| byte == 0));
        assert_eq!(peer.receive(), None);
    }
    Some(agreed.map(drop))
}

#[test]
fn each_bad_greeting_has_its_answer() {
    let dir = Dir::new();
    let guarded = SessionOptions {
        auth_token: 7,
        max_request_payload_bytes: 4096,
        ..SessionOptions::default()
    };
    let server = increment_server(&dir, served(&guarded));
    let good = Hello { auth_token: 7, ..hello() };
    let patched = |at: usize, byte: u8| {
        let mut packet = good.packet();
        packet[at] = byte;
        greeted(&dir, &packet)
    };
    let offered = |change: fn(&mut Hello)| {
        let mut hello = good;
        change(&mut hello);
        greeted(&dir, &hello.packet())
    };
    assert_eq!(greeted(&dir, &good.packet()), Some(Ok(())));

    assert_eq!(patched(4, 2), Some(Err(Refusal::Incompatible)), "version");
    assert_eq!(patched(Header::LEN, 2), Some(Err(Refusal::Incompatible)), "layout");
    let malformed = Some(Err(Refusal::Other(Status::BadEnvelope.code())));
    assert_eq!(patched(Header::LEN + 2, 1), malformed, "flags");
    assert_eq!(patched(Header::LEN + 28, 1), malformed, "reserved");

    assert_eq!(offered(|hello| hello.auth_token = 8), Some(Err(Refusal::AuthFailed)));
    let strange = |hello: &mut Hello| hello.supported_profiles = 0x8000;
    assert_eq!(offered(strange), Some(Err(Refusal::NoProfile)));
    let strange_and_false = |hello: &mut Hello| {
        hello.supported_profiles = 0x8000;
        hello.auth_token = 0;
    };
    assert_eq!(offered(strange_and_false), Some(Err(Refusal::AuthFailed)), "token first");
    let long = |hello: &mut Hello| hello.max_request_payload_bytes = 4097;
    assert_eq!(offered(long), Some(Err(Refusal::LimitExceeded)));
    let tiny = |hello: &mut Hello| hello.packet_size = 32;
    assert_eq!(offered(tiny), Some(Err(Refusal::Incompatible)));

    assert_eq!(greeted(&dir, b"garbage"), None);
    assert_eq!(greeted(&dir, &[0x55; 200]), None);
    assert_eq!(greeted(&dir, &good.packet()[..60]), None);
    assert_eq!(patched(12, 2), None, "a HELLO_ACK");
    assert_eq!(greeted(&dir, &message(&Header::request(1, 1, 8), &[0; 8])), None);
    await_that("the end of their sessions", || server.server.sessions() == 0);
}

#[test]
fn grants_what_was_asked_for_and_numbers_sessions_from_one() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let offer = Hello { max_request_batch_items: 3, packet_size: 1000, ..hello() };
    for number in 1..=3 {
        let (_peer, agreed) = Peer::session(&dir, "increment", &offer);
        assert_eq!(agreed.session_id, number);
        assert_eq!(agreed.agreed_max_request_payload_bytes, 1024);
        assert_eq!(agreed.agreed_max_request_batch_items, 3);
        assert_eq!(agreed.agreed_max_response_batch_items, 3);
        assert_eq!(agreed.agreed_max_response_payload_bytes, 65536);
        assert_eq!(agreed.agreed_packet_size, 1000);
        assert_eq!(agreed.selected_profile, profile::BASELINE);
        assert_eq!(agreed.intersection_profiles, profile::BASELINE);
    }
}

#[test]
fn limits_of_zero_stand_for_the_usual_ones() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let peer = Peer::connect(&dir, "increment");
    let offer = Hello {
        max_request_payload_bytes: 0,
        max_request_batch_items: 0,
        max_response_payload_bytes: 0,
        max_response_batch_items: 0,
        ..hello()
    };
    peer.send(&offer.packet());
    let agreed = hello().agreement(&peer.receive().unwrap()).unwrap();
    assert_eq!(agreed.agreed_max_request_payload_bytes, 1024);
    assert_eq!(agreed.agreed_max_request_batch_items, 1);
    assert_eq!(agreed.agreed_max_response_payload_bytes, 65536);
    ask(&peer, 1, 1);
    assert_eq!(answer(&peer, 1), 2);
}

#[test]
fn shared_memory_is_chosen_where_both_have_it_and_the_highest_profile_wins() {
    let dir = Dir::new();
    let all = profile::BASELINE | profile::SHM;
    let options = SessionOptions {
        supported_profiles: all,
        preferred_profiles: profile::BASELINE | profile::SHM_HYBRID,
        ..SessionOptions::default()
    };
    let _server = increment_server(&dir, served(&options));
    let selected = |supported_profiles, preferred_profiles| {
        let offer = Hello { supported_profiles, preferred_profiles, ..hello() };
        Peer::session(&dir, "increment", &offer).1.selected_profile
    };
    assert_eq!(selected(all, 0), profile::SHM_FUTEX);
    assert_eq!(selected(all, profile::BASELINE), profile::BASELINE);
    assert_eq!(selected(all, all), profile::SHM_HYBRID);
    assert_eq!(selected(profile::BASELINE | profile::SHM_HYBRID, 0), profile::SHM_HYBRID);
    assert_eq!(selected(profile::BASELINE | profile::SHM_WAITADDR, 0), profile::BASELINE);
}

#[test]
fn clients_beyond_the_most_sessions_see_a_refresh_that_fails() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let options = ServerOptions { max_sessions: 2, ..served(&session) };
        let server = increment_server(&dir, options);
        let mut first = client::<Increment>(&dir, "increment", &session);
        let _second = client::<Increment>(&dir, "increment", &session);
        let mut third = patient::<Increment>(&dir, "increment", &session, SOON);
        third.refresh();
        assert!(!third.ready(), "over {carrier}");
        assert_eq!(third.status().state, ClientState::Disconnected);
        assert_eq!(third.status().connect_count, 0);
        assert_eq!(first.call(1).unwrap(), 2);
        first.close();
        await_that("a free session", || server.server.sessions() == 1);
        third.refresh();
        assert_eq!(third.call(1).unwrap(), 2);
    }
}

#[test]
fn who_is_not_allowed_is_hung_up_on_unheard() {
    let dir = Dir::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let options = |allowed: bool| {
        let seen = Arc::clone(&seen);
        let allow = move |peer: &netipc::PeerCredentials| {
            seen.lock().unwrap().push(*peer);
            allowed
        };
        ServerOptions { allow: Some(Arc::new(allow)), ..ServerOptions::default() }
    };
    let server = increment_server(&dir, options(false));
    assert_eq!(Peer::connect(&dir, "increment").receive(), None);
    server.stop();
    let _server = increment_server(&dir, options(true));
    still_serves(&dir);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for peer in &*seen {
        assert_eq!(peer.pid, std::process::id());
        assert_eq!(peer.uid, rustix::process::geteuid().as_raw());
    }
}

#[test]
fn the_socket_is_for_its_owner_alone_whatever_the_umask_is() {
    if !process::alone("the_socket_is_for_its_owner_alone_whatever_the_umask_is") {
        return;
    }
    let dir = Dir::new();
    for umask in [0o000, 0o022, 0o777] {
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        let server = increment_server(&dir, ServerOptions::default());
        let mode = std::fs::metadata(dir.join("increment.sock")).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600, "under umask {umask:o}");
        // It was not touched meanwhile.
        assert_eq!(rustix::process::umask(before).as_raw_mode(), umask);
        server.stop();
    }
}

#[test]
fn no_descriptor_is_inherited_by_other_programs() {
    if !process::alone("no_descriptor_is_inherited_by_other_programs") {
        return;
    }
    let descriptors = || -> Vec<String> {
        std::fs::read_dir("/proc/self/fd")
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let before = descriptors();
    let dir = Dir::new();
    let session = SessionOptions::shared_memory();
    let _server = increment_server(&dir, served(&session));
    let mut shared = client::<Increment>(&dir, "increment", &session);
    let mut plain = client::<Increment>(&dir, "increment", &SessionOptions::default());
    assert_eq!((shared.call(1).unwrap(), plain.call(1).unwrap()), (2, 2));
    let mut looked_at = 0;
    for descriptor in descriptors().iter().filter(|descriptor| !before.contains(descriptor)) {
        let Ok(info) = std::fs::read_to_string(format!("/proc/self/fdinfo/{descriptor}")) else {
            // The one the directory was read with.
            continue;
        };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
        let flags = i32::from_str_radix(flags, 8).unwrap();
        assert_ne!(flags & libc::O_CLOEXEC, 0, "descriptor {descriptor}");
        looked_at += 1;
    }
    // The endpoint, both ends of two sessions, the poller.
    assert!(looked_at >= 6, "{looked_at}");
}

#[test]
fn sessions_over_sockets_take_no_threads_and_idle_ones_no_time() {
    if !process::alone("sessions_over_sockets_take_no_threads_and_idle_ones_no_time") {
        return;
    }
    let dir = Dir::new();
    let session = SessionOptions::default();
    let own = process::thread_id();
    let before = process::threads();
    let options = ServerOptions { workers: 2, ..served(&session) };
    let _server = increment_server(&dir, options);
    let mut active = client::<Increment>(&dir, "increment", &session);
    active.call(1).unwrap();
    let idle: Vec<_> = (0..50).map(|_| client::<Increment>(&dir, "increment", &session)).collect();
    let threads: Vec<_> =
        process::threads().into_iter().filter(|thread| !before.contains(thread)).collect();
    // The workers, and the one that runs the server.
    assert_eq!(threads.len(), 3);

    // All are asleep, and half a second of another process is time enough to wake up in.
    let rest = || std::process::Command::new("sleep").arg("0.5").status().unwrap();
    for &thread in &threads {
        process::await_sleep(thread);
    }
    let slept = process::sleeps(&threads);
    assert!(rest().success());
    assert_eq!(process::sleeps(&threads), slept, "an idle server woke up");
    assert_eq!(active.call(1).unwrap(), 2);
    assert_ne!(process::sleeps(&threads), slept, "an active one does");
    assert_eq!(idle.len(), 50);
    assert!(!threads.contains(&own));
}

#[test]
fn clients_and_caches_have_no_threads() {
    if !process::alone("clients_and_caches_have_no_threads") {
        return;
    }
    let dir = Dir::new();
    let before = process::threads();
    let mut clients: Vec<_> =
        (0..10).map(|_| netipc::Client::<Increment>::new(&*dir, "increment")).collect();
    for client in &mut clients {
        client.refresh();
    }
    let cache = netipc::Cache::<CgroupsSnapshot>::new(&*dir, "snapshot", Default::default());
    assert!(cache.refresh().is_err());
    assert_eq!(process::threads(), before);
}

#[test]
fn without_descriptors_it_waits_for_some_and_can_be_stopped() {
    const TEST: &str = "without_descriptors_it_waits_for_some_and_can_be_stopped";
    if !process::alone(TEST) {
        return;
    }
    let dir = Dir::new();
    let server = increment_server(&dir, ServerOptions { workers: 2, ..Default::default() });
    let session = SessionOptions::default();
    let mut first = client::<Increment>(&dir, "increment", &session);
    assert_eq!(first.call(1).unwrap(), 2);
    let late = Peer::connect_at_once(&dir, "increment");
    let _second = client::<Increment>(&dir, "increment", &session);
    // Every descriptor is used up, but for one that the next peer takes.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(64), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let mut fillers = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        fillers.push(file);
    }
    fillers.pop();
    let waiting = Peer::connect(&dir, "increment");
    waiting.send(&hello().packet());
    assert_eq!(first.call(1).unwrap(), 2, "others are served");
    drop(fillers);
    hello().agreement(&waiting.receive().unwrap()).unwrap();
    ask(&waiting, 1, 1);
    assert_eq!(answer(&waiting, 1), 2);
    drop(late);

    let mut fillers = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        fillers.push(file);
    }
    fillers.pop();
    let _unheard = Peer::connect(&dir, "increment");
    assert!(server.server.drain(SOON));
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
    ask(&one, 1, 10);
    ask(&one, 2, 11);
    ask(&other, 1, 20);
    let mut first = [entries.recv().unwrap(), entries.recv().unwrap()];
    first.sort_unstable();
    assert_eq!(first, [10, 20]);
    // Were the second request of the first session handled as well, it would be here by the time
    // its third party is.
    assert!(entries.try_recv().is_err());
    gate.wait();
    assert_eq!((answer(&one, 1), answer(&other, 1)), (11, 21));
    assert_eq!(entries.recv().unwrap(), 11);
    ask(&other, 2, 21);
    assert_eq!(entries.recv().unwrap(), 21);
    gate.wait();
    assert_eq!((answer(&one, 2), answer(&other, 2)), (12, 22));
}

#[test]
fn fewer_than_one_worker_is_one() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions { workers: 0, ..ServerOptions::default() });
    still_serves(&dir);
}

#[test]
fn workers_do_not_limit_the_sessions_over_shared_memory() {
    let dir = Dir::new();
    let session = SessionOptions::shared_memory();
    let _server = increment_server(&dir, ServerOptions { workers: 1, ..served(&session) });
    let mut clients: Vec<_> =
        (0..6).map(|_| client::<Increment>(&dir, "increment", &session)).collect();
    for client in &mut clients {
        assert!(client.session().unwrap().is_shared_memory());
        assert_eq!(client.call(1).unwrap(), 2);
    }
}

#[test]
fn a_second_server_is_told_that_the_first_one_lives_and_a_dead_ones_name_is_free() {
    let dir = Dir::new();
    let server = increment_server(&dir, ServerOptions::default());
    let bind =
        || Server::<Increment>::bind(&dir, "increment", ServerOptions::default(), common::add_one);
    let error = bind().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse);
    assert!(error.to_string().contains("increment.sock"), "{error}");
    still_serves(&dir);
    server.stop();
    let second = bind().unwrap();
    drop(second);
    std::fs::write(dir.join("increment.sock"), "").unwrap();
    drop(bind().unwrap());
    assert!(dir.entries().is_empty());
    let missing =
        Server::<Increment>::bind("/nowhere/at/all", "x", Default::default(), common::add_one);
    assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_server_that_ends_leaves_its_successors_socket_alone() {
    let dir = Dir::new();
    let old = increment_server(&dir, ServerOptions::default());
    std::fs::rename(dir.join("increment.sock"), dir.join("old.sock")).unwrap();
    let _new = increment_server(&dir, ServerOptions::default());
    old.stop();
    still_serves(&dir);
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
