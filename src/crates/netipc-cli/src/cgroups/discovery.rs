//! Keeps the table of cgroups up to date: told by the kernel, with a slow walk besides.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    hierarchy::{self, Hierarchy, Unusable},
    identity::identify,
    names::{Named, Names, Sources},
    table::{Facts, Table},
    walk::walk,
    watch::Watch,
};
use crate::{
    bell::{Bell, wait},
    failure,
    published::Published,
    term::escape,
};

/// Where to look, and how often.
#[derive(Clone, Debug)]
pub struct Options {
    /// Another tree than that of this machine, laid out as `/sys/fs/cgroup` is.
    pub root: Option<PathBuf>,
    /// How long to trust that the kernel told of every change.
    pub rescan: Duration,
    /// Who may know the names of containers.
    pub sources: Sources,
}

/// What is told of troubles.
type Notice = dyn Fn(&dyn fmt::Display) + Send;

/// The table of cgroups and the thread that keeps it up to date, which ends with this.
pub struct Discovery {
    table: Arc<Published<Table>>,
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
}

impl Discovery {
    /// Walks the tree once and begins to watch it. What goes wrong later is told to `notice`, once
    /// for each change.
    ///
    /// # Errors
    ///
    /// [`Unusable`] when there is no tree or it cannot be read.
    pub fn start(
        options: Options,
        notice: impl Fn(&dyn fmt::Display) + Send + 'static,
    ) -> Result<Self, Unusable> {
        let system = |why| Unusable::Unreadable("/proc/self/fd".into(), why);
        let bell = Arc::new(Bell::new().map_err(system)?);
        let news = Arc::clone(&bell);
        let names = Names::start(options.sources.clone(), move || news.ring(reason::NAMES))
            .map_err(system)?;
        let mut scanner = Scanner {
            hierarchies: hierarchies(options.root.as_deref())?,
            watch: Watch::new().map_err(system)?,
            table: Arc::default(),
            bell: Arc::clone(&bell),
            notice: Box::new(notice),
            last_notice: String::new(),
            names,
            options,
        };
        scanner.scan()?;
        let table = Arc::clone(&scanner.table);
        let thread = thread::Builder::new()
            .name("discovery".into())
            .spawn(move || scanner.run())
            .map_err(system)?;
        Ok(Discovery { table, bell, thread: Some(thread) })
    }

    /// The table of this moment.
    pub fn table(&self) -> Arc<Table> {
        self.table.latest()
    }

    /// Asks for a walk soon, as somebody looked for a cgroup that is not in the table.
    pub fn wake(&self) {
        self.bell.ring(reason::MISSING);
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.bell.ring(reason::STOP);
        if let Some(thread) = self.thread.take() {
            // It panicked: that was told on standard error already.
            let _ = thread.join();
        }
    }
}

fn hierarchies(root: Option<&Path>) -> Result<Vec<Hierarchy>, Unusable> {
    root.map_or_else(hierarchy::mounted, hierarchy::below)
}

/// After a change, wait for those that follow at once.
const SETTLE: Duration = Duration::from_millis(50);
/// However often a cgroup is missed, walk no more often than this.
const MISSING: Duration = Duration::from_secs(1);
/// With directories unwatched, walk at least this often.
const UNWATCHED: Duration = Duration::from_secs(5);
/// Walk at most this share of the time: one part in five.
const REST: u32 = 4;

struct Scanner {
    options: Options,
    hierarchies: Vec<Hierarchy>,
    watch: Watch,
    names: Names,
    table: Arc<Published<Table>>,
    bell: Arc<Bell>,
    notice: Box<Notice>,
    last_notice: String,
}

