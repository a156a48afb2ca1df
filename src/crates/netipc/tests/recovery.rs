//! What dies, fills up or falls silent, and who notices.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::unwrap_used)]

mod common;

#[cfg(target_os = "linux")]
use std::os::unix::fs::MetadataExt;
use std::{path::Path, thread, time::Duration};

use common::{
    Dir, Running, await_that, carriers, client, increment_server, is_over, patient,
    peer::{Fake, RawListener},
    process::{Child, REGIONS_ARE_FILES, await_parent, part, tell},
    served, timed,
};
#[cfg(target_os = "linux")]
use common::{
    peer::{Peer, hello},
    process,
};
use netipc::{
    Client, ClientState, Declined, ErrorKind, Server, ServerOptions, SessionOptions, Text,
    kinds::{Increment, StringReverse, increment, string_reverse},
    proto::{Status, handshake::profile},
};

/// Far more than anything here takes, and far less than the usual timeout.
const SOON: Duration = Duration::from_secs(10);

fn reverse(asked: &Text<'_>, reply: &mut string_reverse::Reply<'_>) -> Result<(), Declined> {
    let mut text = asked.as_bytes().to_vec();
    text.reverse();
    Ok(reply.set(&text)?)
}

#[test]
fn carries_a_mebibyte_and_64_of_them_with_the_usual_packet_size() {
    for (carrier, session) in carriers() {
        for size in [1 << 20, 64 << 20] {
            let limit = StringReverse::encoded_len(size) as u32;
            let session = SessionOptions {
                max_request_payload_bytes: limit,
                max_response_payload_bytes: limit,
                ..session.clone()
            };
            let dir = Dir::new();
            let _server =
                Running::<StringReverse>::start(&dir, "reverse", served(&session), reverse);
            let mut client = client::<StringReverse>(&dir, "reverse", &session);
            assert!(is_over(&client, carrier));
            // A pattern that no packet ends with, so that parts out of order would be seen.
            let pattern: Vec<u8> = (0..8191u32).map(|at| (at * 31 / 7) as u8).collect();
            let mut text = pattern.repeat(size / pattern.len() + 1);
            text.truncate(size);
            let answer = client.call(&text).unwrap();
            text.reverse();
            assert!(answer.as_bytes() == text, "{size} over {carrier}");
            assert_eq!(client.status().reconnect_count, 0);
        }
    }
}

/// What a process serves that is going to be killed: 0 is never answered.
fn mortal(dir: &Path, session: &SessionOptions) -> ! {
    let handler = |asked: &u64, reply: &mut increment::Number<'_>| {
        if *asked == 0 {
            tell("HANDLING");
            await_parent()
        }
        common::add_one(asked, reply)
    };
    let server = Server::<Increment>::bind(dir, "increment", served(session), handler).unwrap();
    tell("READY");
    thread::spawn(move || server.run());
    await_parent()
}

fn session_of(carrier: &str) -> SessionOptions {
    carriers().into_iter().find(|(name, _)| *name == carrier).unwrap().1
}

#[cfg(target_os = "linux")]
#[test]
fn a_call_whose_server_is_killed_is_answered_by_the_next() {
    const TEST: &str = "a_call_whose_server_is_killed_is_answered_by_the_next";
    if let Some((carrier, dir)) = part() {
        mortal(&dir, &session_of(&carrier));
    }
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let mut first = Child::start(TEST, carrier, &dir);
        first.await_told("READY");
        let mut client = client::<Increment>(&dir, "increment", &session);
        let call = thread::spawn(move || (timed(|| client.call(0)), client));
        first.await_told("HANDLING");
        // Out of the way, so that its successor is there at the moment it dies.
        std::fs::rename(dir.join("increment.sock"), dir.join("old.sock")).unwrap();
        let _second = increment_server(&dir, served(&session));
        first.kill();
        let ((answer, took), client) = call.join().unwrap();
        assert_eq!(answer.unwrap(), 1, "over {carrier}");
        assert!(took < SOON);
        assert_eq!(client.status().state, ClientState::Ready);
        assert_eq!((client.status().reconnect_count, client.status().call_count), (1, 1));
        assert!(is_over(&client, carrier));
    }
}

