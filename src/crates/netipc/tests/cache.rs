//! The snapshot cache: what it keeps, for whom, and when it waits.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use common::{
    Dir, Running, carriers,
    peer::{Fake, RawListener},
    served, snapshot_of, timed,
};
use netipc::{
    Cache, CgroupsTable, ClientOptions, ClientState, Declined, ErrorKind, ServerOptions,
    SessionOptions, Text,
    kinds::{
        CgroupsSnapshot,
        cgroups_snapshot::{Builder, Cgroup, SnapshotRequest},
    },
    proto::Status,
    service::cgroups::{CgroupsCache, ClientConfig},
};

const SOON: Duration = Duration::from_secs(10);

fn cache(dir: &Dir, session: &SessionOptions) -> Cache<CgroupsSnapshot> {
    let options = ClientOptions { session: session.clone(), ..ClientOptions::default() };
    Cache::new(&**dir, "snapshot", options)
}

fn snapshots(dir: &Dir, count: u32) -> Running<CgroupsSnapshot> {
    Running::start(dir, "snapshot", ServerOptions::default(), snapshot_of(count))
}

#[test]
fn keeps_what_it_fetched_whatever_becomes_of_the_provider() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let cache = cache(&dir, &session);
        assert_eq!(cache.refresh().unwrap_err().kind(), ErrorKind::NotFound);
        assert!(!cache.ready() && cache.table().is_none());
        assert_eq!(cache.status().refresh_failure_count, 1);
        assert_eq!(cache.status().connection_state, ClientState::NotFound);
        assert_eq!(cache.status().last_refresh, None);

        let server = Running::start(&dir, "snapshot", served(&session), snapshot_of(1000));
        cache.refresh().unwrap();
        server.stop();
        let error = cache.refresh().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Disconnected, "over {carrier}");
        let status = cache.status();
        assert!(status.populated && status.last_refresh.is_some());
        assert_eq!((status.refresh_success_count, status.refresh_failure_count), (1, 2));
        assert!(status.last_error.is_some());

        // Read without a server, each by both of its keys and none by one.
        let table = cache.table().unwrap();
        assert_eq!((table.len(), table.generation(), table.systemd_enabled()), (1000, 1000, 1));
        for number in [0, 1, 500, 999] {
            let found = table.get(number, format!("cgroup_{number}")).unwrap();
            assert_eq!((found.hash, found.options, found.enabled), (number, 2, 1));
            assert!(found.path.to_string().contains(&format!("{number:0>64}")));
            assert!(table.get(number + 1, format!("cgroup_{number}")).is_none());
        }

        let _server = Running::start(&dir, "snapshot", served(&session), snapshot_of(3));
        cache.refresh().unwrap();
        assert_eq!(cache.table().unwrap().len(), 3);
        assert_eq!(cache.status().last_error, None);
        // What was taken before is as it was.
        assert_eq!(table.len(), 1000);
        assert!(table.get(999, "cgroup_999").is_some());
    }
}

#[test]
fn an_empty_snapshot_is_one() {
    let dir = Dir::new();
    let _server = snapshots(&dir, 0);
    let cache = cache(&dir, &SessionOptions::default());
    cache.refresh().unwrap();
    assert!(cache.ready() && cache.status().populated);
    assert!(cache.table().unwrap().is_empty());
}

#[test]
fn of_two_alike_the_first_counts_and_names_are_bytes() {
    let dir = Dir::new();
    let handler = |_: &SnapshotRequest, reply: &mut Builder<'_>| -> Result<(), Declined> {
        for (options, name) in [(1, &b"twin"[..]), (2, b"twin"), (3, b"\xff\xfe")] {
            let (name, path) = (Text::new(name), Text::from("/p"));
            reply.push(&Cgroup { hash: 5, options, enabled: 1, name, path })?;
        }
        Ok(())
    };
    let _server = Running::<CgroupsSnapshot>::start(&dir, "snapshot", Default::default(), handler);
    let cache = CgroupsCache::new(dir.to_str().unwrap(), "snapshot", ClientConfig::default());
    assert!(cache.refresh());
    assert_eq!(cache.status().item_count, 3);
    assert_eq!(cache.lookup(5, "twin").unwrap().options, 1);
    assert_eq!(cache.lookup_bytes(5, b"\xff\xfe").unwrap().options, 3);
    assert!(cache.lookup(5, "\u{fffd}\u{fffd}").is_none());
    assert!(cache.lookup(6, "twin").is_none());
    assert!(cache.status().last_refresh_ts >= 1);
}

