//! Either side of a session over rings is killed at any point of heavy traffic: the other one notices
//! at once, has received nothing but what was sent, and keeps nothing of the dead.
//!
//! `NETIPC_KILLS` says how many of each side are killed, and `NETIPC_SEED` after how many answers.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use common::{
    Dir, PATIENCE, await_that, increment_server,
    process::{self, Child, await_parent, part, tell},
    random::Random,
    ring::Intruder,
    served, timed,
};
use netipc::{
    ErrorKind, Respond, Server, ServerOptions, SessionOptions, Wait,
    kinds::Increment,
    proto::{Header, Kind, Response, Status},
    transport::{Carrier, Session},
};

/// Far more than it takes to notice, and far less than what a call would wait.
const AT_ONCE: Duration = Duration::from_secs(10);

const CODE: u16 = 1000;
const DEPTH: usize = 64;

/// Longer than the ring: these pass in parts while both sides work.
const LONGEST: usize = 60_000;

fn options() -> SessionOptions {
    SessionOptions {
        max_request_payload_bytes: LONGEST as u32,
        max_response_payload_bytes: LONGEST as u32,
        ..SessionOptions::shared_memory()
    }
}

fn kills() -> u32 {
    std::env::var("NETIPC_KILLS").ok().map_or(25, |kills| kills.parse().unwrap())
}

/// The payload of a message: mostly short, now and then in parts.
fn payload(id: u64) -> Vec<u8> {
    let len = match id % 16 {
        15 => id as usize * 7919 % LONGEST,
        _ => id as usize * 31 % 300,
    };
    (0..len).map(|at| (id as usize * 13 + at * 7) as u8).collect()
}

/// Answers each request with what it asked, and counts.
struct Echo(Arc<AtomicU64>);

impl Respond for Echo {
    fn respond(&self, request: &Header, payload: &[u8], out: &mut [u8]) -> Response {
        self.0.fetch_add(1, Relaxed);
        out[..payload.len()].copy_from_slice(payload);
        let mut response = Response::without_payload(request, Status::Ok);
        response.header.payload_len = request.payload_len;
        response
    }
}

fn echo(dir: &Path, count: &Arc<AtomicU64>) -> Server<Increment> {
    let options = ServerOptions { workers: 2, mode: 0o666, ..served(&options()) };
    Server::bind_responder(dir, "echo", options, Echo(Arc::clone(count))).unwrap()
}

/// With bells; or, as a stranger, without, if this process can be one.
fn connect(dir: &Path, knocks: bool) -> Session {
    let connect = || Session::connect(dir, "echo", &options(), Wait::at_most(PATIENCE)).unwrap();
    let stranger = if knocks { process::as_nobody(connect) } else { None };
    let session = stranger.unwrap_or_else(connect);
    assert_eq!(session.carrier(), Carrier::Rings);
    session
}

/// Keeps requests in flight until there is an error, which it returns. Each answer must be right.
fn pipeline(session: &mut Session, mut answered: impl FnMut(u64)) -> ErrorKind {
    let wait = Wait::at_most(PATIENCE);
    let mut next = 0;
    let mut unsent: Option<(Header, Vec<u8>)> = None;
    loop {
        // As much as there is room for, then what has come: neither side may wait for the other.
        while unsent.is_some() || session.in_flight() < DEPTH {
            let (header, sent) = unsent.take().unwrap_or_else(|| {
                let sent = payload(next);
                (Header::request(CODE, next, sent.len() as u32), sent)
            });
            match session.try_send(&header, &sent) {
                Ok(true) => next += 1,
                Ok(false) => {
                    unsent = Some((header, sent));
                    break;
                }
                Err(error) => return error.kind(),
            }
        }
        let received = match session.try_receive() {
            Ok(None) if unsent.is_some() => continue,
            Ok(None) => session.receive(wait).map(Some),
            received => received,
        };
        let header = match received {
            Ok(Some(header)) => header,
            Ok(None) => continue,
            Err(error) => return error.kind(),
        };
        let id = header.message_id;
        let wanted = payload(id);
        let request = Header::request(CODE, id, wanted.len() as u32);
        assert_eq!(header, Header { kind: Kind::Response, ..request });
        assert!(session.payload() == wanted, "answer {id} is not what was asked");
        answered(id);
    }
}

