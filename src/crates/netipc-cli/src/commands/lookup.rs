//! `netipc lookup`: prints what is known of some keys.

use std::{
    ffi::OsString,
    io::{self, Read},
    os::unix::ffi::OsStringExt,
};

use netipc::{
    Labels,
    kinds::{AppsLookup, CgroupsLookup, Orchestrator, apps_lookup, cgroups_lookup},
    proto::{Lookup as _, Shortfall},
};
use serde::{
    Serialize,
    ser::{SerializeMap, Serializer},
};

use crate::{
    context::Context,
    failure::{Exit, Failure},
    json, rows,
    term::{
        escape,
        output::Stop,
        style,
        table::{Cell, Column, Cut, Table},
    },
};

/// Looks up cgroups by their paths.
///
/// # Errors
///
/// The paths cannot be read, there is no answer, nothing is known of any path, or nobody reads what
/// is printed.
pub fn cgroups(context: &mut Context, paths: Vec<OsString>, null: bool) -> Result<(), Stop> {
    let separator = if null { 0 } else { b'\n' };
    let paths = keys(paths, separator)?;
    for path in &paths {
        let wrong = if path.is_empty() {
            "is empty"
        } else if path.contains(&0) {
            "has a NUL byte in it"
        } else {
            continue;
        };
        let message = format!("path {:?} {wrong}", escape::bytes(path));
        return Err(Failure::new(Exit::Usage, message).into());
    }
    let paths: Vec<&[u8]> = paths.iter().map(Vec::as_slice).collect();
    let mut client = context.connected::<CgroupsLookup>(CgroupsLookup::NAME)?;
    let found = client.lookup(&paths).map(|found| {
        let rows: Vec<_> = found.iter().map(|item| CgroupRow::new(item.key, item.value)).collect();
        (rows, found.generation)
    });
    let (rows, generation) = found.map_err(|why| context.failure(CgroupsLookup::NAME, &why))?;
    let table = || {
        let mut table = Table::new([
            Column::left("STATUS"),
            Column::left("ORCH"),
            Column::left("NAME").cut(Cut::Back),
            Column::left("PATH").cut(Cut::Front),
            Column::left("LABELS").cut(Cut::Back),
        ]);
        rows.iter().for_each(|row| table.push(row.cells()));
        table
    };
    print(context, &rows, generation, rows::transport(&client), table)?;
    ensure_found(rows.iter().map(|row| row.status), "cgroup at any of these paths")
}

/// Looks up processes by their PIDs.
///
/// # Errors
///
/// The PIDs cannot be read, there is no answer, nothing is known of any PID, or nobody reads what
/// is printed.
pub fn apps(context: &mut Context, pids: Vec<String>) -> Result<(), Stop> {
    let given = keys(pids.into_iter().map(OsString::from).collect(), b'\n')?;
    let pids: Result<Vec<u32>, Failure> = given.iter().map(|text| pid(text)).collect();
    let pids = pids?;
    let mut client = context.connected::<AppsLookup>(AppsLookup::NAME)?;
    let found = client.lookup(&pids).map(|found| {
        let rows: Vec<_> = found.iter().map(|item| AppRow::new(item.key, item.value)).collect();
        (rows, found.generation)
    });
    let (rows, generation) = found.map_err(|why| context.failure(AppsLookup::NAME, &why))?;
    let table = || {
        let mut table = Table::new([
            Column::right("PID"),
            Column::left("STATUS"),
            Column::right("PPID"),
            Column::right("UID"),
            Column::right("STARTED"),
            Column::left("COMM"),
            Column::left("CGROUP"),
            Column::left("ORCH"),
            Column::left("NAME").cut(Cut::Back),
            Column::left("PATH").cut(Cut::Front),
        ]);
        rows.iter().for_each(|row| table.push(row.cells()));
        table
    };
    print(context, &rows, generation, rows::transport(&client), table)?;
    ensure_found(rows.iter().map(|row| row.status), "process with any of these PIDs")
}

