//! `netipc snapshot`: prints all cgroups.

use std::time::Instant;

use netipc::{kinds::CgroupsSnapshot, proto::Service};
use serde::Serialize;

use crate::{
    context::Context,
    rows::{self, SnapshotRow},
    term::output::Stop,
};

/// Asks once and prints the answer.
///
/// # Errors
///
/// There is no answer, or nobody to print it for.
pub fn run(context: &mut Context) -> Result<(), Stop> {
    let mut client = context.connected::<CgroupsSnapshot>(CgroupsSnapshot::NAME)?;
    let began = Instant::now();
    let answer = client.call(()).and_then(|view| {
        let rows: Result<Vec<SnapshotRow>, _> =
            view.iter().map(|cgroup| cgroup.map(SnapshotRow::from)).collect();
        Ok((rows?, view.generation, view.systemd_enabled))
    });
    let took = began.elapsed();
    let (rows, generation, systemd) =
        answer.map_err(|why| context.failure(CgroupsSnapshot::NAME, &why))?;
    let transport = rows::transport(&client);
    let out = &mut context.out;
    if context.common.json {
        let (microseconds, items) = (took.as_secs_f64() * 1e6, &rows);
        let systemd_enabled = systemd != 0;
        out.json(&Printed { generation, systemd_enabled, transport, microseconds, items })?;
        return Ok(());
    }
    out.table(&rows::snapshot_table(&rows))?;
    let items = rows::count(rows.len(), "item");
    out.line(format_args!("{items}, generation {generation}, {}, {transport}", rows::time(took)))?;
    Ok(out.flush()?)
}

#[derive(Serialize)]
struct Printed<'a> {
    generation: u64,
    systemd_enabled: bool,
    transport: &'static str,
    microseconds: f64,
    items: &'a [SnapshotRow],
}