#[test]
fn a_killed_server_fails_the_call_at_once_and_a_restarted_one_is_found() {
    const TEST: &str = "a_killed_server_fails_the_call_at_once_and_a_restarted_one_is_found";
    if let Some((carrier, dir)) = part() {
        mortal(&dir, &session_of(&carrier));
    }
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let mut first = Child::start(TEST, carrier, &dir);
        first.await_told("READY");
        let mut client = client::<Increment>(&dir, "increment", &session);
        let call = thread::spawn(move || (timed(|| client.call(0)), client));
        first.await_told("HANDLING");
        first.kill();
        let ((answer, took), mut client) = call.join().unwrap();
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Disconnected, "over {carrier}");
        assert!(took < SOON);
        // No other server was there to try again with, or the dying one took the connection.
        let state = client.status().state;
        assert!(matches!(state, ClientState::NotFound | ClientState::Disconnected), "{state:?}");
        assert_eq!(client.call(0).unwrap_err().kind(), ErrorKind::NotReady);

        let mut second = Child::start(TEST, carrier, &dir);
        second.await_told("READY");
        assert!(client.refresh());
        assert_eq!(client.call(7).unwrap(), 8);
        // Nothing of the first one is left beside what the second one uses.
        let regions =
            |dir: &Dir| dir.entries().iter().filter(|name| name.ends_with(".ipcshm")).count();
        let shared = carrier == "shared memory";
        assert_eq!(regions(&dir), usize::from(shared && REGIONS_ARE_FILES));
    }
}

