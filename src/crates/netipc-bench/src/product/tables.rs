//! Snapshots of cgroups: refreshing a cache, and looking things up in it.

use std::hint::black_box;

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
pub(super) struct Cgroups(Vec<data::Cgroup>);

impl Cgroups {
    pub(super) fn new(count: usize) -> Self {
        Cgroups(data::cgroups(count))
    }
}

impl Handler<CgroupsSnapshot> for Cgroups {
    fn handle(
        &self,
        _: &cgroups_snapshot::SnapshotRequest,
        reply: &mut cgroups_snapshot::Builder<'_>,
    ) -> Result<(), Declined> {
        reply.generation = 7;
        reply.systemd_enabled = 1;
        reply.reserve(self.0.len() as u32)?;
        for cgroup in &self.0 {
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
pub(super) fn look_up(case: &Case<'_>) -> Result<()> {
    let cache = cache(case)?;
    cache.refresh()?;
    let all = data::cgroups(case.task.items);
    let order = shuffled(all.len());
    let asked: Vec<(u32, String)> =
        order.iter().map(|&i| (all[i].hash, all[i].name.clone())).collect();
    let (cache, asked) = (&cache, &asked);
    let threads = 0..case.task.threads;
    let steps = threads.map(|thread| {
        let mut at = thread * asked.len() / case.task.threads;
        move || {
            for _ in 0..ASKED {
                let (hash, name) = &asked[at];
                at = if at + 1 == asked.len() { 0 } else { at + 1 };
                let found = cache.with_table(|table| black_box(table.get(*hash, name)).is_some());
                ensure!(found == Some(true), "{name} is missing");
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
        let len = respond_one::<CgroupsSnapshot>(&Cgroups::new(40), &request, &mut reply).unwrap();
        assert_eq!(reply[..len], floor::encode(&data::cgroups(40)));
    }
}
