//! Peers that have the memory of a session over rings and do with it what they like: what they can
//! spoil is their own session.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;
mod doors;

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use common::{
    Dir, await_that, client, increment_server, is_over,
    peer::{Fake, RawListener, grant},
    process,
    random::Random,
    ring::{self, HEADER, Intruder, SEALED},
    served,
};
use netipc::{
    Client, ErrorKind, ServerOptions, SessionOptions,
    kinds::Increment,
    proto::{Header, Service, Status, handshake::profile},
};
use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, memfd_create},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

fn request(id: u64) -> Header {
    Header::request(Increment::METHOD, id, 8)
}

fn bell() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
}

fn rings(dir: &Dir) -> Client<Increment> {
    client(dir, "increment", &SessionOptions::shared_memory())
}

/// Serves a client that comes without an offer of rings.
fn serve_over_socket(listener: &RawListener) {
    let peer = listener.accept();
    let hello = peer.hello();
    assert_eq!(hello.supported_profiles & profile::RING, 0);
    peer.send(&grant(&hello).packet());
    peer.answer(Status::Ok, &2u64.to_ne_bytes()).unwrap();
    peer.await_hangup();
}

/// Why a client that was given these goes on over the socket.
fn fallback(handed: Vec<OwnedFd>) -> netipc::Error {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "increment", move |listener| {
        let handed: Vec<_> = handed.iter().map(AsFd::as_fd).collect();
        ring::give(&listener, &handed).0.await_hangup();
        serve_over_socket(&listener);
    });
    let mut client = rings(&dir);
    assert!(is_over(&client, "socket"));
    assert_eq!(client.call(1).unwrap(), 2);
    let cause = client.session().unwrap().fallback().unwrap().clone();
    drop(client);
    fake.finish();
    cause
}

#[test]
fn a_client_that_is_given_nothing_useful_goes_on_without_rings() {
    let memory = || ring::memory(HEADER, SEALED);
    let unsealed = || ring::memory(HEADER, SealFlags::GROW);
    for (handed, why) in [
        (vec![], "did not come along"),
        (vec![memory(), bell()], "not all that belongs to it"),
        (vec![memory(), bell(), bell(), bell()], "not all that belongs to it"),
        (vec![File::open("/proc/self/status").unwrap().into()], "not sealed"),
        (vec![bell(), bell(), memory()], "not sealed"),
        (vec![unsealed(), bell(), bell()], "not sealed"),
    ] {
        let cause = fallback(handed);
        assert_eq!(cause.kind(), ErrorKind::Protocol, "{cause}");
        assert!(cause.to_string().contains(why), "{cause}");
    }
    // A bell that nobody can wait for.
    let cause = fallback(vec![memory(), bell(), File::open("/proc/self/status").unwrap().into()]);
    assert_eq!(cause.kind(), ErrorKind::PermissionDenied, "{cause}");
}

#[test]
fn memory_that_could_fail_or_cannot_be_written_is_not_used() {
    let made = |flags| memfd_create(c"hand-made", flags | MemfdFlags::ALLOW_SEALING);
    for seal in [SealFlags::WRITE, SealFlags::FUTURE_WRITE] {
        let cause = fallback(vec![ring::memory(HEADER, SEALED | seal)]);
        assert_eq!(cause.kind(), ErrorKind::PermissionDenied, "{cause}");
    }
    // Sealed, but of huge pages, of which there may be none when one is touched.
    if let Ok(huge) = made(MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB) {
        fcntl_add_seals(&huge, SEALED).unwrap();
        let cause = fallback(vec![huge]);
        assert!(cause.to_string().contains("no anonymous memory"), "{cause}");
    } else {
        eprintln!("skipped, this system has none: huge pages");
    }
    // In memory as well, but with a name, and so without seals.
    let shared = std::path::Path::new("/dev/shm");
    let file = tempfile::tempfile_in(if shared.is_dir() { shared } else { "/tmp".as_ref() });
    let file = file.unwrap();
    ring::fill(&file, HEADER);
    let cause = fallback(vec![file.into()]);
    assert!(cause.to_string().contains("not sealed"), "{cause}");
    // Of another size than it says.
    let [slots, bulk, ..] = HEADER;
    for header in [[slots, 2 * bulk, slots, bulk], [0, bulk, slots, bulk], [slots, bulk, slots, 0]]
    {
        let fd = made(MemfdFlags::CLOEXEC).unwrap();
        ring::fill(&fd, header);
        rustix::fs::ftruncate(&fd, ring::size(HEADER)).unwrap();
        fcntl_add_seals(&fd, SEALED).unwrap();
        let cause = fallback(vec![fd]);
        assert_eq!(cause.kind(), ErrorKind::Protocol, "{cause}");
    }
}

