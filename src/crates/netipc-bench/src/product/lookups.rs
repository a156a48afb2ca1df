//! Lookups of many keys: the same items as the floor's, and every item looked at.

use std::hint::black_box;

use anyhow::{Result, ensure};
use netipc::{
    Declined, Handler, Labels, Text,
    kinds::{AppsLookup, CgroupsLookup, Orchestrator, apps_lookup, cgroups_lookup},
    proto::{Keys, Replies},
};

use super::connected;
use crate::{
    data::{self, index_of},
    peer::Case,
};

/// A provider of cgroups.
pub(super) struct Cgroups(Vec<data::Cgroup>);

impl Cgroups {
    pub(super) fn new(count: usize) -> Self {
        Cgroups(data::cgroups(count))
    }
}

impl Handler<CgroupsLookup> for Cgroups {
    fn handle(
        &self,
        asked: &Keys<'_, CgroupsLookup>,
        reply: &mut Replies<'_, CgroupsLookup>,
    ) -> Result<(), Declined> {
        reply.generation = 7;
        for path in asked.iter() {
            let known = index_of(path).and_then(|index| self.0.get(index));
            match known {
                None => reply.push(&cgroups_lookup::Cgroup::Unknown)?,
                Some(cgroup) => {
                    let pair = |at: usize| {
                        let (key, value) = &cgroup.labels[at];
                        (key.as_bytes(), value.as_bytes())
                    };
                    reply.push(&cgroups_lookup::Cgroup::Known {
                        orchestrator: Orchestrator::SYSTEMD,
                        name: Text::new(cgroup.name.as_bytes()),
                        labels: Labels::new(&[pair(0), pair(1)]),
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// A provider of processes.
pub(super) struct Apps(Vec<data::Process>);

impl Apps {
    pub(super) fn new(count: usize) -> Self {
        Apps(data::processes(count))
    }
}

impl Handler<AppsLookup> for Apps {
    fn handle(
        &self,
        asked: &Keys<'_, AppsLookup>,
        reply: &mut Replies<'_, AppsLookup>,
    ) -> Result<(), Declined> {
        reply.generation = 7;
        for pid in asked.iter() {
            let known = pid.checked_sub(1).and_then(|index| self.0.get(index as usize));
            reply.push(&known.map(process))?;
        }
        Ok(())
    }
}

fn process(process: &data::Process) -> apps_lookup::Process<'_> {
    apps_lookup::Process {
        ppid: 1,
        uid: Some(1000),
        starttime: u64::from(process.pid),
        comm: Text::new(process.comm.as_bytes()),
        cgroup: apps_lookup::Cgroup::Known {
            orchestrator: Orchestrator::SYSTEMD,
            path: Text::new(process.cgroup_path.as_bytes()),
            name: Text::new(process.cgroup_name.as_bytes()),
            labels: Labels::NONE,
        },
    }
}

pub(super) fn cgroups(case: &Case<'_>) -> Result<()> {
    let mut client = connected::<CgroupsLookup>(case)?;
    let all = data::cgroups(case.task.items);
    let keys: Vec<&[u8]> = all.iter().map(|cgroup| cgroup.path.as_bytes()).collect();
    case.measure(
        1,
        vec![|| {
            let found = client.lookup(&keys)?;
            ensure!(found.len() as usize == keys.len(), "{} items", found.len());
            for item in found.iter() {
                // By reference, as callers use it.
                black_box(&item);
            }
            Ok(())
        }],
    )
}

pub(super) fn apps(case: &Case<'_>) -> Result<()> {
    let mut client = connected::<AppsLookup>(case)?;
    let keys: Vec<u32> = (1..=case.task.items as u32).collect();
    case.measure(
        1,
        vec![|| {
            let found = client.lookup(&keys)?;
            ensure!(found.len() as usize == keys.len(), "{} items", found.len());
            for item in found.iter() {
                // By reference, as callers use it.
                black_box(&item);
            }
            Ok(())
        }],
    )
}

#[cfg(test)]
mod tests {
    use netipc::proto::{Service, respond_one};

    use super::*;
    use crate::floors::lookup as floor;

    /// What netipc makes of `keys`: the request, and the reply of `handler`.
    fn exchange<S: Service>(keys: S::Request<'_>, handler: impl Handler<S>) -> [Vec<u8>; 2] {
        let mut request = vec![0; S::request_len(keys)];
        S::write_request(keys, &mut request).unwrap();
        let mut reply = vec![0; 1 << 16];
        let len = respond_one::<S>(&handler, &request, &mut reply).unwrap();
        reply.truncate(len);
        [request, reply]
    }

    #[test]
    fn the_cgroups_of_the_floor_are_the_same_bytes() {
        let all = data::cgroups(40);
        let keys: Vec<&[u8]> = all.iter().map(|cgroup| cgroup.path.as_bytes()).collect();
        let [request, reply] = exchange::<CgroupsLookup>(&keys, Cgroups::new(40));
        let (mut floor_request, mut floor_reply) = (Vec::new(), Vec::new());
        floor::write_paths(&mut floor_request, &all).unwrap();
        floor::answer_paths(&request, &all, &mut floor_reply).unwrap();
        assert_eq!(request, floor_request);
        assert_eq!(reply, floor_reply);
    }

    #[test]
    fn the_processes_of_the_floor_are_the_same_bytes() {
        let all = data::processes(40);
        let keys: Vec<u32> = all.iter().map(|process| process.pid).collect();
        let [request, reply] = exchange::<AppsLookup>(&keys, Apps::new(40));
        let (mut floor_request, mut floor_reply) = (Vec::new(), Vec::new());
        floor::write_pids(&mut floor_request, &all);
        floor::answer_pids(&request, &all, &mut floor_reply).unwrap();
        assert_eq!(request, floor_request);
        assert_eq!(reply, floor_reply);
    }
}
