//! Snapshots of cgroups: asked for, kept, asked for across a restart and without shared memory.

use std::io;

use anyhow::{Context, Result, ensure};
use netipc::{
    Cache, Client, Declined,
    kinds::{
        CgroupsSnapshot,
        cgroups_snapshot::{Builder, Cgroup, SnapshotRequest},
    },
};

use crate::{Meeting, connected, data, ensure_over, options, run, say};

pub(crate) fn serve(meeting: &Meeting<'_>) -> Result<()> {
    let (items, generation) = (meeting.task.items, meeting.task.generation);
    run::<CgroupsSnapshot>(meeting, move |_: &SnapshotRequest, reply: &mut Builder<'_>| {
        (reply.systemd_enabled, reply.generation) = (1, generation);
        for member in (0..items).map(data::member) {
            reply.push(&cgroup(&member))?;
        }
        Ok::<(), Declined>(())
    })
}

/// Asks once.
pub(crate) fn ask(meeting: &Meeting<'_>) -> Result<()> {
    expect(&mut connected(meeting)?, meeting.task.items, 1)
}

/// Keeps a copy and looks things up in it.
pub(crate) fn keep(meeting: &Meeting<'_>) -> Result<()> {
    let cache = Cache::<CgroupsSnapshot>::new(meeting.dir, meeting.service, options(meeting));
    for _ in 0..2 {
        cache.refresh()?;
        let table = cache.table().context("no table after a refresh")?;
        ensure!(table.len() == meeting.task.items as usize, "{} items are kept", table.len());
        ensure!(table.generation() == 1, "generation {}", table.generation());
        for i in 0..meeting.task.items {
            let member = data::member(i);
            let found = table.get(member.hash, &member.name);
            ensure!(found == Some(cgroup(&member)), "{} leads to {found:?}", member.name);
            let missing = table.get(member.hash.wrapping_add(1), &member.name);
            ensure!(missing.is_none(), "another hash leads to {missing:?}");
        }
    }
    ensure_over(cache.status().carrier.context("no transport after a refresh")?, meeting)
}

/// Asks, lets the server be replaced, and asks its successor without connecting first.
pub(crate) fn survive(meeting: &Meeting<'_>) -> Result<()> {
    let mut client = connected(meeting)?;
    expect(&mut client, meeting.task.items, 1).context("before the restart")?;
    say("NEXT")?;
    io::stdin().read_line(&mut String::new()).context("wait for GO")?;
    expect(&mut client, meeting.task.items, 2).context("after the restart")?;
    let reconnects = client.status().reconnect_count;
    ensure!(reconnects == 1, "connected again {reconnects} times");
    Ok(())
}

/// Asks where shared memory is agreed on and cannot be had.
pub(crate) fn fall_back(meeting: &Meeting<'_>) -> Result<()> {
    expect(&mut connected(meeting)?, meeting.task.items, 1)
}

fn expect(client: &mut Client<CgroupsSnapshot>, items: u32, generation: u64) -> Result<()> {
    let view = client.call(())?;
    ensure!(view.generation == generation, "generation {}", view.generation);
    ensure!(view.systemd_enabled == 1, "systemd_enabled {}", view.systemd_enabled);
    ensure!(view.item_count == items, "{} items", view.item_count);
    for (i, item) in (0..).zip(view.iter()) {
        let item = item?;
        ensure!(item == cgroup(&data::member(i)), "item {i} is {item:?}");
    }
    Ok(())
}

fn cgroup(member: &data::Member) -> Cgroup<'_> {
    Cgroup {
        hash: member.hash,
        options: member.options,
        enabled: member.enabled,
        name: member.name.as_str().into(),
        path: member.path.as_str().into(),
    }
}
