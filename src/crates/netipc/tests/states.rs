//! What a client makes of servers that refuse, misbehave or are not there: states, counters, retries.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::unwrap_used)]

mod common;

use std::{path::Path, time::Duration};

#[cfg(target_os = "linux")]
use common::process;
use common::{
    Dir, increment_server, patient,
    peer::{Fake, Peer, RawListener, grant, hello},
    served, timed,
};
use netipc::{
    Client, ClientState, Error, ErrorKind, ServerOptions, SessionOptions,
    kinds::Increment,
    proto::{Agreement, Header, Hello, Status, handshake::profile},
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

#[test]
fn begins_without_a_server_a_directory_or_a_connection() {
    let mut client = Client::<Increment>::new("/nowhere/at/all", "increment");
    let status = client.status();
    assert_eq!(status.state, ClientState::Disconnected);
    assert_eq!((status.connect_count, status.reconnect_count), (0, 0));
    assert_eq!((status.call_count, status.error_count), (0, 0));
    assert!(!client.ready() && client.session().is_none() && client.last_error().is_none());
    assert!(client.refresh(), "the state becomes NotFound");
    assert_eq!(client.status().state, ClientState::NotFound);
    assert!(!client.refresh(), "and stays so");
    assert_eq!(client.status().connect_count, 0);
}

#[test]
fn a_call_without_a_session_fails_at_once_and_counts() {
    let dir = Dir::new();
    let mut client = increment_client(&dir);
    assert_eq!(kind(client.call(1)), ErrorKind::NotReady);
    client.refresh();
    assert_eq!(kind(client.call(1)), ErrorKind::NotReady);
    assert_eq!((client.status().error_count, client.status().call_count), (2, 0));
    assert_eq!(client.status().state, ClientState::NotFound);
    // Even while it is called off.
    client.abort().set();
    assert_eq!(kind(client.call(1)), ErrorKind::NotReady);
}

#[test]
fn a_provider_may_come_after_its_clients_and_go_and_come_back() {
    let dir = Dir::new();
    let mut client = increment_client(&dir);
    client.refresh();
    assert_eq!(client.status().state, ClientState::NotFound);
    let server = increment_server(&dir, ServerOptions::default());
    assert!(client.refresh());
    assert_eq!(client.call(1).unwrap(), 2);
    server.stop();

    // It is noticed when it is needed.
    assert!(!client.refresh());
    assert!(client.ready());
    assert_eq!(kind(client.call(1)), ErrorKind::Disconnected);
    assert_eq!(client.status().state, ClientState::NotFound);

    let _server = increment_server(&dir, ServerOptions::default());
    assert!(client.refresh());
    assert_eq!(client.call(1).unwrap(), 2);
    let status = client.status();
    assert_eq!((status.connect_count, status.reconnect_count), (2, 0));
    assert_eq!((status.call_count, status.error_count), (2, 1));
}

#[test]
fn refresh_says_nothing_to_a_connected_server() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        let peer = listener.session();
        // Nothing comes but the end.
        assert_eq!(peer.receive(), None);
        assert!(!listener.is_called());
    });
    let mut client = increment_client(&dir);
    assert!(client.refresh());
    for _ in 0..3 {
        assert!(!client.refresh());
    }
    assert_eq!(client.status().connect_count, 1);
    client.close();
    fake.finish();
}

#[test]
fn a_broken_session_is_replaced_by_refresh_and_counted_apart() {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        listener.session().answer(Status::InternalError, &[]);
        listener.session().await_hangup();
    });
    let mut client = increment_client(&dir);
    client.refresh();
    assert_eq!(kind(client.call(1)), ErrorKind::HandlerFailed);
    assert_eq!(client.status().state, ClientState::Broken);
    assert!(client.refresh());
    assert_eq!((client.status().connect_count, client.status().reconnect_count), (1, 1));
    client.close();
    fake.finish();
}

#[test]
fn close_can_be_repeated_and_the_client_used_again() {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions::default());
    let mut client = increment_client(&dir);
    client.close();
    client.refresh();
    client.abort().set();
    client.close();
    client.close();
    assert_eq!(client.status().state, ClientState::Disconnected);
    assert!(!client.abort().is_set());
    assert!(client.refresh());
    assert_eq!(client.call(1).unwrap(), 2);
}