impl Scanner {
    fn run(mut self) {
        let mut ended = Instant::now();
        let mut rest = SETTLE;
        let mut due = ended + self.interval(true);
        loop {
            if let Err(why) = wait(&[self.bell.fd(), self.watch.queue()], due) {
                return (self.notice)(&format_args!("watch cgroups: {why}"));
            }
            let reasons = self.bell.take();
            if reasons & reason::STOP != 0 {
                return;
            }
            if self.watch.drain() {
                due = due.min((Instant::now() + SETTLE).max(ended + rest));
            }
            if reasons & reason::NAMES != 0 {
                due = due.min(ended + rest);
            }
            if reasons & reason::MISSING != 0 {
                due = due.min(ended + rest.max(MISSING));
            }
            let began = Instant::now();
            if began < due {
                continue;
            }
            let looked = self.look_again();
            if let Err(why) = &looked {
                self.tell(why.to_string());
            }
            let interval = self.interval(looked.is_ok());
            ended = Instant::now();
            rest = SETTLE.max((ended - began) * REST);
            due = ended + interval.max(rest);
        }
    }

    fn look_again(&mut self) -> Result<(), Unusable> {
        self.hierarchies = hierarchies(self.options.root.as_deref())?;
        self.scan()
    }

    /// Walks the tree and publishes a table, if it says anything new.
    fn scan(&mut self) -> Result<(), Unusable> {
        self.watch.forget_gap();
        let walk = walk(&self.hierarchies, &mut |dir| self.watch.add(dir))
            .map_err(|blocked| Unusable::Unreadable(blocked.dir, blocked.why))?;
        let mut table = Table::new(&walk, &Live(&self.names));
        let last = self.table.latest();
        if last.generation == 0 || !table.says_the_same(&last) {
            table.generation = last.generation + 1;
            self.names.want(nameless(&table, &self.names));
            self.table.publish(table);
        }
        let unreadable = walk.unreadable.iter();
        let mut wrong: Vec<_> = unreadable
            .map(|(dir, why)| {
                format!("read {}: {why}: its cgroups are left out", escape::path(dir))
            })
            .collect();
        if let Some(why) = self.watch.gap() {
            let why = failure::reason(why);
            wrong.push(format!(
                "watch cgroups: {why}: looking every {} s instead (see fs.inotify.max_user_watches)",
                UNWATCHED.as_secs()
            ));
        }
        self.tell(wrong.join("; "));
        Ok(())
    }

    /// How long to wait for the next walk if nothing happens.
    fn interval(&self, went_well: bool) -> Duration {
        let is_told = went_well && self.watch.gap().is_none();
        if is_told { self.options.rescan } else { self.options.rescan.min(UNWATCHED) }
    }

    /// Tells what is wrong, unless that was the last thing told.
    fn tell(&mut self, what: String) {
        if what != self.last_notice {
            if !what.is_empty() {
                (self.notice)(&what);
            }
            self.last_notice = what;
        }
    }
}

/// The containers in `table` that go by their ids.
fn nameless(table: &Table, names: &Names) -> BTreeSet<String> {
    let identities = table.cgroups().iter().map(|cgroup| identify(&cgroup.path));
    let containers = identities.filter_map(|identity| identity.container);
    containers.filter(|id| names.named(id).is_none()).collect()
}

/// Facts of this machine, at this moment.
struct Live<'a>(&'a Names);

impl Facts for Live<'_> {
    fn named(&self, container: &str) -> Option<Named> {
        self.0.named(container)
    }

    fn is_pause(&self, procs: &[u8]) -> bool {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let Ok(processes) = fs::read_to_string(OsStr::from_bytes(procs)) else { return false };
        let mut processes = processes.lines();
        let (Some(only), None) = (processes.next(), processes.next()) else { return false };
        fs::read(format!("/proc/{only}/comm")).is_ok_and(|comm| comm == b"pause\n")
    }
}

/// Why the scanner is woken.
mod reason {
    pub(super) const STOP: u8 = 1;
    /// A container has a new name.
    pub(super) const NAMES: u8 = 2;
    /// Somebody asked for a cgroup that is not in the table.
    pub(super) const MISSING: u8 = 4;
}

#[cfg(test)]
#[path = "discovery_tests.rs"]
mod tests;