/// Some of what came along would mean something else: memory without bells is one that is knocked for.
#[test]
fn a_client_without_room_for_all_descriptors_takes_none_of_them() {
    if !process::alone("a_client_without_room_for_all_descriptors_takes_none_of_them") {
        return;
    }
    let limit = Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let dir = Dir::new();
    for room in 0..3 {
        let before = descriptors();
        let fake = Fake::start(&dir, "increment", move |listener| {
            let (memory, bells) = (ring::memory(HEADER, SEALED), [bell(), bell()]);
            let peer = listener.accept();
            let hello = peer.hello();
            let mut fillers = Vec::new();
            while let Ok(file) = File::open("/dev/null") {
                fillers.push(file);
            }
            fillers.truncate(fillers.len() - room);
            let handed = [memory.as_fd(), bells[0].as_fd(), bells[1].as_fd()];
            peer.send_with(&ring::granted(&hello).packet(), &handed);
            peer.await_hangup();
            drop(fillers);
            serve_over_socket(&listener);
        });
        let mut client = rings(&dir);
        assert!(is_over(&client, "socket"), "with room for {room} of three");
        assert_eq!(client.call(1).unwrap(), 2);
        let cause = client.session().unwrap().fallback().unwrap();
        assert_eq!(cause.kind(), ErrorKind::Protocol, "{cause}");
        drop(client);
        fake.finish();
        assert_eq!(descriptors(), before, "with room for {room} of three");
    }
}

#[test]
fn an_intruder_can_write_what_it_likes_and_loses_only_its_session() {
    let dir = Dir::new();
    let server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let mut honest = rings(&dir);

    // By the rules: a request by hand is answered.
    let intruder = Intruder::connect(&dir);
    intruder.ask(0, 41);
    intruder.wake_server();
    await_that("an answer", || intruder.answer(0) == Some(42));
    drop(intruder);
    // And not by the rules: of no bytes, too long, no envelope, not what its envelope says.
    let broken: [&dyn Fn(&Intruder); 10] = [
        &|intruder| intruder.announce(ring::REQUESTS, 0, 0),
        &|intruder| intruder.announce(ring::REQUESTS, 0, u32::MAX),
        &|intruder| intruder.announce(ring::REQUESTS, 0, 31),
        &|intruder| intruder.announce(ring::REQUESTS, 0, 40),
        &|intruder| {
            intruder.write(ring::REQUESTS + 8, &request(1).to_bytes());
            intruder.announce(ring::REQUESTS, 0, 41);
        },
        // No envelope at all, and no batch.
        &|intruder| {
            intruder.write(ring::REQUESTS + 8, &[0xFF; 40]);
            intruder.announce(ring::REQUESTS, 0, 40);
        },
        &|intruder| {
            let header = Header { flags: Header::BATCH, item_count: 1, ..request(1) };
            intruder.write(ring::REQUESTS + 8, &header.to_bytes());
            intruder.write_word(ring::REQUESTS + 40, u64::MAX);
            intruder.announce(ring::REQUESTS, 0, 40);
        },
        // In more records than it needs, of which a worker would have to take one by one.
        &|intruder| {
            intruder.begin(100);
            intruder.announce(ring::REQUESTS, 0, 56);
        },
        &|intruder| {
            intruder.begin(20_000);
            intruder.announce(ring::REQUESTS, 0, ring::LONGEST);
            intruder.announce(ring::REQUESTS, 1, 1);
        },
        // More than is left of it.
        &|intruder| {
            intruder.begin(20_000 - 32);
            intruder.announce(ring::REQUESTS, 0, ring::LONGEST);
            intruder.announce(ring::REQUESTS, 1, ring::LONGEST);
            intruder.announce(ring::REQUESTS, 2, 20_000 - 2 * ring::LONGEST + 1);
        },
    ];
    for (number, breaks) in broken.iter().enumerate() {
        let intruder = Intruder::connect(&dir);
        breaks(&intruder);
        intruder.wake_server();
        intruder.peer.await_hangup();
        assert_eq!(honest.call(1).unwrap(), 2, "after {number}");
    }
    assert_eq!(honest.status().reconnect_count, 0);
    drop(honest);
    await_that("the end of all sessions", || server.server.sessions() == 0);
}

#[test]
fn who_claims_to_have_taken_what_cannot_be_is_hung_up_on() {
    let dir = Dir::new();
    let _server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    // Never sent; and less than before. The claim is looked at once there is no room by the last one.
    for (claims, seen) in [([u64::MAX, 0], 1), ([ring::SLOTS, ring::SLOTS - 1], 2)] {
        let intruder = Intruder::connect(&dir);
        let answered = (0..).find(|&number| {
            if number % ring::SLOTS == 0 && number > 0 {
                let claim = claims[(number / ring::SLOTS) as usize - 1];
                intruder.write_word(ring::RESPONSES_TAKEN, claim);
            }
            intruder.ask(number, number);
            intruder.wake_server();
            let is_over = || intruder.peer.is_readable();
            await_that("an answer or the end", || intruder.answer(number).is_some() || is_over());
            is_over()
        });
        assert_eq!(answered, Some(seen * ring::SLOTS), "{claims:?}");
    }
    common::still_serves(&dir);
}

