//! What clients got, as rows: owned, printable, and for programs.

use std::time::Duration;

use netipc::{
    Client,
    kinds::{Orchestrator, cgroups_snapshot},
    transport::Carrier,
};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::{
    cgroups::{identity::identify, table::SYSTEM_SERVICE},
    json,
    term::{
        style,
        table::{Cell, Column, Cut, Table},
    },
};

/// A cgroup of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotRow {
    /// Its name.
    pub name: Vec<u8>,
    /// The path of its `cgroup.procs`.
    pub path: Vec<u8>,
    /// The hash of its name, as the provider computes it.
    pub hash: u32,
    /// Bits.
    pub options: u32,
    /// Whether it is monitored.
    pub enabled: u32,
}

impl From<cgroups_snapshot::Cgroup<'_>> for SnapshotRow {
    fn from(cgroup: cgroups_snapshot::Cgroup<'_>) -> Self {
        SnapshotRow {
            name: cgroup.name.as_bytes().to_vec(),
            path: cgroup.path.as_bytes().to_vec(),
            hash: cgroup.hash,
            options: cgroup.options,
            enabled: cgroup.enabled,
        }
    }
}

impl SnapshotRow {
    /// Who runs it, as far as its path tells: a snapshot does not say.
    pub fn orchestrator(&self) -> Orchestrator {
        if self.options & SYSTEM_SERVICE != 0 {
            return Orchestrator::SYSTEMD;
        }
        let dir = self.path.strip_suffix(b"/cgroup.procs").unwrap_or(&self.path);
        // Where the tree is mounted is not known either, only where these begin.
        let machines = dir.windows(15).position(|window| window == b"/machine.slice/");
        identify(&dir[machines.unwrap_or(0)..]).orchestrator
    }
}

impl Serialize for SnapshotRow {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        json::bytes(&mut map, "name", &self.name)?;
        json::bytes(&mut map, "path", &self.path)?;
        map.serialize_entry("hash", &self.hash)?;
        map.serialize_entry("options", &self.options)?;
        map.serialize_entry("enabled", &(self.enabled != 0))?;
        map.end()
    }
}

/// The rows of a snapshot as a table.
pub fn snapshot_table<'a>(rows: impl IntoIterator<Item = &'a SnapshotRow>) -> Table {
    let mut table = Table::new([
        Column::left("ENABLED"),
        Column::left("ORCH"),
        Column::left("NAME").cut(Cut::Back),
        Column::left("PATH").cut(Cut::Front),
    ]);
    for row in rows {
        let style = if row.enabled == 0 { style::FAINT } else { style::PLAIN };
        let enabled = match row.enabled {
            0 => Cell::from("no"),
            _ => Cell::from("yes").styled(style::GOOD),
        };
        table.push([
            if row.enabled == 0 { enabled.styled(style) } else { enabled },
            orchestrator(row.orchestrator()).styled(style),
            Cell::bytes(&row.name).styled(style),
            Cell::bytes(&row.path).styled(style),
        ]);
    }
    table
}

/// An orchestrator in a table.
pub fn orchestrator(orchestrator: Orchestrator) -> Cell {
    match orchestrator {
        Orchestrator::UNKNOWN => "-".into(),
        other => other.name().map_or_else(|| other.0.to_string(), str::to_owned).into(),
    }
}

/// An orchestrator for programs: its name, or its number where it has none.
pub fn orchestrator_json(orchestrator: Orchestrator) -> serde_json::Value {
    orchestrator.name().map_or_else(|| orchestrator.0.into(), Into::into)
}

/// What carries a client's messages: `ring`, `shm` or `socket`.
pub fn transport<S: netipc::proto::Service>(client: &Client<S>) -> &'static str {
    client.session().map_or("socket", |session| transport_name(session.carrier()))
}

/// The name of a transport in all that is printed.
pub fn transport_name(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Rings => "ring",
        Carrier::SharedMemory => "shm",
        _ => "socket",
    }
}

/// What carries a client's messages, within a sentence.
pub fn carrier_words(carrier: Carrier) -> &'static str {
    match carrier {
        Carrier::Rings => "rings",
        Carrier::SharedMemory => "shared memory",
        _ => "socket",
    }
}

/// A time as people read it: `84 ns`, `1.2 ms`, `3.4 s`.
pub fn time(time: Duration) -> String {
    let nanos = time.as_nanos() as f64;
    match nanos {
        0.0..1e3 => format!("{nanos} ns"),
        1e3..1e6 => format!("{:.1} µs", nanos / 1e3),
        1e6..1e9 => format!("{:.1} ms", nanos / 1e6),
        _ => format!("{:.1} s", nanos / 1e9),
    }
}

/// `1 item`, `2 items`.
pub fn count(number: usize, thing: &str) -> String {
    let plural = match (number, thing.strip_suffix("ss")) {
        (1, _) => "",
        (_, Some(_)) => "es",
        _ => "s",
    };
    format!("{number} {thing}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_times_and_counts() {
        assert_eq!(time(Duration::from_nanos(84)), "84 ns");
        assert_eq!(time(Duration::from_micros(1234)), "1.2 ms");
        assert_eq!(time(Duration::from_millis(3400)), "3.4 s");
        assert_eq!(
            [count(0, "item"), count(1, "process"), count(2, "process")],
            ["0 items", "1 process", "2 processes"]
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_not_lost_to_programs() {
        let row = SnapshotRow {
            name: b"a\xff".to_vec(),
            path: b"/p".to_vec(),
            hash: 1,
            options: 2,
            enabled: 1,
        };
        assert_eq!(
            serde_json::to_string(&row).unwrap(),
            r#"{"name":"a�","name_hex":"61ff","path":"/p","hash":1,"options":2,"enabled":true}"#
        );
    }
}
