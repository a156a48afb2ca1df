//! In a process that has both a client and its server, neither allocates for a call.
//!
//! What tests of clients count is what their own thread allocates; this counts all threads.
#![allow(clippy::unwrap_used)]

mod common;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use common::{Dir, Running, carriers, client, increment_server, served};
use netipc::{
    Client, Declined, Labels, Text,
    kinds::{
        CgroupsLookup, CgroupsSnapshot, Increment, Orchestrator, cgroups_lookup,
        cgroups_snapshot::{self, Builder, SnapshotRequest},
    },
    proto::{Keys, Replies, Service},
};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's memory, and how often it was asked for some.
struct Counting;

// SAFETY: all is done by `System`, which keeps the promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Calls until both sides have what they need, and then some more times without an allocation.
fn allocates_nothing<S: Service>(
    carrier: &str,
    client: &mut Client<S>,
    mut call: impl FnMut(&mut Client<S>),
) {
    (0..2000).for_each(|_| call(client));
    let before = ALLOCATIONS.load(Relaxed);
    (0..500).for_each(|_| call(client));
    assert_eq!(ALLOCATIONS.load(Relaxed) - before, 0, "{} over {carrier}", S::NAME);
}

fn snapshot(_: &SnapshotRequest, reply: &mut Builder<'_>) -> Result<(), Declined> {
    for hash in 0..100 {
        let (name, path) = (Text::new(b"name"), Text::new(b"/path"));
        reply.push(&cgroups_snapshot::Cgroup { hash, options: 2, enabled: 1, name, path })?;
    }
    Ok(())
}

fn know_all(
    asked: &Keys<'_, CgroupsLookup>,
    reply: &mut Replies<'_, CgroupsLookup>,
) -> Result<(), Declined> {
    let labels = [(&b"image"[..], &b"nginx"[..])];
    for _ in asked.iter() {
        reply.push(&cgroups_lookup::Cgroup::Known {
            orchestrator: Orchestrator::DOCKER,
            name: Text::new(b"name"),
            labels: Labels::new(&labels),
        })?;
    }
    Ok(())
}

// One test, as another one would allocate meanwhile.
#[test]
fn servers_allocate_nothing_for_a_call_either() {
    let keys: Vec<_> = (0..10).map(|n| format!("/{n:x}").into_bytes()).collect();
    let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let _server = increment_server(&dir, served(&session));
        let mut increment = client::<Increment>(&dir, "increment", &session);
        allocates_nothing(carrier, &mut increment, |client| {
            assert_eq!(client.call(1).unwrap(), 2);
        });

        let _server =
            Running::<CgroupsSnapshot>::start(&dir, "snapshot", served(&session), snapshot);
        let mut snapshot = client::<CgroupsSnapshot>(&dir, "snapshot", &session);
        allocates_nothing(carrier, &mut snapshot, |client| {
            assert_eq!(client.call(()).unwrap().iter().count(), 100);
        });

        let _server = Running::<CgroupsLookup>::start(&dir, "cgroups", served(&session), know_all);
        let mut lookup = client::<CgroupsLookup>(&dir, "cgroups", &session);
        allocates_nothing(carrier, &mut lookup, |client| {
            assert_eq!(client.lookup(&keys).unwrap().iter().count(), 10);
        });
    }
}