#[test]
fn killed_clients_leave_no_session_and_no_file() {
    const TEST: &str = "killed_clients_leave_no_session_and_no_file";
    if let Some((carrier, dir)) = part() {
        let session = session_of(&carrier);
        let mut clients: Vec<Client<Increment>> =
            (0..4).map(|_| client(&dir, "increment", &session)).collect();
        for client in &mut clients {
            assert_eq!(client.call(1).unwrap(), 2);
            assert!(is_over(client, &carrier));
        }
        tell("READY");
        await_parent();
    }
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let options = ServerOptions { max_sessions: 8, workers: 2, ..served(&session) };
        let server = increment_server(&dir, options);
        for _ in 0..3 {
            let mut children: Vec<_> = (0..2).map(|_| Child::start(TEST, carrier, &dir)).collect();
            for child in &mut children {
                child.await_told("READY");
            }
            assert_eq!(server.server.sessions(), 8);
            for child in &mut children {
                child.kill();
            }
            await_that("the end of all sessions", || server.server.sessions() == 0);
            assert!(dir.entries().iter().all(|name| name == "increment.sock"));
        }
        assert_eq!(client::<Increment>(&dir, "increment", &session).call(1).unwrap(), 2);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_backlog_does_not_make_a_live_server_look_dead() {
    let dir = Dir::new();
    let options = || ServerOptions { backlog: 1, ..ServerOptions::default() };
    let server = Server::<Increment>::bind(&dir, "increment", options(), common::add_one).unwrap();
    let path = server.path().unwrap();
    let file = std::fs::metadata(&path).unwrap().ino();
    let mut waiting = Vec::new();
    while let Some(peer) = Peer::connect_at_once(&dir, "increment") {
        waiting.push(peer);
    }
    let second = Server::<Increment>::bind(&dir, "increment", options(), common::add_one);
    assert_eq!(second.unwrap_err().kind(), ErrorKind::AddressInUse);
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), file);

    // It serves as if nothing had happened.
    let handle = server.clone();
    let running = thread::spawn(move || handle.run());
    let mut client = client::<Increment>(&dir, "increment", &SessionOptions::default());
    assert_eq!(client.call(1).unwrap(), 2);
    server.stop();
    running.join().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn without_room_for_shared_memory_the_socket_carries_the_messages() {
    const TEST: &str = "without_room_for_shared_memory_the_socket_carries_the_messages";
    let Some((_, dir)) = part() else {
        return process::on_small_file_system(TEST);
    };
    let session = SessionOptions::published_shared_memory();
    let _server = increment_server(&dir, served(&session));
    // Another program fills the file system before the client comes.
    let filler = dir.join("filler");
    let error = std::fs::write(&filler, vec![1; 2 << 20]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let mut client = client::<Increment>(&dir, "increment", &session);
    assert!(!client.session().unwrap().is_shared_memory());
    assert_eq!(client.call(1).unwrap(), 2);

    // With room again, the next session has what was wanted.
    std::fs::remove_file(&filler).unwrap();
    client.close();
    client.refresh();
    assert!(client.session().unwrap().is_shared_memory());
    assert_eq!(client.call(1).unwrap(), 2);
}

#[test]
fn a_region_that_cannot_be_attached_costs_one_connection_and_is_tried_again_later() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        // Grants shared memory that it did not make.
        let offer_of_shared_memory = || {
            let peer = listener.accept();
            let offer = peer.hello();
            assert_ne!(offer.supported_profiles & profile::SHM, 0);
            let mut granted = common::peer::grant(&offer);
            granted.selected_profile = profile::SHM_HYBRID;
            granted.session_id = 77;
            peer.send(&granted.packet());
            peer
        };
        let baseline = || {
            let peer = listener.accept();
            let offer = peer.hello();
            assert_eq!(offer.supported_profiles, profile::BASELINE);
            assert_eq!(offer.preferred_profiles, 0);
            peer.send(&common::peer::grant(&offer).packet());
            peer
        };
        // The first session was hung up on, never used.
        assert_eq!(offer_of_shared_memory().receive(), None);
        let peer = baseline();
        peer.answer(Status::Ok, &2u64.to_ne_bytes());
        peer.await_hangup();
        // Later sessions try again.
        assert_eq!(offer_of_shared_memory().receive(), None);
        baseline().await_hangup();
    });
    let session = SessionOptions::published_shared_memory();
    let mut client = patient::<Increment>(&dir, "increment", &session, SOON);
    let (changed, took) = timed(|| client.refresh());
    assert!(changed && client.ready());
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(client.session().unwrap().fallback().is_some());
    assert_eq!(client.status().connect_count, 1);
    assert_eq!(client.call(1).unwrap(), 2);
    client.close();
    assert!(client.refresh());
    client.close();
    fake.finish();
}

#[test]
fn without_another_profile_a_region_that_cannot_be_attached_is_the_end() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        let peer = listener.accept();
        let offer = peer.hello();
        let granted = netipc::proto::Agreement {
            selected_profile: profile::SHM_HYBRID,
            ..common::peer::grant(&offer)
        };
        peer.send(&granted.packet());
        peer.await_hangup();
    });
    let session =
        SessionOptions { supported_profiles: profile::SHM_HYBRID, ..SessionOptions::default() };
    let mut client = patient::<Increment>(&dir, "increment", &session, SOON);
    client.refresh();
    assert_eq!(client.status().state, ClientState::Disconnected);
    assert!(client.last_error().is_some());
    fake.finish();
}

#[cfg(target_os = "linux")]
#[test]
fn the_region_of_a_session_exists_when_the_client_hears_of_it() {
    let dir = Dir::new();
    let session = SessionOptions::published_shared_memory();
    let _server = increment_server(&dir, served(&session));
    let offer =
        netipc::proto::Hello { supported_profiles: profile::BASELINE | profile::SHM, ..hello() };
    for _ in 0..200 {
        let (_peer, agreement) = Peer::session(&dir, "increment", &offer);
        assert!(agreement.uses_shared_memory());
        let region = format!("increment-{:016x}.ipcshm", agreement.session_id);
        let size = std::fs::metadata(dir.join(region)).unwrap().len();
        assert!(size > u64::from(agreement.agreed_max_response_payload_bytes));
    }
}
