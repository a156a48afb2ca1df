//! Sessions over rings: many requests at a time, and one descriptor to wait on.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs::{Permissions, set_permissions},
    io::IoSlice,
    mem::MaybeUninit,
    os::{fd::AsFd, unix::fs::PermissionsExt},
    thread,
    time::Duration,
};

use common::{
    Dir, PATIENCE, carriers, client, increment_server, is_over, process, served, still_serves,
};
use netipc::{
    ErrorKind, ServerOptions, SessionOptions, Wait,
    kinds::Increment,
    proto::{Header, Service, Status},
    raw,
    transport::{Carrier, Listener, ListenerOptions, Session},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
        SocketType, sendmsg, socketpair,
    },
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

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
    comes(session, PollFlags::IN, patience)
}

fn comes(session: &Session, events: PollFlags, patience: Duration) -> bool {
    let mut fds = [PollFd::new(session, events)];
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
    for workers in [1, 4] {
        for (options, room) in [
            (SessionOptions::default(), PollFlags::OUT),
            (SessionOptions::shared_memory(), PollFlags::IN),
        ] {
            hold_back(&options, room, workers);
        }
    }
}

fn hold_back(options: &SessionOptions, room: PollFlags, workers: usize) {
    let dir = Dir::new();
    let _server = increment_server(&dir, ServerOptions { workers, ..served(options) });
    let mut session = Session::connect(&dir, "increment", options, wait()).unwrap();
    let mut sent = 0u64;
    // Until both rings are full, however long the server takes to fill its own.
    loop {
        assert!(sent < 100_000, "nothing holds it back");
        if session.try_send(&request(sent), &sent.to_ne_bytes()).unwrap() {
            sent += 1;
        } else if !comes(&session, room, Duration::from_millis(100)) {
            break;
        }
    }
    assert!(sent >= 10, "{sent}");
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
    // And it goes on as if nothing had been.
    for id in sent + 1..sent + 100 {
        session.send(&request(id), &id.to_ne_bytes(), wait()).unwrap();
        let header = session.receive(wait()).unwrap();
        assert_eq!(answer(&session, &header), id);
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
    let most = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: most.maximum, ..most }).unwrap();
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
    limit(Resource::Nofile, 256);
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
    limit(Resource::Nofile, 64);
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

fn limit(resource: Resource, current: u64) {
    setrlimit(resource, Rlimit { current: Some(current), ..getrlimit(resource) }).unwrap();
}

/// The kernel ends who makes a file longer than that, unless it handles the signal.
#[test]
fn a_limit_on_files_costs_a_server_its_rings_and_a_client_nothing() {
    const TEST: &str = "a_limit_on_files_costs_a_server_its_rings_and_a_client_nothing";
    let carrier = |dir: &std::path::Path| {
        let mut client = client::<Increment>(dir, "increment", &SessionOptions::shared_memory());
        assert_eq!(client.call(1).unwrap(), 2);
        client.session().unwrap().carrier()
    };
    match process::part() {
        Some((part, dir)) if part == "client" => {
            limit(Resource::Fsize, 0);
            assert_eq!(carrier(&dir), Carrier::Rings);
        }
        Some(_) => {
            process::tell("ALONE");
            let dir = Dir::new();
            let _server = increment_server(&dir, served(&SessionOptions::shared_memory()));
            process::Child::start(TEST, "client", &dir).pass();
            limit(Resource::Fsize, 4096);
            assert_eq!(carrier(&dir), Carrier::Socket);
        }
        None => assert!(!process::alone(TEST)),
    }
}

/// So many descriptors may be on their way from a user to whoever does not take them.
#[test]
fn where_no_more_descriptors_may_be_under_way_something_else_carries_the_messages() {
    if !process::alone(
        "where_no_more_descriptors_may_be_under_way_something_else_carries_the_messages",
    ) {
        return;
    }
    let dir = Dir::new();
    set_permissions(&dir, Permissions::from_mode(0o777)).unwrap();
    limit(Resource::Nofile, 64);
    process::as_nobody(|| {
        let (from, _to) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let send = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
            let mut along = SendAncillaryBuffer::new(&mut space);
            let fds = [from.as_fd(); 32];
            assert!(along.push(SendAncillaryMessage::ScmRights(&fds)));
            sendmsg(&from, &[IoSlice::new(&[0])], &mut along, SendFlags::empty())
        };
        while send().map_err(|errno| assert_eq!(errno, Errno::TOOMANYREFS)).is_ok() {}
        let _server = increment_server(&dir, served(&SessionOptions::shared_memory()));
        let mut client = client::<Increment>(&dir, "increment", &SessionOptions::shared_memory());
        assert!(is_over(&client, "shared memory"));
        assert_eq!(client.call(1).unwrap(), 2);

        // The same for servers of the lower level, as the C interface has them.
        let options = SessionOptions::shared_memory();
        let listener = raw::Listener::listen(&dir, "raw", 1).unwrap();
        let (served, joined) = thread::scope(|scope| {
            let client = scope.spawn(|| raw::Link::connect(&dir, "raw", &options, wait()).unwrap());
            let socket = listener.accept(wait()).unwrap();
            (raw::Link::agree(socket, &options, 1, wait()).unwrap(), client.join().unwrap())
        });
        assert!(!served.0.has_rings() && !joined.0.has_rings());
        assert_eq!(served.1, joined.1);
    });
}

#[test]
fn no_descriptor_of_a_session_is_inherited() {
    if !process::alone("no_descriptor_of_a_session_is_inherited") {
        return;
    }
    let inherited = || {
        let fds = std::fs::read_dir("/proc/self/fdinfo").unwrap().map(|fd| fd.unwrap().path());
        // Gone already: the one that reads the directory.
        let infos = fds.filter_map(|fd| std::fs::read_to_string(fd).ok());
        const CLOEXEC: u32 = 0o2_000_000;
        let flags = |info: &String| {
            let (_, flags) = info.split_once("flags:\t").unwrap();
            u32::from_str_radix(flags.lines().next().unwrap(), 8).unwrap()
        };
        infos.filter(|info| flags(info) & CLOEXEC == 0).count()
    };
    let before = inherited();
    let dir = Dir::new();
    let _server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let _session = connect(&dir);
    assert_eq!(inherited(), before);
}
