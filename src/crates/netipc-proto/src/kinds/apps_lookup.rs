//! `apps-lookup`: what is known of the processes with given PIDs.

use core::ops::RangeInclusive;

use super::Orchestrator;
use crate::{
    item::{Labels, Reader},
    layout::{Defect, Malformed, Span, Unwritable, malformed},
    lookup::{Item, Lookup, Shortfall},
    pen::Pen,
    text::Text,
};

/// The `apps-lookup` service.
#[derive(Clone, Copy, Debug)]
pub struct AppsLookup;

/// A process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process<'a> {
    /// The PID of its parent.
    pub ppid: u32,
    /// The user it runs as, if that is known.
    pub uid: Option<u32>,
    /// In jiffies since boot, as in `/proc/<pid>/stat`.
    pub starttime: u64,
    /// Its name: 1 to [`COMM_MAX`] bytes.
    pub comm: Text<'a>,
    /// The cgroup it is in.
    pub cgroup: Cgroup<'a>,
}

/// The longest name of a process, in bytes.
pub const COMM_MAX: usize = 15;

/// The cgroup of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroup<'a> {
    /// This much is known of it.
    Known {
        /// Who runs it.
        orchestrator: Orchestrator,
        /// Its path; never empty.
        path: Text<'a>,
        /// Its name.
        name: Text<'a>,
        /// What else its orchestrator says of it.
        labels: Labels<'a>,
    },
    /// Nothing but perhaps its path is known yet.
    RetryLater {
        /// Its path, or nothing.
        path: Text<'a>,
    },
    /// Nothing but its path is known, and never will be.
    Unknown {
        /// Its path; never empty.
        path: Text<'a>,
    },
    /// It is in none: it belongs to the host itself.
    HostRoot,
}

layout! {
    /// One PID in a request.
    pub struct ProcessKey: 8 {
        /// The PID.
        0 pid: u32,
    } fixed {
        4 reserved: u32 = 0;
    }
}

layout! {
    /// One process in a reply. Its strings and labels follow.
    pub struct ProcessItem: 60 {
        /// What is known, or why nothing is said.
        2  status:        ProcessStatus,
        /// Who runs the cgroup.
        4  orchestrator:  Orchestrator,
        /// What is known of the cgroup.
        6  cgroup_status: ProcessCgroupStatus,
        /// The PID, as asked.
        8  pid:           u32,
        /// The PID of the parent.
        12 ppid:          u32,
        /// The user, or `0xffff_ffff`.
        16 uid:           u32,
        /// In jiffies since boot.
        24 starttime:     u64,
        /// Where the name lies, from the start of the item.
        32 comm:          Span,
        /// Where the cgroup's path lies, from the start of the item.
        40 cgroup_path:   Span,
        /// Where the cgroup's name lies, from the start of the item.
        48 cgroup_name:   Span,
        /// How many labels there are.
        56 label_count:   u16,
    } fixed {
        0  layout_version: u16 = 1;
        20 reserved:       u32 = 0;
        58 reserved_too:   u16 = 0;
    }
}

codes! {
    /// What is known of a process, or why nothing is said.
    pub enum ProcessStatus: u16 {
        /// The rest of the item says what.
        Known = 0,
        /// There is no such process.
        Unknown = 1,
        /// The message was full.
        PayloadExceeded = 2,
        /// It fits in no message.
        Oversized = 3,
    }
}

codes! {
    /// What is known of the cgroup of a process.
    pub enum ProcessCgroupStatus: u16 {
        /// The rest of the item says what.
        Known = 0,
        /// Nothing yet.
        RetryLater = 1,
        /// Nothing, and never will be.
        Unknown = 2,
        /// The process belongs to the host itself.
        HostRoot = 3,
    }
}

/// The user of whom nothing is known.
pub const UID_UNSET: u32 = u32::MAX;

/// What stands on the wire for a process that is not known.
const NOBODY: Process<'_> = Process {
    ppid: 0,
    uid: None,
    starttime: 0,
    comm: Text::new(b""),
    cgroup: Cgroup::Known {
        orchestrator: Orchestrator::UNKNOWN,
        path: Text::new(b""),
        name: Text::new(b""),
        labels: Labels::NONE,
    },
};

impl Lookup for AppsLookup {
    const METHOD: u16 = 5;
    const NAME: &'static str = "apps-lookup";
    const KEY: RangeInclusive<usize> = ProcessKey::LEN..=ProcessKey::LEN;
    const ITEM: usize = ProcessItem::LEN;

    type Key<'a> = u32;
    type Value<'a> = Option<Process<'a>>;

    #[inline]
    fn key_len(_: u32) -> usize {
        ProcessKey::LEN
    }

    #[inline]
    fn bare_len(_: u32) -> usize {
        // The NULs of three strings that are empty.
        ProcessItem::LEN + 3
    }

    #[inline]
    fn write_key(pid: u32, pen: &mut Pen<'_>) -> Result<(), Unwritable> {
        let start = pen.skip(ProcessKey::LEN)?;
        pen.fill(start, |to| ProcessKey { pid }.write(to));
        Ok(())
    }

    #[inline]
    fn read_key(reader: Reader<'_>) -> Result<u32, Malformed> {
        ProcessKey::read(reader.bytes()).map(|key| key.pid)
    }

