//! Lookups of many keys with little room for the answers.

use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Result, ensure};
use netipc::{
    Declined, Labels, Text,
    kinds::{
        AppsLookup, CgroupsLookup, Orchestrator, apps_lookup, apps_lookup::Process, cgroups_lookup,
    },
    proto::{Keys, Replies, Shortfall},
};

use crate::{Meeting, Requests, connected, data, run, say};

/// What a lookup finds, with everything it is made of.
struct Answer {
    i: u32,
    name: String,
    path: String,
    comm: String,
    labels: Vec<(String, String)>,
}

pub(crate) fn serve_cgroups(meeting: &Meeting<'_>) -> Result<()> {
    let (generation, room) = (meeting.task.generation, meeting.task.response_bytes);
    let requests = Requests::default();
    let count = Requests::clone(&requests);
    let handler = move |asked: &Keys<'_, CgroupsLookup>, reply: &mut Replies<'_, CgroupsLookup>| {
        count.fetch_add(1, Relaxed);
        reply.generation = generation;
        for path in asked.iter() {
            let answer = data::index_of(path).map(|i| Answer::cgroup(i, room));
            let pairs = answer.as_ref().map(Answer::pairs).unwrap_or_default();
            reply.push(&answer.as_ref().map_or(cgroups_lookup::Cgroup::Unknown, |answer| {
                answer.known_cgroup(Labels::new(&pairs))
            }))?;
        }
        Ok::<(), Declined>(())
    };
    run::<CgroupsLookup>(meeting, handler)?;
    say(&format!("requests={}", requests.load(Relaxed)))
}

pub(crate) fn ask_cgroups(meeting: &Meeting<'_>) -> Result<()> {
    let mut client = connected::<CgroupsLookup>(meeting)?;
    let paths: Vec<String> = (0..meeting.task.keys).map(data::path).collect();
    let keys: Vec<&[u8]> = paths.iter().map(String::as_bytes).collect();
    let found = client.lookup(&keys)?;
    ensure!(found.generation == meeting.task.generation, "generation {}", found.generation);
    ensure!(found.len() == meeting.task.keys, "{} items", found.len());
    for (i, item) in (0..).zip(found.iter()) {
        ensure!(item.key == keys[i as usize], "item {i} is of another key");
        let answer = Answer::cgroup(i, 0);
        let pairs = answer.pairs();
        let wanted = match i {
            data::OVERSIZED => Err(Shortfall::Oversized),
            _ => Ok(answer.known_cgroup(Labels::new(&pairs))),
        };
        ensure!(item.value == wanted, "item {i} is {:?}", item.value);
    }
    Ok(())
}

pub(crate) fn serve_apps(meeting: &Meeting<'_>) -> Result<()> {
    let (generation, room) = (meeting.task.generation, meeting.task.response_bytes);
    let requests = Requests::default();
    let count = Requests::clone(&requests);
    let handler = move |asked: &Keys<'_, AppsLookup>, reply: &mut Replies<'_, AppsLookup>| {
        count.fetch_add(1, Relaxed);
        reply.generation = generation;
        for pid in asked.iter() {
            let answer = pid.checked_sub(1).map(|i| Answer::process(i, room));
            let pairs = answer.as_ref().map(Answer::pairs).unwrap_or_default();
            reply.push(&answer.as_ref().and_then(|a| a.known_process(Labels::new(&pairs))))?;
        }
        Ok::<(), Declined>(())
    };
    run::<AppsLookup>(meeting, handler)?;
    say(&format!("requests={}", requests.load(Relaxed)))
}

pub(crate) fn ask_apps(meeting: &Meeting<'_>) -> Result<()> {
    let mut client = connected::<AppsLookup>(meeting)?;
    let keys: Vec<u32> = (1..=meeting.task.keys).collect();
    let found = client.lookup(&keys)?;
    ensure!(found.generation == meeting.task.generation, "generation {}", found.generation);
    ensure!(found.len() == meeting.task.keys, "{} items", found.len());
    for (i, item) in (0..).zip(found.iter()) {
        ensure!(item.key == i + 1, "item {i} is of pid {}", item.key);
        let answer = Answer::process(i, 0);
        let pairs = answer.pairs();
        let wanted = match i {
            data::OVERSIZED => Err(Shortfall::Oversized),
            _ => Ok(answer.known_process(Labels::new(&pairs))),
        };
        ensure!(item.value == wanted, "item {i} is {:?}", item.value);
    }
    Ok(())
}

impl Answer {
    fn cgroup(i: u32, room: u32) -> Self {
        Answer {
            i,
            name: data::name(i, room),
            path: String::new(),
            comm: String::new(),
            labels: data::labels(i, i % 4),
        }
    }

    fn process(i: u32, room: u32) -> Self {
        Answer {
            i,
            name: data::name(i, room),
            path: format!("/interop/{i}"),
            comm: format!("comm-{i}"),
            labels: data::labels(i, i % 3),
        }
    }

    fn pairs(&self) -> Vec<(&[u8], &[u8])> {
        self.labels.iter().map(|(key, value)| (key.as_bytes(), value.as_bytes())).collect()
    }

    fn known_cgroup<'a>(&'a self, labels: Labels<'a>) -> cgroups_lookup::Cgroup<'a> {
        match self.i % 8 {
            3 => cgroups_lookup::Cgroup::RetryLater,
            5 => cgroups_lookup::Cgroup::Unknown,
            _ => cgroups_lookup::Cgroup::Known {
                orchestrator: self.orchestrator(),
                name: Text::new(self.name.as_bytes()),
                labels,
            },
        }
    }

    fn known_process<'a>(&'a self, labels: Labels<'a>) -> Option<Process<'a>> {
        let path = Text::new(self.path.as_bytes());
        let cgroup = match self.i % 4 {
            0 => apps_lookup::Cgroup::Known {
                orchestrator: self.orchestrator(),
                path,
                name: Text::new(self.name.as_bytes()),
                labels,
            },
            1 => apps_lookup::Cgroup::RetryLater { path: Text::new(b"") },
            2 => apps_lookup::Cgroup::Unknown { path },
            _ => apps_lookup::Cgroup::HostRoot,
        };
        (self.i % 8 != 3).then_some(Process {
            ppid: self.i / 2,
            uid: (!self.i.is_multiple_of(5)).then_some(1000 + self.i % 7),
            starttime: u64::from(self.i) * 1_000_003,
            comm: Text::new(self.comm.as_bytes()),
            cgroup,
        })
    }

    fn orchestrator(&self) -> Orchestrator {
        Orchestrator((self.i % 9) as u16)
    }
}
