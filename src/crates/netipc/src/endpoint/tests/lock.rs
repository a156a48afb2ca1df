//! Several that start and stop at once.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::Barrier,
    thread,
    time::Duration,
};

use super::{
    super::lock::EndpointLock, dead_socket, entries, is_alive, listen, mode, refusal, sock,
};
use crate::{
    ErrorKind,
    testing::{as_nobody, is_root, scratch},
};

#[test]
fn of_many_that_start_at_once_exactly_one_gets_the_name() {
    const STARTERS: usize = 3;
    let dir = scratch();
    for round in 0..100 {
        // Each round begins with something else at the name.
        match round % 3 {
            0 => dead_socket(&sock(dir.path())),
            1 => drop(fs::File::create(sock(dir.path())).unwrap()),
            _ => {}
        }
        let start = Barrier::new(STARTERS);
        let starter = || {
            start.wait();
            listen(dir.path())
        };
        let outcomes: Vec<_> = thread::scope(|scope| {
            let starters: Vec<_> = (0..STARTERS).map(|_| scope.spawn(starter)).collect();
            starters.into_iter().map(|starter| starter.join().unwrap()).collect()
        });
        let (up, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!(up.len(), 1, "round {round}");
        is_alive(up[0].as_ref().unwrap());
        for error in refused {
            assert_eq!(error.unwrap_err().kind(), ErrorKind::AddressInUse);
        }
        drop(up);
        assert!(entries(dir.path()).is_empty(), "round {round}");
    }
}

#[test]
fn a_server_that_starts_while_another_stops_keeps_the_name_or_is_refused() {
    let dir = scratch();
    for _ in 0..100 {
        let old = listen(dir.path()).unwrap();
        let start = Barrier::new(2);
        let new = thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                drop(old);
            });
            start.wait();
            listen(dir.path())
        });
        match new {
            Ok(new) => is_alive(&new),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}"),
        }
        assert!(entries(dir.path()).is_empty());
    }
}

#[test]
fn does_not_remove_its_successor() {
    let dir = scratch();
    let first = listen(dir.path()).unwrap();
    fs::remove_file(first.path()).unwrap();
    let second = listen(dir.path()).unwrap();
    drop(first);
    is_alive(&second);
    assert_eq!(entries(dir.path()), ["x.sock"]);
}

#[test]
fn a_lock_left_by_a_killed_server_does_not_count() {
    let dir = scratch();
    fs::write(dir.path().join(".x.lock"), "").unwrap();
    let endpoint = listen(dir.path()).unwrap();
    assert_eq!(entries(dir.path()), ["x.sock"]);
    is_alive(&endpoint);
}

#[test]
fn what_is_no_lock_does_not_count() {
    type Leave = fn(&Path);
    let left: [Leave; 3] = [
        |lock| symlink("/nowhere", lock).unwrap(),
        |lock| fs::create_dir(lock).unwrap(),
        dead_socket,
    ];
    for leave in left {
        let dir = scratch();
        let lock = dir.path().join(".x.lock");
        leave(&lock);
        drop(EndpointLock::acquire(&lock, Duration::from_secs(60)).unwrap());
        assert!(entries(dir.path()).is_empty());
    }
}

#[test]
fn a_lock_is_for_one_at_a_time() {
    let dir = scratch();
    let lock = dir.path().join(".x.lock");
    let held = EndpointLock::acquire(&lock, Duration::ZERO).unwrap();
    assert_eq!(mode(&lock), 0o600);
    let error = EndpointLock::acquire(&lock, Duration::from_millis(10)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    drop(held);
    EndpointLock::acquire(&lock, Duration::ZERO).unwrap();
}

#[test]
fn a_lock_of_another_user_counts_for_a_while() {
    if !is_root("the lock of another user") {
        return;
    }
    let dir = scratch();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let lock = dir.path().join(".x.lock");
    let held = EndpointLock::acquire(&lock, Duration::ZERO).unwrap();
    as_nobody(|| {
        // Gone before the patience is: it was held, and is free now.
        thread::scope(|scope| {
            let waiting = scope.spawn(|| EndpointLock::acquire(&lock, Duration::from_secs(60)));
            drop(held);
            drop(waiting.join().unwrap().unwrap());
        });
    });
    fs::write(&lock, "").unwrap();
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o600)).unwrap();
    as_nobody(|| drop(EndpointLock::acquire(&lock, Duration::from_millis(20)).unwrap()));
    assert!(entries(dir.path()).is_empty());
}

#[test]
fn says_that_others_are_starting() {
    let dir = scratch();
    let _held = EndpointLock::acquire(&dir.path().join(".x.lock"), Duration::ZERO).unwrap();
    let error = refusal(dir.path());
    assert!(error.to_string().contains("another server is starting or stopping"), "{error}");
}
