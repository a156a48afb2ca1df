//! Who gets a session of a server, on which terms, and what others are told.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{
    Dir, await_that, carriers, client, increment_server, patient,
    peer::{Peer, hello, message},
    process, served,
};
use netipc::{
    ClientState, ServerOptions, SessionOptions,
    kinds::Increment,
    proto::{Header, Hello, Refusal, Status, handshake::profile},
};
#[cfg(target_os = "linux")]
use netipc::{ErrorKind, Server};

const SOON: Duration = Duration::from_secs(10);

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
    peer.ask(1, 1);
    assert_eq!(peer.answered(1), 2);
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
            seen.lock().unwrap().push(peer.to_owned());
            allowed
        };
        ServerOptions { allow: Some(Arc::new(allow)), ..ServerOptions::default() }
    };
    let server = increment_server(&dir, options(false));
    assert_eq!(Peer::connect(&dir, "increment").receive(), None);
    server.stop();
    let _server = increment_server(&dir, options(true));
    common::still_serves(&dir);
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 2);
    for peer in &*seen {
        assert_eq!(peer.pid, std::process::id());
        assert!(process::is_own_user(peer), "{peer:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_second_server_is_told_that_the_first_one_lives_and_a_dead_ones_name_is_free() {
    let dir = Dir::new();
    let server = increment_server(&dir, ServerOptions::default());
    let bind =
        || Server::<Increment>::bind(&dir, "increment", ServerOptions::default(), common::add_one);
    let error = bind().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressInUse);
    assert!(error.to_string().contains("increment.sock"), "{error}");
    common::still_serves(&dir);
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

#[cfg(target_os = "linux")]
#[test]
fn a_server_that_ends_leaves_its_successors_socket_alone() {
    let dir = Dir::new();
    let old = increment_server(&dir, ServerOptions::default());
    std::fs::rename(dir.join("increment.sock"), dir.join("old.sock")).unwrap();
    let _new = increment_server(&dir, ServerOptions::default());
    old.stop();
    common::still_serves(&dir);
}