/// The state after one refresh against a server that answers a HELLO with `answer`.
fn state_after(answer: impl FnOnce(&Peer, &Hello) + Send + 'static) -> (ClientState, ErrorKind) {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", |listener: RawListener| {
        let peer = listener.accept();
        let offer = peer.hello();
        answer(&peer, &offer);
    });
    let mut client = patient::<Increment>(&dir, "increment", &usual(), SOON);
    client.refresh();
    fake.finish();
    assert_eq!(client.status().connect_count, 0);
    (client.status().state, client.last_error().unwrap().kind())
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
fn each_refusal_has_its_state() {
    use ClientState::{AuthFailed, Disconnected, Incompatible};
    let cases = [
        (Status::AuthFailed.code(), AuthFailed, ErrorKind::AuthenticationFailed),
        (Status::Unsupported.code(), Incompatible, ErrorKind::NoCommonProfile),
        (Status::Incompatible.code(), Incompatible, ErrorKind::Incompatible),
        (Status::LimitExceeded.code(), Incompatible, ErrorKind::LimitExceeded),
        (Status::BadEnvelope.code(), Disconnected, ErrorKind::Rejected),
        (Status::InternalError.code(), Disconnected, ErrorKind::Rejected),
        (4711, Disconnected, ErrorKind::Rejected),
    ];
    for (status, state, kind) in cases {
        assert_eq!(state_after(refusal(status)), (state, kind), "status {status}");
    }
}

#[test]
fn an_answer_that_is_none_makes_no_session() {
    use ClientState::{Disconnected, Incompatible};
    assert_eq!(state_after(|_, _| {}).0, Disconnected);
    assert_eq!(state_after(|peer, _| peer.send(b"who is there?")).0, Disconnected);
    assert_eq!(state_after(|peer, _| peer.send(&[0x55; 80])).0, Disconnected);
    assert_eq!(state_after(|peer, offer| peer.send(&offer.packet())).0, Disconnected);
    let patched = |at: usize, byte: u8| {
        move |peer: &Peer, offer: &Hello| {
            let mut packet = grant(offer).packet();
            packet[at] = byte;
            peer.send(&packet);
        }
    };
    assert_eq!(state_after(patched(4, 2)).0, Incompatible, "version");
    assert_eq!(state_after(patched(Header::LEN, 2)).0, Incompatible, "layout");
    assert_eq!(state_after(patched(Header::LEN + 2, 1)).0, Disconnected, "flags");
}

