//! Snapshots of cgroups: refreshing a cache, and looking things up in it.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use anyhow::{Context, Result, ensure};
use netipc::{
    Cache, Declined, Handler, Text,
    kinds::{CgroupsSnapshot, cgroups_snapshot},
};

use super::{client_options, connected};
use crate::{
    data::{self, shuffled},
    floors::probe::ASKED,
    peer::Case,
};

/// A provider of cgroups.
pub(super) struct Cgroups {
    all: Vec<data::Cgroup>,
    /// Whether every snapshot is of another generation, so that none is the one before.
    changes: bool,
    generation: AtomicU64,
}

impl Cgroups {
    pub(super) fn new(count: usize, changes: bool) -> Self {
        Cgroups { all: data::cgroups(count), changes, generation: AtomicU64::new(7) }
    }
}

impl Handler<CgroupsSnapshot> for Cgroups {
    fn handle(
        &self,
        _: &cgroups_snapshot::SnapshotRequest,
        reply: &mut cgroups_snapshot::Builder<'_>,
    ) -> Result<(), Declined> {
        reply.generation = self.generation.fetch_add(self.changes.into(), Relaxed);
        reply.systemd_enabled = 1;
        reply.reserve(self.all.len() as u32)?;
        for cgroup in &self.all {
            reply.push(&cgroups_snapshot::Cgroup {
                hash: cgroup.hash,
                options: 0,
                enabled: 1,
                name: Text::new(cgroup.name.as_bytes()),
                path: Text::new(cgroup.path.as_bytes()),
            })?;
        }
        Ok(())
    }
}

/// A step fetches the table anew and finds one cgroup in it: until then it is of no use.
pub(super) fn refresh(case: &Case<'_>) -> Result<()> {
    let cache = cache(case)?;
    let all = data::cgroups(case.task.items);
    let last = all.last().context("a table of nothing")?;
    case.measure(
        1,
        vec![|| {
            cache.refresh()?;
            let len = cache
                .with_table(|table| table.get(last.hash, &last.name).map_or(0, |_| table.len()));
            ensure!(len == Some(all.len()), "the table is not whole");
            Ok(())
        }],
    )
}

/// A step looks up [`ASKED`] cgroups in an order without pattern, as the floor does.
///
/// Each thread has a reader of the cache and asks it for the table anew for every lookup.
pub(super) fn look_up(case: &Case<'_>) -> Result<()> {
    let cache = cache(case)?;
    cache.refresh()?;
    look_up_by(case, || {
        let mut reader = cache.reader();
        move |hash, name| {
            reader.table().is_some_and(|table| black_box(table.get(hash, name)).is_some())
        }
    })
}

/// The same, of the cache itself.
pub(super) fn look_up_directly(case: &Case<'_>) -> Result<()> {
    let cache = &cache(case)?;
    cache.refresh()?;
    look_up_by(case, || {
        move |hash, name| {
            cache.with_table(|table| black_box(table.get(hash, name)).is_some()) == Some(true)
        }
    })
}

fn look_up_by<F: FnMut(u32, &str) -> bool + Send>(
    case: &Case<'_>,
    finder: impl Fn() -> F,
) -> Result<()> {
    let all = data::cgroups(case.task.items);
    let order = shuffled(all.len());
    let asked: Vec<(u32, String)> =
        order.iter().map(|&i| (all[i].hash, all[i].name.clone())).collect();
    let asked = &asked;
    let threads = 0..case.task.threads;
    let steps = threads.map(|thread| {
        let mut at = thread * asked.len() / case.task.threads;
        let mut find = finder();
        move || {
            for _ in 0..ASKED {
                let (hash, name) = &asked[at];
                at = if at + 1 == asked.len() { 0 } else { at + 1 };
                ensure!(find(*hash, name), "{name} is missing");
            }
            Ok(())
        }
    });
    case.measure(ASKED as u64, steps.collect())
}

fn cache(case: &Case<'_>) -> Result<Cache<CgroupsSnapshot>> {
    // A cache does not say what carries its messages; a client with the same options does.
    drop(connected::<CgroupsSnapshot>(case)?);
    Ok(Cache::new(case.dir, case.service, client_options(&case.task)))
}

#[cfg(test)]
mod tests {
    use netipc::proto::{Service, respond_one};

    use super::*;
    use crate::floors::snapshot as floor;

    #[test]
    fn the_snapshot_of_the_floor_is_the_same_bytes() {
        let mut request = vec![0; CgroupsSnapshot::request_len(())];
        CgroupsSnapshot::write_request((), &mut request).unwrap();
        let mut reply = vec![0; 1 << 16];
        let len =
            respond_one::<CgroupsSnapshot>(&Cgroups::new(40, true), &request, &mut reply).unwrap();
        assert_eq!(reply[..len], floor::encode(&data::cgroups(40)));
    }
}
