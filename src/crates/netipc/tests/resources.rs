//! What servers and clients take of the system: descriptors, permissions, threads, time.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod common;

use std::{os::unix::fs::MetadataExt, time::Duration};

use common::{
    Dir, Running, carriers, client, increment_server,
    peer::{Peer, hello},
    process, served,
};
use netipc::{
    ErrorKind, ServerOptions, SessionOptions,
    kinds::{CgroupsSnapshot, Increment},
};

const SOON: Duration = Duration::from_secs(10);

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
    let session = SessionOptions::published_shared_memory();
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
    if process::alone("sessions_over_sockets_take_no_threads_and_idle_ones_no_time") {
        take_no_threads_and_no_time(&SessionOptions::default());
    }
}

#[test]
fn sessions_over_rings_take_no_threads_and_idle_ones_no_time() {
    if process::alone("sessions_over_rings_take_no_threads_and_idle_ones_no_time") {
        take_no_threads_and_no_time(&SessionOptions::shared_memory());
    }
}

fn take_no_threads_and_no_time(session: &SessionOptions) {
    let dir = Dir::new();
    let own = process::thread_id();
    let before = process::threads();
    let options = ServerOptions { workers: 2, ..served(session) };
    let _server = increment_server(&dir, options);
    let mut active = client::<Increment>(&dir, "increment", session);
    active.call(1).unwrap();
    let idle: Vec<_> = (0..50).map(|_| client::<Increment>(&dir, "increment", session)).collect();
    let threads: Vec<_> =
        process::threads().into_iter().filter(|thread| !before.contains(thread)).collect();
    // The workers, and the one that runs the server.
    assert_eq!(threads.len(), 3);

    // All are asleep, and half a second of another process is time enough to wake up in.
    for &thread in &threads {
        process::await_sleep(thread);
    }
    let slept = process::sleeps(&threads);
    rest();
    assert_eq!(process::sleeps(&threads), slept, "an idle server woke up");
    assert_eq!(active.call(1).unwrap(), 2);
    // A sleep counts from its beginning, and who answered may not have lain down again yet.
    for &thread in &threads {
        process::await_sleep(thread);
    }
    assert_ne!(process::sleeps(&threads), slept, "an active one does");
    assert_eq!(idle.len(), 50);
    assert!(!threads.contains(&own));
}

#[test]
fn after_a_burst_of_calls_nothing_wakes_up_any_more() {
    if !process::alone("after_a_burst_of_calls_nothing_wakes_up_any_more") {
        return;
    }
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let before = process::threads();
        let _server = increment_server(&dir, served(&session));
        let mut caller = client::<Increment>(&dir, "increment", &session);
        // Enough for both sides to find out whether looking again pays.
        for number in 0..20_000 {
            assert_eq!(caller.call(number).unwrap(), number + 1);
        }
        let threads: Vec<_> =
            process::threads().into_iter().filter(|thread| !before.contains(thread)).collect();
        for &thread in &threads {
            process::await_sleep(thread);
        }
        // Who looks for a while before a sleep is asleep for good after the rest.
        rest();
        let slept = process::sleeps(&threads);
        let used = process::cpu_time(&threads);
        rest();
        assert_eq!(process::sleeps(&threads), slept, "over {carrier}");
        assert_eq!(process::cpu_time(&threads), used, "over {carrier}");
    }
}

#[test]
fn a_client_that_leaves_while_its_request_is_handled_costs_no_time() {
    if !process::alone("a_client_that_leaves_while_its_request_is_handled_costs_no_time") {
        return;
    }
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let (handler, entries, release) = common::held(|_| true, || ());
        let before = process::threads();
        let options = ServerOptions { workers: 2, ..served(&session) };
        let server = Running::<Increment>::start(&dir, "increment", options, handler);
        // Dropped before the server, should this fail.
        let release = release;
        let mut leaver = client::<Increment>(&dir, "increment", &session);
        let answer = leaver.call_within(1, Duration::from_millis(20));
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::TimedOut, "over {carrier}");
        drop(leaver);
        entries.recv().unwrap();
        let threads: Vec<_> =
            process::threads().into_iter().filter(|thread| !before.contains(thread)).collect();
        for &thread in &threads {
            process::await_sleep(thread);
        }
        let used = process::cpu_time(&threads);
        rest();
        assert_eq!(process::cpu_time(&threads), used, "over {carrier}");
        release.send(()).unwrap();
        server.stop();
    }
}

/// Half a second of another process.
fn rest() {
    assert!(std::process::Command::new("sleep").arg("0.5").status().unwrap().success());
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
    waiting.ask(1, 1);
    assert_eq!(waiting.answered(1), 2);
    drop(late);

    let mut fillers = Vec::new();
    while let Ok(file) = std::fs::File::open("/dev/null") {
        fillers.push(file);
    }
    fillers.pop();
    let _unheard = Peer::connect(&dir, "increment");
    assert!(server.server.drain(SOON));
}
