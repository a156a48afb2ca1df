//! The border between the providers' tables and the services: answers written from them.

use netipc::{
    Declined, Labels, Text,
    kinds::{
        AppsLookup, CgroupsLookup, CgroupsSnapshot, apps_lookup, cgroups_lookup, cgroups_snapshot,
    },
    proto::Service,
};

use crate::{apps, cgroups};

/// What a client asked of a service of kind `S`.
pub type Asked<'a, S> = <S as Service>::RequestView<'a>;
/// What it is answered.
pub type Reply<'a, S> = <S as Service>::ReplyBuilder<'a>;

/// Writes the whole table as a snapshot.
///
/// # Errors
///
/// [`Declined::Full`] when it is longer than the session allows.
pub fn snapshot(
    table: &cgroups::table::Table,
    reply: &mut Reply<'_, CgroupsSnapshot>,
) -> Result<(), Declined> {
    let cgroups = table.cgroups();
    reply.systemd_enabled = 1;
    reply.generation = table.generation;
    reply.reserve(u32::try_from(cgroups.len()).map_err(|_| Declined::Full)?)?;
    for cgroup in cgroups {
        reply.push(&cgroups_snapshot::Cgroup {
            hash: cgroup.hash,
            options: cgroup.options,
            enabled: cgroup.enabled.into(),
            name: Text::new(&cgroup.chart),
            path: Text::new(&cgroup.procs),
        })?;
    }
    Ok(())
}

/// About how many bytes the table takes as a snapshot.
pub fn snapshot_len(table: &cgroups::table::Table) -> usize {
    const HEAD: usize = 24;
    const ITEM_HEAD: usize = 32;
    let item = |cgroup: &cgroups::table::Cgroup| {
        let strings = cgroup.chart.len() + 1 + cgroup.procs.len() + 1;
        8 + (ITEM_HEAD + strings).next_multiple_of(8)
    };
    HEAD + table.cgroups().iter().map(item).sum::<usize>()
}

/// Answers which cgroups are at the paths asked for. Whether one was missed that may still come.
///
/// # Errors
///
/// The answers do not fit.
pub fn cgroups_lookup(
    table: &cgroups::table::Table,
    keys: &Asked<'_, CgroupsLookup>,
    reply: &mut Reply<'_, CgroupsLookup>,
) -> Result<bool, Declined> {
    use cgroups::table::Answer;
    use cgroups_lookup::Cgroup;
    reply.generation = table.generation;
    let mut missed = false;
    for path in keys.iter() {
        let value = match table.lookup(path) {
            Answer::Known(cgroup) => {
                let labels = borrowed(&cgroup.labels);
                reply.push(&Cgroup::Known {
                    orchestrator: cgroup.orchestrator,
                    name: Text::new(&cgroup.name),
                    labels: Labels::new(&labels),
                })?;
                continue;
            }
            Answer::RetryLater => {
                missed = true;
                Cgroup::RetryLater
            }
            Answer::Never => Cgroup::Unknown,
        };
        reply.push(&value)?;
    }
    Ok(missed)
}

/// Answers which processes have the PIDs asked for. Whether one was missed.
///
/// # Errors
///
/// The answers do not fit.
pub fn apps_lookup(
    table: &apps::scanner::Table,
    keys: &Asked<'_, AppsLookup>,
    reply: &mut Reply<'_, AppsLookup>,
) -> Result<bool, Declined> {
    use apps::scanner::Membership;
    use apps_lookup::{Cgroup, Process};
    reply.generation = table.generation;
    let mut missed = false;
    for pid in keys.iter() {
        let Some(entry) = table.lookup(pid) else {
            missed = true;
            reply.push(&None)?;
            continue;
        };
        let labels;
        let cgroup = match &*entry.membership {
            Membership::Known { orchestrator, path, name, labels: facts } => {
                labels = borrowed(facts);
                Cgroup::Known {
                    orchestrator: *orchestrator,
                    path: Text::new(path),
                    name: Text::new(name),
                    labels: Labels::new(&labels),
                }
            }
            Membership::RetryLater => Cgroup::RetryLater { path: Text::new(b"") },
            Membership::Unknown { path } => Cgroup::Unknown { path: Text::new(path) },
            Membership::HostRoot => Cgroup::HostRoot,
        };
        let process = &entry.process;
        reply.push(&Some(Process {
            ppid: process.ppid,
            uid: process.uid,
            starttime: process.starttime,
            comm: Text::new(&process.comm),
            cgroup,
        }))?;
    }
    Ok(missed)
}

fn borrowed(labels: &[(Vec<u8>, Vec<u8>)]) -> Vec<(&[u8], &[u8])> {
    labels.iter().map(|(key, value)| (&key[..], &value[..])).collect()
}