/// What a process has: descriptors, threads, and rings in its memory.
fn held() -> (usize, usize, usize) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    (
        fs::read_dir("/proc/self/fd").unwrap().count(),
        process::threads().len(),
        maps.lines().filter(|line| line.contains("netipc-ring")).count(),
    )
}

#[test]
fn a_client_killed_at_any_point_leaves_nothing_and_hurts_nobody() {
    const TEST: &str = "a_client_killed_at_any_point_leaves_nothing_and_hurts_nobody";
    if let Some((part, dir)) = part()
        && part == "client"
    {
        for knocks in [false, true] {
            let mut session = connect(&dir, knocks);
            std::thread::spawn(move || pipeline(&mut session, |_| ()));
        }
        tell("BUSY");
        await_parent();
    }
    if !process::alone(TEST) {
        return;
    }
    let mut random = Random::new(TEST);
    let (dir, count) = (Dir::new(), Arc::new(AtomicU64::new(0)));
    let server = echo(&dir, &count);
    let running = std::thread::spawn({
        let server = server.clone();
        move || server.run()
    });
    // One that lives through all of it.
    let mut honest = connect(&dir, false);
    let mut ids = 0;
    let mut call = |honest: &mut Session| {
        let sent = payload(ids);
        let header = Header::request(CODE, ids, sent.len() as u32);
        honest.send(&header, &sent, Wait::at_most(PATIENCE)).unwrap();
        assert_eq!(honest.receive(Wait::at_most(PATIENCE)).unwrap().message_id, ids);
        assert!(honest.payload() == sent);
        ids += 1;
    };
    call(&mut honest);
    let before = held();
    for number in 0..kills() {
        let mut child = Child::start(TEST, "client", &dir);
        child.await_told("BUSY");
        let answered = count.load(Relaxed) + random.below(500);
        await_that("traffic", || count.load(Relaxed) >= answered);
        child.kill();
        call(&mut honest);
        let noticed = || server.sessions() == 1;
        let ((), took) = timed(|| await_that("the end of both sessions", noticed));
        assert!(took < AT_ONCE, "kill {number} was noticed after {took:?}");
    }
    await_that("the end of what they held", || held() == before);
    drop(honest);
    server.stop();
    running.join().unwrap();
}

#[test]
fn a_server_killed_at_any_point_is_missed_at_once_and_leaves_nothing() {
    const TEST: &str = "a_server_killed_at_any_point_is_missed_at_once_and_leaves_nothing";
    if let Some((part, dir)) = part()
        && part == "server"
    {
        let server = echo(&dir, &Arc::default());
        std::thread::spawn(move || server.run());
        tell("READY");
        await_parent();
    }
    if !process::alone(TEST) {
        return;
    }
    let mut random = Random::new(TEST);
    let dir = Dir::new();
    let before = held();
    for number in 0..kills() {
        let mut child = Child::start(TEST, "server", &dir);
        child.await_told("READY");
        let mut session = connect(&dir, number % 2 == 1);
        let (fatal, mut killed) = (random.below(500), None);
        // The server works on while this kills it: anything may be half done.
        let (mut answered, mut child) = (0, Some(child));
        let end = pipeline(&mut session, |_| {
            answered += 1;
            if answered > fatal
                && let Some(mut child) = child.take()
            {
                killed = Some(std::thread::spawn(move || {
                    child.kill();
                    Instant::now()
                }));
            }
        });
        assert_eq!(end, ErrorKind::Disconnected, "kill {number}");
        let took = killed.expect("it was killed").join().unwrap().elapsed();
        assert!(took < AT_ONCE, "kill {number} was noticed after {took:?}");
        drop(session);
        assert_eq!(held(), before, "after kill {number}");
    }
}

/// Two workers are told of two things at once, of which one is the end.
#[test]
fn a_client_that_leaves_right_after_it_asked_leaves_no_session() {
    let mut random = Random::new("a_client_that_leaves_right_after_it_asked_leaves_no_session");
    let dir = Dir::new();
    let options = ServerOptions { workers: 4, ..served(&SessionOptions::shared_memory()) };
    let server = increment_server(&dir, options);
    for _ in 0..kills() * 80 {
        let client = Intruder::connect(&dir);
        client.ask(0, 1);
        client.wake_server();
        await_that("an answer", || client.answer(0).is_some());
        // Until the worker that gave it is about to leave.
        (0..random.below(3000)).for_each(|_| std::hint::spin_loop());
        client.ask(1, 1);
        client.wake_server();
    }
    await_that("the end of all sessions", || server.server.sessions() == 0);
}
