//! Keeps a table of all processes up to date.

use std::{
    collections::HashMap,
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use netipc::kinds::Orchestrator;

use super::process::{self, Process};
use crate::{
    bell::{Bell, wait},
    cgroups::{
        identity::identify,
        names::{Names, Sources},
        table::{Labels, name_and_labels},
    },
    failure,
    published::Published,
    term::escape,
};

/// The cgroup of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// It is this one.
    Known {
        /// Who made it.
        orchestrator: Orchestrator,
        /// Its path, as the process has it.
        path: Vec<u8>,
        /// What people call it.
        name: Vec<u8>,
        /// Facts besides.
        labels: Labels,
    },
    /// It could not be read this time.
    RetryLater,
    /// It is the root of the cgroup namespace of this provider, or lies outside.
    Unknown {
        /// Its path, as seen from here.
        path: Vec<u8>,
    },
    /// It is in no cgroup of its own, but in the root.
    HostRoot,
}

/// A process and its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What `/proc` tells.
    pub process: Process,
    /// Its cgroup, shared among those in it.
    pub membership: Arc<Membership>,
}

/// All processes at one moment. Immutable once published.
#[derive(Debug, Default)]
pub struct Table {
    /// Counts the changes since the provider began.
    pub generation: u64,
    entries: HashMap<u32, Entry>,
}

impl Table {
    /// The process with this PID.
    pub fn lookup(&self, pid: u32) -> Option<&Entry> {
        self.entries.get(&pid)
    }

    /// How many processes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Where to look, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the processes are: `/proc`.
    pub proc: PathBuf,
    /// How long a table is good.
    pub interval: Duration,
    /// Who may know the names of containers.
    pub sources: Sources,
}

/// The table of processes and the thread that keeps it up to date, which ends with this.
pub struct Scanner {
    table: Arc<Published<Table>>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

/// Why the thread is woken.
mod reason {
    pub(super) const STOP: u8 = 1;
    /// Somebody asked for a process that is not in the table.
    pub(super) const MISSING: u8 = 2;
}

impl Scanner {
    /// Reads all processes once and begins to do so again and again. What goes wrong later is told
    /// to `notice`, once for each change.
    ///
    /// # Errors
    ///
    /// The directory cannot be read, or the process has no descriptors left.
    pub fn start(
        options: Options,
        notice: impl Fn(&dyn fmt::Display) + Send + 'static,
    ) -> io::Result<Self> {
        let bell = Arc::new(Bell::new()?);
        // A new name is found by the next scan, which is never far.
        let names = Names::start(options.sources.clone(), || ())?;
        let table = Arc::<Published<Table>>::default();
        let worker = Worker { options, names, table: Arc::clone(&table), bell: Arc::clone(&bell) };
        worker.scan()?;
        let thread =
            thread::Builder::new().name("processes".into()).spawn(move || worker.run(&notice))?;
        Ok(Scanner { table, bell, thread: Some(thread) })
    }

    /// The table of this moment.
    pub fn table(&self) -> Arc<Table> {
        self.table.latest()
    }

    /// Asks for a scan soon, as somebody looked for a process that is not in the table.
    pub fn wake(&self) {
        self.bell.ring(reason::MISSING);
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        self.bell.ring(reason::STOP);
        if let Some(thread) = self.thread.take() {
            // It panicked: that was told on standard error already.
            let _ = thread.join();
        }
    }
}

struct Worker {
    options: Options,
    names: Names,
    table: Arc<Published<Table>>,
    bell: Arc<Bell>,
}

/// However often a process is missed, scan no more often than this.
const SOONEST: Duration = Duration::from_millis(100);
/// Scan at most this share of the time: one part in five.
const REST: u32 = 4;

impl Worker {
    fn run(self, notice: &dyn Fn(&dyn fmt::Display)) {
        let mut last_notice = String::new();
        let mut ended = Instant::now();
        let mut rest = SOONEST;
        let mut due = ended + self.options.interval;
        loop {
            if let Err(why) = wait(&[self.bell.fd()], due) {
                return notice(&format_args!("wait for the next scan: {why}"));
            }
            let reasons = self.bell.take();
            if reasons & reason::STOP != 0 {
                return;
            }
            if reasons & reason::MISSING != 0 {
                due = due.min(ended + rest);
            }
            let began = Instant::now();
            if began < due {
                continue;
            }
            let wrong = match self.scan() {
                Ok(()) => String::new(),
                // The last table stays in use.
                Err(why) => {
                    format!("read {}: {}", escape::path(&self.options.proc), failure::reason(&why))
                }
            };
            if wrong != last_notice {
                if !wrong.is_empty() {
                    notice(&wrong);
                }
                last_notice = wrong;
            }
            ended = Instant::now();
            rest = SOONEST.max((ended - began) * REST);
            due = ended + self.options.interval.max(rest);
        }
    }

