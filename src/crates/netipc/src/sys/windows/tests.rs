//! Pipes and what they are made of, with real handles.

use std::{
    os::windows::io::{AsHandle, OwnedHandle},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::Instant,
};

use windows_sys::Win32::{
    Foundation::INVALID_HANDLE_VALUE,
    Storage::FileSystem::PIPE_ACCESS_DUPLEX,
    System::Pipes::{CreateNamedPipeW, PIPE_TYPE_BYTE},
};

use super::{Access, ListenSocket, Signal, Socket, wide};
use crate::{
    Abort, ErrorKind, Wait,
    sys::{
        Interest, Poller, Readiness,
        tests::{LONG, SHORT, receive, short},
    },
};

/// The name of a pipe that no other test and no other process has.
fn name() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let (process, number) = (std::process::id(), NUMBER.fetch_add(1, Relaxed));
    PathBuf::from(format!(r"\\.\pipe\netipc-test-{process}-{number}"))
}

fn listening(path: &std::path::Path, backlog: u32) -> ListenSocket {
    ListenSocket::bind(path, Access::new(false).unwrap(), backlog).unwrap()
}

/// Both ends of a connection, the client's first.
pub(in crate::sys) fn pair() -> (Socket, Socket) {
    let path = name();
    let listener = listening(&path, 1);
    let client = Socket::connect(&path, Wait::at_most(LONG)).unwrap();
    listener.wait_readable(Wait::at_most(LONG)).unwrap();
    (client, listener.accept().unwrap().expect("a client is there"))
}

#[test]
fn packets_far_above_the_buffers_of_the_pipe_arrive_whole() {
    let (a, b) = pair();
    for (from, to) in [(&a, &b), (&b, &a)] {
        let body: Vec<u8> = (0..1_000_000u32).map(|at| (at * 31 / 7) as u8).collect();
        thread::scope(|scope| {
            scope.spawn(|| {
                while !from.send(&[7; 32], &body).unwrap() {
                    from.wait_writable(Wait::at_most(LONG)).unwrap();
                }
            });
            to.wait_readable(Wait::at_most(LONG)).unwrap();
            let (packet, bytes) = receive(to, body.len());
            assert_eq!((packet.len, packet.truncated), (1_000_032, false));
            assert!(bytes[32..] == body);
        });
    }
}

#[test]
fn while_a_packet_is_being_sent_no_other_is() {
    let (a, b) = pair();
    while a.send(&[1; 32], &[2; 10_000]).unwrap() {}
    let error = a.send(&[3; 32], b"another").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    // The first is as it was.
    assert!(!a.send(&[1; 32], &[2; 10_000]).unwrap());
    while b.receive(&mut [0; 32], &mut [0; 10_000]).unwrap().is_some() {}
    a.wait_writable(Wait::at_most(LONG)).unwrap();
    assert!(a.send(&[1; 32], &[2; 10_000]).unwrap());
    assert!(a.send(&[3; 32], b"another").unwrap());
    assert_eq!(receive(&b, 100).1[32..], *b"another");
}

#[test]
fn an_end_that_is_dropped_in_the_middle_of_operations_leaves_nothing_behind() {
    for _ in 0..100 {
        let (a, b) = pair();
        // Both directions are busy: reads and writes are under way.
        while a.send(&[1; 32], &[2; 10_000]).unwrap() {}
        assert!(a.receive(&mut [0; 32], &mut []).unwrap().is_none());
        drop(a);
        assert!(b.peer_gone());
    }
}

#[test]
fn says_why_it_cannot_connect() {
    let missing = name();
    let error = Socket::connect(&missing, Wait::FOREVER).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let expected = format!("connect to {}: ", missing.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert_eq!(error.raw_os_error(), Some(2));

    let foreign = name();
    let wide_name = wide(foreign.to_str().unwrap());
    // SAFETY: the name ends with a NUL, and no attributes are given.
    let pipe = unsafe {
        let handle = CreateNamedPipeW(
            wide_name.as_ptr(),
            PIPE_ACCESS_DUPLEX,
            PIPE_TYPE_BYTE,
            1,
            0,
            0,
            0,
            std::ptr::null(),
        );
        assert_ne!(handle, INVALID_HANDLE_VALUE);
        <OwnedHandle as std::os::windows::io::FromRawHandle>::from_raw_handle(handle)
    };
    let error = Socket::connect(&foreign, Wait::FOREVER).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible, "{error}");
    drop(pipe);
}

