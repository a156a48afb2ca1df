//! Calls of a client that made such calls before allocate nothing.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use allocation_counter::measure;
use common::{Dir, Running, carriers, client, increment_server, know_all, served, snapshot_of};
use netipc::{
    Cache, ClientOptions, Declined, Handler, SessionOptions, Text,
    kinds::{
        AppsLookup, CgroupsLookup, CgroupsSnapshot, Increment, StringReverse,
        apps_lookup::{Cgroup, Process},
        cgroups_snapshot::{Builder, SnapshotRequest},
        string_reverse,
    },
    proto::{Keys, Replies},
};

/// Makes a call often enough for its buffers to have grown, and some more times without allocating.
fn allocates_nothing(what: &str, carrier: &str, mut call: impl FnMut()) {
    (0..4).for_each(|_| call());
    let allocations = measure(|| (0..8).for_each(|_| call()));
    assert_eq!(allocations.count_total, 0, "{what} over {carrier}");
}

fn know_every_process(
    asked: &Keys<'_, AppsLookup>,
    reply: &mut Replies<'_, AppsLookup>,
) -> Result<(), Declined> {
    for pid in asked.iter() {
        let (comm, cgroup) = (Text::new(b"process"), Cgroup::HostRoot);
        reply.push(&Some(Process { ppid: 1, uid: None, starttime: pid.into(), comm, cgroup }))?;
    }
    Ok(())
}

#[test]
fn a_call_allocates_nothing() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let _server = increment_server(&dir, served(&session));
        let mut increment = client::<Increment>(&dir, "increment", &session);
        allocates_nothing("increment", carrier, || {
            assert_eq!(increment.call(1).unwrap(), 2);
        });

        let reverse = |asked: &Text<'_>, reply: &mut string_reverse::Reply<'_>| {
            let reversed: Vec<u8> = asked.as_bytes().iter().rev().copied().collect();
            Ok(reply.set(&reversed)?)
        };
        let _server = Running::<StringReverse>::start(&dir, "reverse", served(&session), reverse);
        let mut string_reverse = client::<StringReverse>(&dir, "reverse", &session);
        allocates_nothing("string-reverse", carrier, || {
            assert_eq!(string_reverse.call(b"abc").unwrap(), "cba");
        });

        let snapshots = snapshot_of(1000);
        let _server =
            Running::<CgroupsSnapshot>::start(&dir, "snapshot", served(&session), snapshots);
        let mut snapshot = client::<CgroupsSnapshot>(&dir, "snapshot", &session);
        allocates_nothing("cgroups-snapshot", carrier, || {
            let view = snapshot.call(()).unwrap();
            assert_eq!(view.iter().filter(|cgroup| cgroup.is_ok()).count(), 1000);
        });
    }
}

#[test]
fn a_lookup_allocates_nothing_however_many_requests_it_takes() {
    let paths: Vec<_> = (0..1000).map(|n| format!("/{n:x}").into_bytes()).collect();
    let paths: Vec<_> = paths.iter().map(Vec::as_slice).collect();
    let pids: Vec<_> = (0..1000).collect();
    for (carrier, usual) in carriers() {
        for limit in [4096, 1 << 20] {
            let session = SessionOptions {
                max_request_payload_bytes: limit,
                max_response_payload_bytes: limit,
                ..usual.clone()
            };
            let dir = Dir::new();
            let _cgroups =
                Running::<CgroupsLookup>::start(&dir, "cgroups", served(&session), know_all);
            let mut cgroups = client::<CgroupsLookup>(&dir, "cgroups", &session);
            allocates_nothing("cgroups-lookup", carrier, || {
                let found = cgroups.lookup(&paths).unwrap();
                assert!(found.iter().zip(&paths).all(|(item, path)| item.key == *path));
            });
            assert_eq!(cgroups.status().call_count > 12, limit == 4096);

            let _apps =
                Running::<AppsLookup>::start(&dir, "apps", served(&session), know_every_process);
            let mut apps = client::<AppsLookup>(&dir, "apps", &session);
            allocates_nothing("apps-lookup", carrier, || {
                let found = apps.lookup(&pids).unwrap();
                assert!(found.iter().zip(&pids).all(|(item, pid)| item.key == *pid));
            });
            assert_eq!(apps.status().call_count > 12, limit == 4096);
        }
    }
}

#[test]
fn refreshing_a_cache_allocates_nothing_whether_or_not_the_table_changed() {
    for (carrier, session) in carriers() {
        for changes in [false, true] {
            let dir = Dir::new();
            let generation = AtomicU64::new(1);
            let cgroups = snapshot_of(1000);
            let handler = move |asked: &SnapshotRequest, reply: &mut Builder<'_>| {
                Handler::<CgroupsSnapshot>::handle(&cgroups, asked, reply)?;
                reply.generation = generation.fetch_add(changes.into(), Relaxed);
                Ok(())
            };
            let _server =
                Running::<CgroupsSnapshot>::start(&dir, "snapshot", served(&session), handler);
            let options = ClientOptions { session: session.clone(), ..ClientOptions::default() };
            let cache = Cache::<CgroupsSnapshot>::new(&*dir, "snapshot", options);
            let mut reader = cache.reader();
            let mut seen = 0;
            allocates_nothing("refresh", carrier, || {
                cache.refresh().unwrap();
                let table = reader.table().unwrap();
                assert!(table.get(999, "cgroup_999").is_some());
                assert_eq!(table.generation() > seen, changes || seen == 0);
                seen = table.generation();
            });
        }
    }
}
