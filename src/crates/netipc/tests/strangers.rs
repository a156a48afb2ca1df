//! Rings between processes of different users: without bells, and whatever a stranger does with the
//! socket it knocks on; and what holds with bells as well. Where the tests do not run as root strangers
//! are left out, and it is said.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::{Permissions, set_permissions},
    os::{fd::AsFd, unix::fs::PermissionsExt},
    time::Duration,
};

use common::{
    Dir, PATIENCE, await_that, client, increment_server, is_over,
    peer::{RawListener, grant},
    process::as_nobody,
    ring::{self, Intruder},
    served,
};
use netipc::{
    Client, ErrorKind, ServerOptions, SessionOptions, Wait,
    kinds::Increment,
    proto::{Header, Kind, Service, Status, handshake::profile},
    transport::{Listener, ListenerOptions, Session},
};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

/// A directory in which every user may do everything.
fn open_dir() -> Dir {
    let dir = Dir::new();
    set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
    dir
}

/// A server for every user.
fn open() -> ServerOptions {
    ServerOptions { mode: 0o666, ..served(&SessionOptions::shared_memory()) }
}

fn wait() -> Wait<'static> {
    Wait::at_most(PATIENCE)
}

fn connect(dir: &Dir) -> Session {
    let session =
        Session::connect(dir, "increment", &SessionOptions::shared_memory(), wait()).unwrap();
    assert!(session.fallback().is_none(), "{:?}", session.fallback());
    session
}

fn request(id: u64) -> Header {
    Header::request(Increment::METHOD, id, 8)
}

fn response(id: u64) -> Header {
    Header { kind: Kind::Response, ..request(id) }
}

/// Calls one after the other, so that both sides sleep, and many at a time.
fn converse(dir: &Dir) {
    let mut client: Client<Increment> = client(dir, "increment", &SessionOptions::shared_memory());
    assert!(is_over(&client, "rings"));
    for number in 0..300 {
        assert_eq!(client.call(number).unwrap(), number + 1);
    }
    let mut session = connect(dir);
    for round in 0..20 {
        let ids = round * 100..(round + 1) * 100;
        for id in ids.clone() {
            session.send(&request(id), &id.to_ne_bytes(), wait()).unwrap();
        }
        for id in ids {
            assert_eq!(session.receive(wait()).unwrap().message_id, id);
            assert_eq!(session.payload(), (id + 1).to_ne_bytes());
        }
    }
}

#[test]
fn strangers_converse_over_rings_without_bells() {
    let dir = open_dir();
    let _server = increment_server(&dir, open());
    let given = as_nobody(|| {
        converse(&dir);
        Intruder::connect(&dir).bells.len()
    });
    if given.is_some() {
        assert_eq!(given, Some(0), "bells for a stranger");
    }
    assert_eq!(Intruder::connect(&dir).bells.len(), 2);

    let dir = open_dir();
    let server = as_nobody(|| increment_server(&dir, open()));
    if server.is_some() {
        converse(&dir);
        assert_eq!(Intruder::connect(&dir).bells.len(), 0);
    }
}

#[test]
fn a_client_takes_no_bells_from_a_stranger() {
    let dir = open_dir();
    let bell = || eventfd(0, EventfdFlags::NONBLOCK).unwrap();
    let Some(listener) = as_nobody(|| RawListener::bind(&dir, "increment", 4)) else { return };
    let server = std::thread::spawn(move || {
        let (memory, bells) = (ring::memory(ring::HEADER, ring::SEALED), [bell(), bell()]);
        let (peer, _) =
            ring::give(&listener, &[memory.as_fd(), bells[0].as_fd(), bells[1].as_fd()]);
        peer.await_hangup();
        let peer = listener.accept();
        let hello = peer.hello();
        assert_eq!(hello.supported_profiles & profile::RING, 0);
        peer.send(&grant(&hello).packet());
        peer.answer(Status::Ok, &2u64.to_ne_bytes()).unwrap();
    });
    let mut client = client::<Increment>(&dir, "increment", &SessionOptions::shared_memory());
    assert!(is_over(&client, "socket"));
    assert_eq!(client.call(1).unwrap(), 2);
    let fallback = client.session().unwrap().fallback().unwrap();
    assert_eq!(fallback.kind(), ErrorKind::Protocol);
    assert!(fallback.to_string().contains("bells of another user"), "{fallback}");
    server.join().unwrap();
}

#[test]
fn a_stranger_that_floods_the_socket_or_never_listens_is_served_and_holds_nobody_up() {
    let dir = open_dir();
    let server = increment_server(&dir, open());
    let mut honest = client::<Increment>(&dir, "increment", &SessionOptions::shared_memory());
    let served = as_nobody(|| {
        let stranger = Intruder::connect(&dir);
        for number in 0..1000 {
            // It sleeps, as it says, so it is knocked for each answer, and takes no knock off.
            stranger.write_word(ring::CLIENT_SLEEPS, ring::RECORDS);
            stranger.write_word(ring::RESPONSES_TAKEN, number);
            stranger.ask(number, number);
            stranger.peer.send_at_once(&[0; 100]);
            await_that("an answer", || stranger.answer(number) == Some(number + 1));
            await_that("its knock", || stranger.word(ring::CLIENT_SLEEPS) == 0);
            while number % 100 == 0 && stranger.peer.send_at_once(&[0; 1000]) {}
            if number % 50 == 0 {
                assert_eq!(honest.call(number).unwrap(), number + 1);
            }
        }
    });
    assert_eq!(honest.status().reconnect_count, 0);
    if served.is_some() {
        await_that("the end of the stranger", || server.server.sessions() == 1);
    }
}