/// The keys given, with those of standard input in the place of `-`.
fn keys(given: Vec<OsString>, separator: u8) -> Result<Vec<Vec<u8>>, Failure> {
    let mut keys = Vec::new();
    for key in given {
        if key != "-" {
            keys.push(key.into_vec());
            continue;
        }
        let mut input = Vec::new();
        io::stdin()
            .lock()
            .read_to_end(&mut input)
            .map_err(|why| Failure::system("read standard input", &why))?;
        let lines = input.split(|&byte| byte == separator).filter(|line| !line.is_empty());
        keys.extend(lines.map(<[u8]>::to_vec));
    }
    Ok(keys)
}

fn pid(text: &[u8]) -> Result<u32, Failure> {
    let digits = std::str::from_utf8(text).ok().map(str::trim);
    let plain = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    plain.and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        Failure::new(Exit::Usage, format_args!("{:?} is no PID", escape::bytes(text)))
            .hint("PIDs are numbers from 0 to 4294967295")
    })
}

fn print(
    context: &mut Context,
    rows: &[impl Serialize],
    generation: u64,
    transport: &str,
    table: impl FnOnce() -> Table,
) -> Result<(), Stop> {
    let out = &mut context.out;
    if context.common.json {
        out.json(&Printed { generation, transport, items: rows })?;
        return Ok(());
    }
    out.table(&table())?;
    let items = rows::count(rows.len(), "item");
    out.line(format_args!("{items}, generation {generation}, {transport}"))?;
    Ok(out.flush()?)
}

#[derive(Serialize)]
struct Printed<'a, T> {
    generation: u64,
    transport: &'a str,
    items: &'a [T],
}

/// A failure if keys were asked for and nothing is known of any, nor will be.
fn ensure_found(
    mut statuses: impl ExactSizeIterator<Item = Status>,
    what: &str,
) -> Result<(), Stop> {
    if statuses.len() > 0 && statuses.all(|status| status == Status::Unknown) {
        return Err(Failure::new(Exit::NotFound, format_args!("there is no {what}")).into());
    }
    Ok(())
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Known,
    RetryLater,
    Unknown,
    Oversized,
    HostRoot,
}

impl Status {
    fn name(self) -> &'static str {
        match self {
            Status::Known => "known",
            Status::RetryLater => "retry-later",
            Status::Unknown => "unknown",
            Status::Oversized => "oversized",
            Status::HostRoot => "host-root",
        }
    }

    fn cell(self) -> Cell {
        let style = match self {
            Status::Known | Status::HostRoot => style::GOOD,
            Status::RetryLater => style::ODD,
            Status::Unknown => style::FAINT,
            Status::Oversized => style::BAD,
        };
        Cell::from(self.name()).styled(style)
    }
}

impl From<Shortfall> for Status {
    fn from(_: Shortfall) -> Self {
        // The other shortfall, a full message, is asked again by the library.
        Status::Oversized
    }
}

type OwnedLabels = Vec<(Vec<u8>, Vec<u8>)>;

fn owned(labels: Labels<'_>) -> OwnedLabels {
    let pairs = labels.iter();
    pairs.map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// A cgroup and what is known of it.
#[derive(Debug)]
struct CgroupRow {
    path: Vec<u8>,
    status: Status,
    orchestrator: Orchestrator,
    name: Vec<u8>,
    labels: OwnedLabels,
}

impl CgroupRow {
    fn new(path: &[u8], value: Result<cgroups_lookup::Cgroup<'_>, Shortfall>) -> Self {
        use cgroups_lookup::Cgroup;
        let mut row = CgroupRow {
            path: path.to_vec(),
            status: Status::Known,
            orchestrator: Orchestrator::UNKNOWN,
            name: Vec::new(),
            labels: Vec::new(),
        };
        match value {
            Ok(Cgroup::Known { orchestrator, name, labels }) => {
                row.orchestrator = orchestrator;
                row.name = name.as_bytes().to_vec();
                row.labels = owned(labels);
            }
            Ok(Cgroup::RetryLater) => row.status = Status::RetryLater,
            Ok(Cgroup::Unknown) => row.status = Status::Unknown,
            Err(shortfall) => row.status = shortfall.into(),
        }
        row
    }

    fn cells(&self) -> [Cell; 5] {
        let labels: Vec<_> = self
            .labels
            .iter()
            .map(|(key, value)| format!("{}={}", escape::bytes(key), escape::bytes(value)))
            .collect();
        [
            self.status.cell(),
            rows::orchestrator(self.orchestrator),
            Cell::bytes(&self.name),
            Cell::bytes(&self.path),
            if labels.is_empty() { "-".into() } else { labels.join(" ").into() },
        ]
    }
}

impl Serialize for CgroupRow {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        json::bytes(&mut map, "path", &self.path)?;
        map.serialize_entry("status", self.status.name())?;
        if self.status == Status::Known {
            map.serialize_entry("orchestrator", &rows::orchestrator_json(self.orchestrator))?;
            json::bytes(&mut map, "name", &self.name)?;
            map.serialize_entry("labels", &json::Labels(&self.labels))?;
        }
        map.end()
    }
}

