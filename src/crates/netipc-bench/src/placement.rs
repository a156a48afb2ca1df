//! Where the two sides of a case run: on two CPUs, on one, or wherever the kernel likes.

use std::{
    fmt, fs, io,
    process::{Child, Command},
};

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Serialize, Serializer};

/// Which CPUs the two sides of a case have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Each side on a CPU of its own; a case of one process has both. Written X.
    Across,
    /// Both sides on one CPU. Written S.
    Same,
    /// No side is pinned. Written N.
    Unpinned,
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Placement::Across => "X",
            Placement::Same => "S",
            Placement::Unpinned => "N",
        })
    }
}

impl Serialize for Placement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One process of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
    /// A case of one process.
    Solo,
}

/// The CPUs this run may use.
pub(crate) struct Cpus {
    allowed: CpuSet,
    first: usize,
    /// A CPU on another core than `first`, if there is one; at least another hardware thread.
    second: Option<usize>,
}

impl Cpus {
    /// Finds out what the process may use, as it was started.
    pub(crate) fn detect() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("ask which CPUs this process may use")?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        let Some(first) = usable.next() else { bail!("this process may use no CPU") };
        let others: Vec<usize> = usable.collect();
        let siblings = siblings(first);
        let second = others.iter().find(|cpu| !siblings.contains(cpu)).or(others.first()).copied();
        Ok(Cpus { allowed, first, second })
    }

    /// The CPUs of one side, or `None` if the machine cannot place a case like that.
    pub(crate) fn of(&self, placement: Placement, side: Side) -> Option<CpuSet> {
        Some(match (placement, side) {
            (Placement::Across, Side::Server) => only(&[self.first]),
            (Placement::Across, Side::Client) => only(&[self.second?]),
            (Placement::Across, Side::Solo) => only(&[self.first, self.second?]),
            (Placement::Same, _) => only(&[self.first]),
            (Placement::Unpinned, _) => self.allowed,
        })
    }

    /// Starts `command` so that all its threads run on `cpus`.
    ///
    /// A child inherits the CPUs of the thread that starts it; this thread has its own back after.
    pub(crate) fn spawn(&self, command: &mut Command, cpus: &CpuSet) -> io::Result<Child> {
        sched_setaffinity(None, cpus)?;
        let child = command.spawn();
        sched_setaffinity(None, &self.allowed)?;
        child
    }

    /// How many CPUs this run may use.
    pub(crate) fn count(&self) -> usize {
        self.allowed.count() as usize
    }

    /// The pinned CPUs, for the report.
    pub(crate) fn describe(&self) -> String {
        let second = self.second.map_or("none".into(), |cpu| cpu.to_string());
        format!("{} allowed; pinned: {} and {second}", self.allowed.count(), self.first)
    }
}

fn only(cpus: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    set
}

/// The hardware threads of the core that `cpu` belongs to; only itself if the system does not say.
fn siblings(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    fs::read_to_string(path).map_or(vec![cpu], |list| parse_cpu_list(list.trim()))
}

/// Reads `0-1,8` as 0, 1, 8.
fn parse_cpu_list(list: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        Some(from.parse().ok()?..=to.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_list_of_cpus() {
        assert_eq!(parse_cpu_list("0"), [0]);
        assert_eq!(parse_cpu_list("0-1,8"), [0, 1, 8]);
        assert_eq!(parse_cpu_list(""), [0usize; 0]);
    }

    #[test]
    fn both_sides_share_the_cpu_in_s_and_none_in_x() {
        let cpus = Cpus { allowed: only(&[2, 5]), first: 2, second: Some(5) };
        assert_eq!(cpus.of(Placement::Same, Side::Client), Some(only(&[2])));
        assert_eq!(cpus.of(Placement::Same, Side::Server), Some(only(&[2])));
        assert_eq!(cpus.of(Placement::Across, Side::Server), Some(only(&[2])));
        assert_eq!(cpus.of(Placement::Across, Side::Client), Some(only(&[5])));
        assert_eq!(cpus.of(Placement::Unpinned, Side::Client), Some(only(&[2, 5])));
    }

    #[test]
    fn one_cpu_has_no_placement_across() {
        let cpus = Cpus { allowed: only(&[0]), first: 0, second: None };
        assert_eq!(cpus.of(Placement::Across, Side::Client), None);
        assert_eq!(cpus.of(Placement::Across, Side::Solo), None);
    }
}