#[test]
fn a_stranger_that_hangs_up_in_the_middle_of_a_message_leaves_nothing() {
    let dir = open_dir();
    let server = increment_server(&dir, open());
    let tried = as_nobody(|| {
        for knocks in [0, 1, 100] {
            let stranger = Intruder::connect(&dir);
            stranger.begin(20_000);
            stranger.announce(ring::REQUESTS, 0, ring::LONGEST);
            for _ in 0..knocks {
                stranger.peer.send_at_once(&[0]);
            }
        }
    });
    if tried.is_some() {
        await_that("the end of all sessions", || server.server.sessions() == 0);
    }
    common::still_serves(&dir);
}

/// Both ends of a session, of one user or two.
fn pairs() -> Vec<(Session, Session)> {
    let pair = |stranger: bool| {
        let dir = open_dir();
        let options = ListenerOptions {
            session: SessionOptions::shared_memory(),
            mode: 0o666,
            ..ListenerOptions::default()
        };
        let listener = Listener::bind(&dir, "increment", &options).unwrap();
        let server = std::thread::spawn(move || listener.accept(wait()).unwrap());
        let client = match stranger {
            true => as_nobody(|| connect(&dir)).unwrap(),
            false => connect(&dir),
        };
        (client, server.join().unwrap())
    };
    let mut pairs = vec![pair(false)];
    pairs.extend(as_nobody(|| ()).map(|()| pair(true)));
    pairs
}

/// A server that leaves while a knock of its client waits to be heard. That resets the connection.
#[test]
fn an_answer_is_taken_although_its_server_left_without_listening() {
    for (mut client, mut server) in pairs() {
        client.send(&request(1), &1u64.to_ne_bytes(), wait()).unwrap();
        assert_eq!(server.receive(wait()).unwrap().message_id, 1);
        assert_eq!(server.try_receive().unwrap(), None);
        assert_eq!(client.try_receive().unwrap(), None);
        client.send(&request(2), &2u64.to_ne_bytes(), wait()).unwrap();
        server.send(&response(1), &2u64.to_ne_bytes(), wait()).unwrap();
        drop(server);
        assert_eq!(client.try_receive().unwrap().map(|header| header.message_id), Some(1));
        assert_eq!(client.payload(), 2u64.to_ne_bytes());
        let error = client.receive(wait()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    }
}

/// A server that waited for room and left: it cannot be told that there is some now.
#[test]
fn all_answers_are_taken_although_their_server_left_while_it_waited_for_room() {
    for (mut client, mut server) in pairs() {
        let (mut asked, mut answered) = (0, 0);
        loop {
            client.send(&request(asked), &asked.to_ne_bytes(), wait()).unwrap();
            asked += 1;
            assert_eq!(server.receive(wait()).unwrap().message_id, answered);
            if !server.try_send(&response(answered), &answered.to_ne_bytes()).unwrap() {
                break;
            }
            answered += 1;
        }
        assert!(answered >= ring::SLOTS, "{answered}");
        drop(server);
        for id in 0..answered {
            assert_eq!(client.receive(wait()).unwrap().message_id, id);
        }
        let error = client.receive(wait()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected, "{error}");
    }
}

/// Sends until there is no room, which is `sent` messages.
fn fill(client: &mut Session) -> u64 {
    (0..).find(|&id| !client.try_send(&request(id), &id.to_ne_bytes()).unwrap()).unwrap()
}

fn is_readable(session: &Session, patience: Duration) -> bool {
    let mut fds = [PollFd::new(session, PollFlags::IN)];
    let patience = Timespec::try_from(patience).unwrap();
    rustix::io::retry_on_intr(|| poll(&mut fds, Some(&patience))).unwrap() == 1
}

#[test]
fn who_waits_for_room_is_told_of_it_while_the_other_side_goes_on() {
    for (mut client, mut server) in pairs() {
        let sent = fill(&mut client);
        assert!(!is_readable(&client, Duration::ZERO));
        // Some, and none of the looks in vain that make a side sleep.
        for id in 0..sent / 2 {
            assert_eq!(server.receive(wait()).unwrap().message_id, id);
        }
        assert!(is_readable(&client, PATIENCE));
        assert!(client.try_send(&request(sent), &sent.to_ne_bytes()).unwrap());
    }
}

#[test]
fn who_waits_for_room_and_for_an_answer_is_told_of_either() {
    for (mut client, mut server) in pairs() {
        let sent = fill(&mut client);
        assert_eq!(client.try_receive().unwrap(), None);
        assert!(!is_readable(&client, Duration::ZERO));
        for id in 0..sent / 2 {
            assert_eq!(server.receive(wait()).unwrap().message_id, id);
        }
        assert!(is_readable(&client, PATIENCE), "of room");
        assert!(client.try_send(&request(sent), &sent.to_ne_bytes()).unwrap());
        assert_eq!(client.try_receive().unwrap(), None);
        server.send(&response(0), &1u64.to_ne_bytes(), wait()).unwrap();
        assert!(is_readable(&client, PATIENCE), "of an answer");
        assert_eq!(client.try_receive().unwrap().unwrap().message_id, 0);
    }
}