#[test]
fn a_busy_server_is_tried_again_until_it_has_room() {
    let path = name();
    let listener = listening(&path, 1);
    let _first = Socket::connect(&path, Wait::FOREVER).unwrap();
    let begun = Instant::now();
    let error = Socket::connect(&path, short()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert!(begun.elapsed() >= SHORT);
    let abort = Abort::new();
    thread::scope(|scope| {
        let busy = scope.spawn(|| Socket::connect(&path, Wait::at_most(LONG).or(&abort)));
        abort.set();
        assert_eq!(busy.join().unwrap().unwrap_err().kind(), ErrorKind::Aborted);
        let busy = scope.spawn(|| Socket::connect(&path, Wait::at_most(LONG)));
        assert!(listener.accept().unwrap().is_some());
        busy.join().unwrap().expect("there is room now");
    });
}

#[test]
fn as_many_clients_as_the_backlog_says_wait_and_none_is_lost() {
    let path = name();
    let listener = listening(&path, 5);
    let clients: Vec<_> =
        (0..5).map(|_| Socket::connect(&path, Wait::at_most(LONG)).unwrap()).collect();
    assert_eq!(Socket::connect(&path, short()).unwrap_err().kind(), ErrorKind::Busy);
    let mut accepted = Vec::new();
    while let Some(server) = listener.accept().unwrap() {
        accepted.push(server);
    }
    assert_eq!(accepted.len(), 5);
    for client in &clients {
        assert!(client.send(b"hello", b"").unwrap());
    }
    for server in &accepted {
        server.wait_readable(Wait::at_most(LONG)).unwrap();
        assert_eq!(receive(server, 0).1, b"hello");
    }
    // All instances wait for clients again.
    let _more: Vec<_> =
        (0..5).map(|_| Socket::connect(&path, Wait::at_most(LONG)).unwrap()).collect();
}

#[test]
fn a_client_that_left_before_it_was_accepted_does_no_harm() {
    let path = name();
    let listener = listening(&path, 1);
    drop(Socket::connect(&path, Wait::FOREVER).unwrap());
    listener.wait_readable(Wait::at_most(LONG)).unwrap();
    let gone = listener.accept().unwrap().expect("what is left of it");
    assert_eq!(gone.receive(&mut [0; 32], &mut []).unwrap().unwrap().len, 0);
    let _next = Socket::connect(&path, Wait::at_most(LONG)).unwrap();
    assert!(listener.accept().unwrap().is_some());
}

#[test]
fn one_poller_watches_a_listener_and_its_clients() {
    let path = name();
    let poller = Poller::new().unwrap();
    let listener = listening(&path, 2);
    poller.add(&listener, 0, Interest::Readable).unwrap();
    assert_eq!(poller.wait(Some(Instant::now() + SHORT)).unwrap(), Readiness::TimedOut);
    let ready = |token| Readiness::Ready { token, hangup: false };
    let mut ends = Vec::new();
    for token in 1..=10 {
        let client = Socket::connect(&path, Wait::at_most(LONG)).unwrap();
        assert_eq!(poller.wait(None).unwrap(), ready(0));
        let server = listener.accept().unwrap().expect("a client is there");
        poller.rearm(&listener, 0, Interest::Readable).unwrap();
        poller.add(&server, token, Interest::Readable).unwrap();
        assert!(client.send(b"hello", b"").unwrap());
        assert_eq!(poller.wait(None).unwrap(), ready(token));
        ends.push((client, server));
    }
    poller.remove(&listener).unwrap();
    drop(listener);
    assert_eq!(Socket::connect(&path, short()).unwrap_err().kind(), ErrorKind::Busy);
    ends.clear();
    assert_eq!(Socket::connect(&path, short()).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_abort_is_set_by_an_event_that_it_watches() {
    let (_a, b) = pair();
    let event = Signal::new().unwrap();
    let abort = Abort::watching(event.as_handle().try_clone_to_owned().unwrap());
    let wait = Wait::at_most(SHORT).or(&abort);
    assert!(!abort.is_set());
    assert_eq!(b.wait_readable(wait).unwrap_err().kind(), ErrorKind::TimedOut);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| b.wait_readable(Wait::FOREVER.or(&abort)));
        event.raise();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Aborted);
    });
    abort.clear();
    assert!(abort.is_set(), "it is only looked at");
    event.lower();
    assert!(!abort.is_set());
}

#[test]
fn knows_who_the_peer_is() {
    let (client, server) = pair();
    for end in [client, server] {
        let peer = end.peer().unwrap();
        assert_eq!(peer.pid, std::process::id());
        assert!(peer.user.starts_with("S-1-"), "{peer:?}");
    }
}
