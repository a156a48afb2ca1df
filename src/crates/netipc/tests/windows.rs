//! What is different on Windows: the profile that never sleeps, options, and many pipes.
#![cfg(windows)]
#![allow(clippy::unwrap_used)]

mod common;

use std::{thread, time::Duration};

use common::{
    Dir, await_that, client, increment_server,
    process::{Child, await_parent, part, tell},
    served,
};
use netipc::{
    Client, ErrorKind, Server, ServerOptions, SessionOptions, kinds::Increment,
    proto::handshake::profile,
};

/// Shared memory by busy waiting, and nothing else.
fn busy() -> SessionOptions {
    SessionOptions {
        supported_profiles: profile::SHM_FUTEX,
        preferred_profiles: profile::SHM_FUTEX,
        ..SessionOptions::default()
    }
}

#[test]
fn who_asks_for_it_waits_busily() {
    let dir = Dir::new();
    let both = SessionOptions {
        supported_profiles: profile::BASELINE | profile::SHM,
        preferred_profiles: profile::SHM,
        ..SessionOptions::default()
    };
    let server = increment_server(&dir, served(&both));
    for (session, expected) in [
        (busy(), profile::SHM_FUTEX),
        (SessionOptions::published_shared_memory(), profile::SHM_HYBRID),
        (SessionOptions::default(), profile::BASELINE),
    ] {
        let mut client = client::<Increment>(&dir, "increment", &session);
        assert_eq!(client.session().unwrap().agreement().selected_profile, expected);
        for number in 0..500 {
            assert_eq!(client.call(number).unwrap(), number + 1);
        }
    }
    await_that("the end of all sessions", || server.server.sessions() == 0);
}

#[test]
fn a_killed_client_that_waited_busily_leaves_no_session() {
    const TEST: &str = "a_killed_client_that_waited_busily_leaves_no_session";
    if let Some((_, dir)) = part() {
        let mut client = client::<Increment>(&dir, "increment", &busy());
        assert_eq!(client.call(1).unwrap(), 2);
        tell("READY");
        await_parent();
    }
    let dir = Dir::new();
    let server = increment_server(&dir, served(&busy()));
    let mut child = Child::start(TEST, "client", &dir);
    child.await_told("READY");
    assert_eq!(server.server.sessions(), 1);
    child.kill();
    await_that("the end of its session", || server.server.sessions() == 0);
}

#[test]
fn a_thousand_sessions_share_four_workers() {
    const SESSIONS: u64 = 1000;
    let dir = Dir::new();
    let options = ServerOptions { workers: 4, ..ServerOptions::default() };
    let server = increment_server(&dir, options);
    let usual = SessionOptions::default();
    let mut clients: Vec<Client<Increment>> =
        (0..SESSIONS).map(|_| client(&dir, "increment", &usual)).collect();
    assert_eq!(server.server.sessions() as u64, SESSIONS);
    for round in 0..3 {
        for (number, client) in (0..).zip(&mut clients) {
            assert_eq!(client.call(number + round).unwrap(), number + round + 1);
        }
    }
    // And from several threads at once.
    thread::scope(|scope| {
        for clients in clients.chunks_mut(SESSIONS as usize / 4) {
            scope.spawn(move || {
                for client in clients {
                    assert_eq!(client.call(7).unwrap(), 8);
                }
            });
        }
    });
    drop(clients);
    await_that("the end of all sessions", || server.server.sessions() == 0);
    assert!(server.server.drain(Duration::from_secs(5)));
}

#[test]
fn others_may_be_let_in_but_no_group_by_number() {
    let dir = Dir::new();
    let bind = |options| Server::<Increment>::bind(&*dir, "increment", options, common::add_one);
    let group = ServerOptions { group: Some(0), ..ServerOptions::default() };
    assert_eq!(bind(group).unwrap_err().kind(), ErrorKind::InvalidInput);
    let open = ServerOptions { mode: 0o666, ..ServerOptions::default() };
    let server = bind(open).unwrap();
    assert!(server.path().unwrap().to_str().unwrap().starts_with(r"\\.\pipe\netipc-"));
}