#[test]
fn a_closed_cache_finds_nothing_and_can_be_refreshed() {
    let dir = Dir::new();
    let _server = snapshots(&dir, 10);
    let cache = CgroupsCache::new(dir.to_str().unwrap(), "snapshot", ClientConfig::default());
    assert!(cache.refresh() && cache.ready());
    let guard = cache.read_lock();
    let copy = cache.item_dup(guard.get(3, "cgroup_3").unwrap());
    cache.close();
    cache.close();
    assert!(!cache.ready());
    assert!(cache.lookup(3, "cgroup_3").is_none());
    assert!(cache.read_lock().table().is_none());
    assert_eq!(cache.status().connection_state, ClientState::Disconnected);
    assert_eq!(cache.status().item_count, 0);
    // What was taken out of it before lives on.
    assert_eq!(guard.get(3, "cgroup_3").unwrap().name, "cgroup_3");
    drop(guard);
    assert_eq!((copy.hash, &*copy.name), (3, "cgroup_3"));
    assert!(cache.refresh() && cache.ready());
}

#[test]
fn a_snapshot_that_cannot_be_read_breaks_the_session_and_changes_nothing() {
    let dir = Dir::new();
    let server = snapshots(&dir, 10);
    let cache = cache(&dir, &SessionOptions::default());
    cache.refresh().unwrap();
    server.stop();
    let fake = Fake::start(&dir, "snapshot", |listener: RawListener| {
        // The retry: the first session was with the server that is gone.
        let peer = listener.session();
        peer.answer(Status::Ok, &[0x55; 64]);
        // Hung up on for it.
        peer.await_hangup();
    });
    assert_eq!(cache.refresh().unwrap_err().kind(), ErrorKind::Protocol);
    fake.finish();
    assert_eq!(cache.status().connection_state, ClientState::Broken);
    assert_eq!(cache.table().unwrap().len(), 10);
}

/// A provider whose snapshots have one cgroup more each time, all of the same generation as name.
fn growing(dir: &Dir) -> Running<CgroupsSnapshot> {
    let rounds = AtomicU32::new(0);
    let handler = move |_: &SnapshotRequest, reply: &mut Builder<'_>| -> Result<(), Declined> {
        let round = 1 + rounds.fetch_add(1, Relaxed) % 100;
        reply.generation = round.into();
        for number in 0..round {
            let name = format!("{round} {number}");
            let (name, path) = (Text::from(&*name), Text::from("/p"));
            reply.push(&Cgroup { hash: number, options: round, enabled: 1, name, path })?;
        }
        Ok(())
    };
    Running::start(dir, "snapshot", ServerOptions::default(), handler)
}

#[test]
fn readers_see_whole_snapshots_while_it_is_refreshed_and_closed() {
    let dir = Dir::new();
    let _server = growing(&dir);
    let cache = cache(&dir, &SessionOptions::default());
    cache.refresh().unwrap();
    let over = AtomicBool::new(false);
    let seen = AtomicU64::new(0);
    thread::scope(|scope| {
        let look = |table: &CgroupsTable| {
            let round = table.generation() as u32;
            assert_eq!(table.len() as u32, round);
            for (number, cgroup) in (0..).zip(table.iter()) {
                assert_eq!((cgroup.hash, cgroup.options), (number, round));
            }
            let last = round - 1;
            assert!(table.get(last, format!("{round} {last}")).is_some());
            seen.fetch_add(1, Relaxed);
        };
        for thread in 0..8 {
            let (cache, over) = (&cache, &over);
            scope.spawn(move || {
                let mut reader = cache.reader();
                while !over.load(Relaxed) {
                    let _ = cache.status();
                    // Each way to read is used by some of the threads.
                    match thread % 3 {
                        0 => cache.table().as_deref().map(look),
                        1 => reader.table().map(look),
                        _ => cache.with_table(look),
                    };
                }
            });
        }
        for round in 0..500 {
            cache.refresh().unwrap();
            if round % 50 == 49 {
                cache.close();
            }
        }
        cache.refresh().unwrap();
        let before = seen.load(Relaxed);
        common::await_that("readers of the last snapshot", || seen.load(Relaxed) > before + 8);
        over.store(true, Relaxed);
    });
    assert_eq!(cache.status().refresh_success_count, 502);
    assert_eq!(cache.status().refresh_failure_count, 0);
}

#[test]
fn a_reader_delays_neither_refreshes_nor_status_nor_closing() {
    let dir = Dir::new();
    let _server = growing(&dir);
    let cache = cache(&dir, &SessionOptions::default());
    cache.refresh().unwrap();
    let (begun, end) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            // Both ways to read are used for as long as the others go on.
            let table = cache.table().unwrap();
            cache.with_table(|same| {
                begun.wait();
                end.wait();
                assert_eq!(same.generation(), 1);
                assert_eq!(same.len(), 1);
            });
            assert_eq!(table.len(), 1);
        });
        begun.wait();
        for generation in 2..20 {
            cache.refresh().unwrap();
            assert_eq!(cache.table().unwrap().generation(), generation);
            assert!(cache.status().populated);
        }
        cache.close();
        assert!(!cache.ready());
        end.wait();
    });
}