#[test]
fn a_request_over_the_limit_is_refused_before_the_rest_of_it_comes() {
    let dir = Dir::new();
    let _server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let intruder = Intruder::connect(&dir);
    let too_long = intruder.agreement.agreed_max_request_payload_bytes + 1;
    let header = Header { payload_len: too_long, ..request(1) };
    intruder.write(ring::REQUESTS + 8, &header.to_bytes());
    intruder.announce(ring::REQUESTS, 0, 56);
    intruder.wake_server();
    intruder.peer.await_hangup();
    let response = Header::read(&intruder.record(ring::RESPONSES)).unwrap();
    assert_eq!(response.transport_status, Status::LimitExceeded.code());
}

#[test]
fn holes_in_the_memory_of_a_session_cost_that_session_alone() {
    const TEST: &str = "holes_in_the_memory_of_a_session_cost_that_session_alone";
    let mut random = Random::new(TEST);
    let dir = Dir::new();
    let server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let mut honest = rings(&dir);
    let punch = |intruder: &Intruder, from: u64, to: u64| {
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&intruder.memory, hole, from, to - from).unwrap();
    };
    let size = ring::size(HEADER);
    // Where nothing is yet, nothing is lost.
    let intruder = Intruder::connect(&dir);
    punch(&intruder, 0, size);
    intruder.ask(0, 41);
    intruder.wake_server();
    await_that("an answer", || intruder.answer(0) == Some(42));
    drop(intruder);
    for _ in 0..200 {
        let intruder = Intruder::connect(&dir);
        for number in 0..random.below(200) {
            let from = random.below(size);
            punch(&intruder, from, from + 1 + random.below(size - from));
            intruder.ask(number, number);
            intruder.wake_server();
        }
        assert_eq!(honest.call(1).unwrap(), 2);
    }
    assert_eq!(honest.status().reconnect_count, 0);
    await_that("the end of all others", || server.server.sessions() == 1);
}

/// Whatever a peer does, of which the fuzz target tries more.
#[test]
fn nothing_that_a_peer_does_leads_a_session_astray() {
    const TEST: &str = "nothing_that_a_peer_does_leads_a_session_astray";
    if !process::alone(TEST) {
        return;
    }
    let hall = doors::Hall::new();
    let held = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let (before, mut random) = (held(), Random::new(TEST));
    for _ in 0..1000 {
        let bytes: Vec<u8> = (0..random.below(300)).map(|_| random.next() as u8).collect();
        hall.rings(&bytes);
        assert_eq!(held(), before);
    }
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains("netipc-ring") && !maps.contains("hand-made"));
}

#[test]
fn one_that_rings_without_a_pause_takes_no_worker_from_others() {
    let dir = Dir::new();
    let server = increment_server(&dir, served(&SessionOptions::shared_memory()));
    let intruder = Intruder::connect(&dir);
    let mut honest = rings(&dir);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                intruder.wake_server();
            }
        });
        for number in 0..1000 {
            assert_eq!(honest.call(number).unwrap(), number + 1);
        }
        done.store(true, Relaxed);
    });
    drop((intruder, honest));
    await_that("the end of all sessions", || server.server.sessions() == 0);
}

/// What a server watches of a session goes with it, though the peer keeps the bell.
#[test]
fn a_bell_that_is_rung_after_the_end_of_its_session_wakes_nobody() {
    if !process::alone("a_bell_that_is_rung_after_the_end_of_its_session_wakes_nobody") {
        return;
    }
    for workers in [1, 2] {
        let dir = Dir::new();
        let before = process::threads();
        let options = ServerOptions { workers, ..served(&SessionOptions::shared_memory()) };
        let server = increment_server(&dir, options);
        let Intruder { peer, bells, .. } = Intruder::connect(&dir);
        drop(peer);
        await_that("the end of the session", || server.server.sessions() == 0);
        let threads: Vec<_> =
            process::threads().into_iter().filter(|thread| !before.contains(thread)).collect();
        let await_sleep = || threads.iter().for_each(|&thread| process::await_sleep(thread));
        await_sleep();
        let slept = process::sleeps(&threads);
        for _ in 0..1000 {
            rustix::io::write(&bells[0], &1u64.to_ne_bytes()).unwrap();
        }
        await_sleep();
        assert_eq!(process::sleeps(&threads), slept);
    }
}