/// A PID and what is known of its process.
#[derive(Debug)]
struct AppRow {
    pid: u32,
    status: Status,
    process: Option<KnownProcess>,
}

#[derive(Debug)]
struct KnownProcess {
    ppid: u32,
    uid: Option<u32>,
    starttime: u64,
    comm: Vec<u8>,
    cgroup_status: Status,
    orchestrator: Orchestrator,
    path: Vec<u8>,
    name: Vec<u8>,
    labels: OwnedLabels,
}

impl AppRow {
    fn new(pid: u32, value: Result<Option<apps_lookup::Process<'_>>, Shortfall>) -> Self {
        match value {
            Ok(Some(process)) => {
                AppRow { pid, status: Status::Known, process: Some(KnownProcess::new(&process)) }
            }
            Ok(None) => AppRow { pid, status: Status::Unknown, process: None },
            Err(shortfall) => AppRow { pid, status: shortfall.into(), process: None },
        }
    }

    fn cells(&self) -> [Cell; 10] {
        let none = || Cell::from("-");
        let pid = self.pid.to_string().into();
        let status = self.status.cell();
        let Some(process) = &self.process else {
            return [pid, status, none(), none(), none(), none(), none(), none(), none(), none()];
        };
        [
            pid,
            status,
            process.ppid.to_string().into(),
            process.uid.map_or_else(none, |uid| uid.to_string().into()),
            process.starttime.to_string().into(),
            Cell::bytes(&process.comm),
            process.cgroup_status.cell(),
            rows::orchestrator(process.orchestrator),
            Cell::bytes(&process.name),
            Cell::bytes(&process.path),
        ]
    }
}

impl KnownProcess {
    fn new(process: &apps_lookup::Process<'_>) -> Self {
        use apps_lookup::Cgroup;
        let mut known = KnownProcess {
            ppid: process.ppid,
            uid: process.uid,
            starttime: process.starttime,
            comm: process.comm.as_bytes().to_vec(),
            cgroup_status: Status::Known,
            orchestrator: Orchestrator::UNKNOWN,
            path: Vec::new(),
            name: Vec::new(),
            labels: Vec::new(),
        };
        match process.cgroup {
            Cgroup::Known { orchestrator, path, name, labels } => {
                known.orchestrator = orchestrator;
                known.path = path.as_bytes().to_vec();
                known.name = name.as_bytes().to_vec();
                known.labels = owned(labels);
            }
            Cgroup::RetryLater { path } => {
                known.cgroup_status = Status::RetryLater;
                known.path = path.as_bytes().to_vec();
            }
            Cgroup::Unknown { path } => {
                known.cgroup_status = Status::Unknown;
                known.path = path.as_bytes().to_vec();
            }
            Cgroup::HostRoot => known.cgroup_status = Status::HostRoot,
        }
        known
    }
}

impl Serialize for AppRow {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("pid", &self.pid)?;
        map.serialize_entry("status", self.status.name())?;
        if let Some(process) = &self.process {
            map.serialize_entry("ppid", &process.ppid)?;
            map.serialize_entry("uid", &process.uid)?;
            map.serialize_entry("starttime", &process.starttime)?;
            json::bytes(&mut map, "comm", &process.comm)?;
            map.serialize_entry("cgroup_status", process.cgroup_status.name())?;
            map.serialize_entry("orchestrator", &rows::orchestrator_json(process.orchestrator))?;
            json::bytes(&mut map, "cgroup_path", &process.path)?;
            json::bytes(&mut map, "cgroup_name", &process.name)?;
            map.serialize_entry("labels", &json::Labels(&process.labels))?;
        }
        map.end()
    }
}