#[test]
fn the_same_snapshot_again_leaves_the_table_in_place() {
    let dir = Dir::new();
    let generation = AtomicU64::new(1);
    let generation = Arc::new(generation);
    let handler = {
        let (generation, cgroups) = (Arc::clone(&generation), snapshot_of(5));
        move |asked: &SnapshotRequest, reply: &mut Builder<'_>| -> Result<(), Declined> {
            netipc::Handler::<CgroupsSnapshot>::handle(&cgroups, asked, reply)?;
            reply.generation = generation.load(Relaxed);
            Ok(())
        }
    };
    let _server = Running::<CgroupsSnapshot>::start(&dir, "snapshot", Default::default(), handler);
    let cache = cache(&dir, &SessionOptions::default());
    cache.refresh().unwrap();
    let first = cache.table().unwrap();
    cache.refresh().unwrap();
    assert!(Arc::ptr_eq(&first, &cache.table().unwrap()));
    assert_eq!(cache.status().refresh_success_count, 2);
    generation.store(2, Relaxed);
    cache.refresh().unwrap();
    assert_eq!(cache.table().unwrap().generation(), 2);
    assert_eq!(first.generation(), 1);
}

#[test]
fn a_reader_has_the_last_table_whenever_it_is_asked() {
    let dir = Dir::new();
    let _server = growing(&dir);
    let cache = cache(&dir, &SessionOptions::default());
    let mut reader = cache.reader();
    assert!(reader.table().is_none());
    for generation in 1..10 {
        cache.refresh().unwrap();
        assert_eq!(reader.table().unwrap().generation(), generation);
        // The same again.
        assert_eq!(reader.table().unwrap().generation(), generation);
    }
    cache.close();
    assert!(reader.table().is_none());
    cache.refresh().unwrap();
    assert_eq!(cache.reader().table().unwrap().generation(), 10);
    assert_eq!(reader.table().unwrap().generation(), 10);
}

#[test]
fn a_table_that_is_held_is_not_renewed() {
    let dir = Dir::new();
    let _server = growing(&dir);
    let cache = CgroupsCache::new(dir.to_str().unwrap(), "snapshot", ClientConfig::default());
    let mut guards = Vec::new();
    let mut readers = Vec::new();
    for generation in 1..=20 {
        assert!(cache.refresh());
        guards.push(cache.read_lock());
        guards.push(guards[guards.len() - 1].clone());
        let mut reader = cache.reader();
        assert_eq!(reader.table().unwrap().generation(), generation);
        readers.push(reader);
    }
    for (generation, guards) in (1..).zip(guards.chunks_exact(2)) {
        for guard in guards {
            let table = guard.table().unwrap();
            assert_eq!((table.generation(), table.len() as u64), (generation, generation));
            assert!(guard.get(0, &format!("{generation} 0")).is_some());
        }
    }
}

#[test]
fn a_refresh_under_way_delays_neither_readers_nor_status_and_can_be_called_off() {
    let dir = Dir::new();
    let (entered, entries) = mpsc::channel();
    let calls = AtomicU32::new(0);
    let small = snapshot_of(5);
    let handler = move |asked: &SnapshotRequest, reply: &mut Builder<'_>| {
        if calls.fetch_add(1, Relaxed) == 1 {
            entered.send(()).unwrap();
            loop {
                thread::park();
            }
        }
        netipc::Handler::<CgroupsSnapshot>::handle(&small, asked, reply)
    };
    let server = Running::<CgroupsSnapshot>::start(&dir, "snapshot", Default::default(), handler);
    let cache = Arc::new(cache(&dir, &SessionOptions::default()));
    cache.set_timeout(Duration::from_secs(3600));
    cache.refresh().unwrap();
    let refreshing = {
        let cache = Arc::clone(&cache);
        thread::spawn(move || cache.refresh().map_err(|error| error.kind()))
    };
    entries.recv().unwrap();
    assert_eq!(cache.status().refresh_success_count, 1);
    assert_eq!(cache.table().unwrap().len(), 5);
    assert!(cache.ready());
    assert!(!refreshing.is_finished());

    cache.abort().set();
    let (ended, took) = timed(|| refreshing.join().unwrap());
    assert_eq!(ended, Err(ErrorKind::Aborted));
    assert!(took < SOON, "{took:?}");
    assert_eq!(cache.table().unwrap().len(), 5);
    assert!(cache.refresh().is_err(), "still called off");
    cache.abort().clear();
    cache.refresh().unwrap();
    assert_eq!(cache.status().refresh_success_count, 2);
    assert_eq!(cache.status().refresh_failure_count, 2);
    assert!(!server.server.drain(Duration::ZERO));
}