    /// Reads all processes and publishes a table, if it says anything new.
    fn scan(&self) -> io::Result<()> {
        let processes = read_all(&self.options.proc)?;
        let host_root = host_root(&processes);
        let mut memberships: HashMap<Vec<u8>, Arc<Membership>> = HashMap::new();
        let mut nameless = Vec::new();
        let mut entries = HashMap::with_capacity(processes.len());
        for (pid, process) in processes {
            let membership = match memberships.get(&process.cgroup) {
                Some(known) => Arc::clone(known),
                None => {
                    let membership = Arc::new(self.membership(
                        &process.cgroup,
                        host_root.as_deref(),
                        &mut nameless,
                    ));
                    memberships.insert(process.cgroup.clone(), Arc::clone(&membership));
                    membership
                }
            };
            entries.insert(pid, Entry { process, membership });
        }
        self.names.want(nameless.into_iter().collect());
        let last = self.table.latest();
        if last.generation == 0 || last.entries != entries {
            self.table.publish(Table { generation: last.generation + 1, entries });
        }
        Ok(())
    }

    fn membership(
        &self,
        path: &[u8],
        host_root: Option<&[u8]>,
        nameless: &mut Vec<String>,
    ) -> Membership {
        if path.is_empty() {
            return Membership::RetryLater;
        }
        if path == host_root.unwrap_or(b"/") {
            return Membership::HostRoot;
        }
        // Where the root of the namespace is in the tree cannot be known from inside.
        if path == b"/" || is_above(path) {
            return Membership::Unknown { path: path.to_vec() };
        }
        let identity = identify(path);
        let (name, labels) = name_and_labels(&identity, &mut |id| {
            let named = self.names.named(id);
            if named.is_none() {
                nameless.push(id.to_owned());
            }
            named
        });
        let orchestrator = identity.orchestrator;
        Membership::Known { orchestrator, path: path.to_vec(), name, labels }
    }
}

/// All processes in `proc`. Those that end meanwhile are left out, and so is what is no process.
fn read_all(proc: &Path) -> io::Result<Vec<(u32, Process)>> {
    let mut buffer = Vec::new();
    let mut processes = Vec::new();
    for entry in fs::read_dir(proc)? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // Gone, hidden, or not to be understood: not known either way.
        if let Ok(process) = process::read(&proc.join(&name), &mut buffer) {
            processes.push((pid, process));
        }
    }
    Ok(processes)
}

/// The root of all cgroups, as seen from here: where the parent of all kernel threads is.
fn host_root(processes: &[(u32, Process)]) -> Option<Vec<u8>> {
    let is_kthreadd = |process: &Process| process.ppid == 0 && process.comm == b"kthreadd";
    let found = processes.iter().find(|(pid, process)| *pid == 2 && is_kthreadd(process));
    found.map(|(_, process)| process.cgroup.clone()).filter(|path| !path.is_empty())
}

/// Whether a path leads only up, out of the namespace it is seen from.
fn is_above(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').skip(1).all(|component| component == b"..")
}

#[cfg(test)]
#[path = "scanner_tests.rs"]
mod tests;