#[test]
fn a_grant_of_what_was_not_asked_for_makes_no_session() {
    let granted = |change: fn(&mut Agreement)| {
        move |peer: &Peer, offer: &Hello| {
            let mut agreement = grant(offer);
            change(&mut agreement);
            peer.send(&agreement.packet());
        }
    };
    let cases: [fn(&mut Agreement); 7] = [
        |agreed| agreed.selected_profile = profile::SHM_HYBRID,
        |agreed| agreed.selected_profile = 0,
        |agreed| agreed.selected_profile = 3,
        |agreed| agreed.agreed_max_request_payload_bytes += 1,
        |agreed| agreed.agreed_max_request_batch_items += 1,
        |agreed| agreed.agreed_packet_size = 32,
        |agreed| agreed.agreed_packet_size += 1,
    ];
    for (number, change) in cases.into_iter().enumerate() {
        let expected = (ClientState::Disconnected, ErrorKind::Protocol);
        assert_eq!(state_after(granted(change)), expected, "case {number}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_no_socket_of_a_provider_is_no_provider() {
    let dir = Dir::new();
    let path = dir.join("increment.sock");
    let listener = RawListener::bind(&dir, "increment", 1);
    std::fs::rename(&path, dir.join("dead")).unwrap();
    drop(listener);
    let stream = std::os::unix::net::UnixListener::bind(dir.join("stream")).unwrap();
    let datagrams = std::os::unix::net::UnixDatagram::bind(dir.join("datagrams")).unwrap();
    std::fs::write(dir.join("file"), "text").unwrap();
    std::os::unix::fs::symlink("loop", dir.join("loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.join("dangling")).unwrap();
    for what in ["dead", "stream", "datagrams", "file", "loop", "dangling"] {
        std::os::unix::fs::symlink(what, &path).unwrap();
        let mut client = increment_client(&dir);
        assert!(client.refresh(), "{what}");
        assert_eq!(client.status().state, ClientState::NotFound, "{what}");
        let error = client.last_error().unwrap();
        assert!(error.to_string().starts_with("connect to "), "{error}");
        assert!(error.raw_os_error().is_some(), "{error}");
        std::fs::remove_file(&path).unwrap();
    }
    // Nor can there be one in what is no directory.
    let mut client = increment_client(&dir.join("file"));
    client.refresh();
    assert_eq!(client.status().state, ClientState::NotFound);
    drop((stream, datagrams));
}

#[cfg(target_os = "linux")]
#[test]
fn who_cannot_ask_knows_nothing_of_the_provider() {
    let dir = Dir::new();
    let listener = RawListener::bind(&dir, "increment", 0);
    let _waiting = Peer::connect(&dir, "increment");
    let busy = Duration::from_millis(50);
    let mut client = patient::<Increment>(&dir, "increment", &usual(), busy);
    client.refresh();
    assert_eq!(client.last_error().unwrap().kind(), ErrorKind::Busy);
    assert_eq!(client.status().state, ClientState::Disconnected);
    drop(listener);

    if !process::alone("who_cannot_ask_knows_nothing_of_the_provider") {
        return;
    }
    let mut client = increment_client(&dir);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let none = rustix::process::Rlimit { current: Some(0), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, none).unwrap();
    client.refresh();
    assert_eq!(client.last_error().unwrap().kind(), ErrorKind::Exhausted);
    assert_eq!(client.status().state, ClientState::Disconnected);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
}

#[test]
fn a_name_that_cannot_be_is_refused_when_connecting_and_when_listening() {
    let dir = Dir::new();
    let long = "x".repeat(300);
    for name in ["", ".", "..", "../x", "a/b", "a b", "\u{e4}", &long] {
        let mut client = Client::<Increment>::new(&*dir, name);
        client.refresh();
        let expected = if name == long { ErrorKind::NameTooLong } else { ErrorKind::InvalidInput };
        assert_eq!(client.last_error().unwrap().kind(), expected, "{name:?}");
        let server = netipc::Server::<Increment>::bind(
            &*dir,
            name,
            ServerOptions::default(),
            common::add_one,
        );
        assert_eq!(kind(server), expected, "{name:?}");
    }
    assert!(dir.entries().is_empty());
}

#[test]
fn another_token_is_refused_until_the_server_has_changed() {
    let dir = Dir::new();
    let guarded = SessionOptions { auth_token: 7, ..usual() };
    let server = increment_server(&dir, served(&guarded));
    let mut client = increment_client(&dir);
    assert!(client.refresh());
    assert_eq!(client.status().state, ClientState::AuthFailed);
    assert!(!client.refresh(), "tried again, to the same end");
    server.stop();
    let _server = increment_server(&dir, ServerOptions::default());
    assert!(client.refresh());
    assert_eq!(client.call(1).unwrap(), 2);
}

#[test]
fn a_silent_server_holds_refresh_up_no_longer_than_a_call() {
    let dir = Dir::new();
    let _listener = RawListener::bind(&dir, "increment", 4);
    let timeout = Duration::from_millis(200);
    let mut client = patient::<Increment>(&dir, "increment", &usual(), timeout);
    let (changed, took) = timed(|| client.refresh());
    assert!(!changed);
    assert_eq!(client.status().state, ClientState::Disconnected);
    assert_eq!(client.last_error().unwrap().kind(), ErrorKind::TimedOut);
    assert!(took >= timeout && took < timeout + SOON, "{took:?}");
}

#[test]
fn a_silent_server_holds_refresh_up_no_longer_than_five_seconds() {
    let dir = Dir::new();
    let _listener = RawListener::bind(&dir, "increment", 4);
    let mut client = patient::<Increment>(&dir, "increment", &usual(), Duration::from_secs(3600));
    let (_, took) = timed(|| client.refresh());
    assert_eq!(client.last_error().unwrap().kind(), ErrorKind::TimedOut);
    assert!(took >= Duration::from_secs(5) && took < Duration::from_secs(25), "{took:?}");
}

#[test]
fn refresh_does_nothing_while_called_off() {
    let dir = Dir::new();
    let mut client = increment_client(&dir);
    client.refresh();
    let _server = increment_server(&dir, ServerOptions::default());
    client.abort().set();
    assert!(!client.refresh());
    assert_eq!(client.status().state, ClientState::NotFound, "not even tried");
    client.abort().clear();
    assert!(client.refresh());
    assert!(client.ready());
}

#[test]
fn a_server_limit_below_the_clients_is_incompatible() {
    let dir = Dir::new();
    let limited = SessionOptions { max_request_payload_bytes: 512, ..usual() };
    let _server = increment_server(&dir, served(&limited));
    let mut client = increment_client(&dir);
    client.refresh();
    assert_eq!(client.status().state, ClientState::Incompatible);
    assert_eq!(client.last_error().unwrap().kind(), ErrorKind::LimitExceeded);
}
