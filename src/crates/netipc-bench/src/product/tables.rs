//! Snapshots of cgroups: refreshing a cache, and looking things up in it.

use anyhow::{Result, bail};
use netipc::{
    Declined, Handler, Text,
    kinds::{CgroupsSnapshot, cgroups_snapshot},
};

use crate::{
    data,
    peer::{Case, say},
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

pub(super) fn refresh(case: &Case<'_>) -> Result<()> {
    unsupported(case)
}

pub(super) fn look_up(case: &Case<'_>) -> Result<()> {
    unsupported(case)
}

fn unsupported(case: &Case<'_>) -> Result<()> {
    say("UNSUPPORTED")?;
    bail!("{} needs a table of cgroups", case.task.scenario)
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