    // Always, so that the value need not be passed on in memory.
    #[inline(always)]
    fn write(
        pid: u32,
        process: Result<&Option<Process<'_>>, Shortfall>,
        pen: &mut Pen<'_>,
    ) -> Result<(), Unwritable> {
        let (status, process) = match process {
            Ok(Some(process)) => (ProcessStatus::Known, process),
            Ok(None) => (ProcessStatus::Unknown, &NOBODY),
            Err(Shortfall::PayloadExceeded) => (ProcessStatus::PayloadExceeded, &NOBODY),
            Err(Shortfall::Oversized) => (ProcessStatus::Oversized, &NOBODY),
        };
        let nothing = (Orchestrator::UNKNOWN, Text::default(), Labels::NONE);
        let (cgroup_status, path, (orchestrator, name, labels)) = match process.cgroup {
            Cgroup::Known { orchestrator, path, name, labels } => {
                (ProcessCgroupStatus::Known, path, (orchestrator, name, labels))
            }
            Cgroup::RetryLater { path } => (ProcessCgroupStatus::RetryLater, path, nothing),
            Cgroup::Unknown { path } => (ProcessCgroupStatus::Unknown, path, nothing),
            Cgroup::HostRoot => (ProcessCgroupStatus::HostRoot, Text::default(), nothing),
        };
        if status == ProcessStatus::Known {
            if !(1..=COMM_MAX).contains(&process.comm.len()) {
                return Err(Unwritable::Invalid(&"process name of 0 or more than 15 bytes"));
            }
            let needs_path =
                matches!(process.cgroup, Cgroup::Known { .. } | Cgroup::Unknown { .. });
            if needs_path && path.is_empty() {
                return Err(Unwritable::Invalid(&"cgroup without a path"));
            }
        }
        let start = pen.skip(ProcessItem::LEN)?;
        let comm = pen.string(process.comm.as_bytes())?;
        let cgroup_path = pen.string(path.as_bytes())?;
        let cgroup_name = pen.string(name.as_bytes())?;
        let label_count = pen.labels(labels)?;
        let head = ProcessItem {
            status,
            orchestrator,
            cgroup_status,
            pid,
            ppid: process.ppid,
            uid: process.uid.unwrap_or(UID_UNSET),
            starttime: process.starttime,
            comm,
            cgroup_path,
            cgroup_name,
            label_count,
        };
        pen.fill(start, |to| head.write(to));
        Ok(())
    }

    // Always, so that the checks are left out where the item was read before.
    #[inline(always)]
    fn read<'a>(mut reader: Reader<'a>) -> Result<Item<'a, Self>, Malformed> {
        let head = ProcessItem::read(reader.bytes())?;
        if reader.is_new() && !is_consistent(&head) {
            return Err(malformed(Defect::BadLayout, "ProcessItem", 2, "contradicts its status"));
        }
        let spans = [head.comm, head.cgroup_path, head.cgroup_name];
        let [comm, path, name] = reader.strings(ProcessItem::LEN, spans)?;
        let labels = reader.labels(head.label_count)?;
        let ProcessItem { orchestrator, pid, ppid, starttime, .. } = head;
        let uid = Some(head.uid).filter(|&uid| uid != UID_UNSET);
        let cgroup = match head.cgroup_status {
            ProcessCgroupStatus::Known => Cgroup::Known { orchestrator, path, name, labels },
            ProcessCgroupStatus::RetryLater => Cgroup::RetryLater { path },
            ProcessCgroupStatus::Unknown => Cgroup::Unknown { path },
            ProcessCgroupStatus::HostRoot => Cgroup::HostRoot,
        };
        let value = match head.status {
            ProcessStatus::Known => Ok(Some(Process { ppid, uid, starttime, comm, cgroup })),
            ProcessStatus::Unknown => Ok(None),
            ProcessStatus::PayloadExceeded => Err(Shortfall::PayloadExceeded),
            ProcessStatus::Oversized => Err(Shortfall::Oversized),
        };
        Ok(Item { key: pid, value })
    }

    #[inline]
    fn outline(item: &[u8]) -> Result<(u32, Option<Shortfall>), Malformed> {
        let ProcessItem { status, pid, .. } = ProcessItem::read(item)?;
        let shortfall = match status {
            ProcessStatus::PayloadExceeded => Some(Shortfall::PayloadExceeded),
            ProcessStatus::Oversized => Some(Shortfall::Oversized),
            ProcessStatus::Known | ProcessStatus::Unknown => None,
        };
        Ok((pid, shortfall))
    }
}

/// Whether an item says no more than its status allows.
fn is_consistent(head: &ProcessItem) -> bool {
    let no_path = head.cgroup_path.length == 0;
    let bare = head.orchestrator == Orchestrator::UNKNOWN
        && head.cgroup_name.length == 0
        && head.label_count == 0;
    let comm = head.comm.length as usize;
    if head.status != ProcessStatus::Known {
        let nobody = (head.ppid, head.uid, head.starttime, comm) == (0, UID_UNSET, 0, 0);
        return nobody && bare && no_path && head.cgroup_status == ProcessCgroupStatus::Known;
    }
    (1..=COMM_MAX).contains(&comm)
        && match head.cgroup_status {
            ProcessCgroupStatus::Known => !no_path,
            ProcessCgroupStatus::RetryLater => bare,
            ProcessCgroupStatus::Unknown => bare && !no_path,
            ProcessCgroupStatus::HostRoot => bare && no_path,
        }
}
