//! The table of all cgroups: what the services answer from.

use std::collections::{HashMap, HashSet};

use netipc::kinds::Orchestrator;

use super::{
    enabled::is_enabled,
    identity::{Identity, identify},
    names::Named,
    walk::{Found, Walk, is_closed},
};

/// Set on the second cgroup of a name, which is not enabled.
pub const DUPLICATE: u32 = 1;
/// Set on the service of a unit of systemd.
pub const SYSTEM_SERVICE: u32 = 2;
/// Set on a cgroup of the unified hierarchy.
pub const UNIFIED: u32 = 4;
/// Set on a cgroup that the default rules leave out.
pub const EXCLUDED: u32 = 8;

/// One cgroup, as the services tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its name within the hierarchy, such as `/system.slice/nginx.service`.
    pub path: Vec<u8>,
    /// The full path of its `cgroup.procs`; empty if it has none.
    pub procs: Vec<u8>,
    /// Who made it.
    pub orchestrator: Orchestrator,
    /// What people call it: `nginx`.
    pub name: Vec<u8>,
    /// What its chart is called: `systemd_nginx`.
    pub chart: Vec<u8>,
    /// The FNV-1a hash of [`chart`](Self::chart).
    pub hash: u32,
    /// Bits: [`DUPLICATE`], [`SYSTEM_SERVICE`], [`UNIFIED`], [`EXCLUDED`].
    pub options: u32,
    /// Whether it is worth a look.
    pub enabled: bool,
    /// Facts besides, as keys and values.
    pub labels: Labels,
}

/// What the table says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// It is this cgroup.
    Known(&'a Cgroup),
    /// Not seen yet, but discovery may still come upon it.
    RetryLater,
    /// Discovery never looks there.
    Never,
}

/// All cgroups at one moment. Immutable once published.
#[derive(Debug, Default)]
pub struct Table {
    /// Counts the changes since discovery began.
    pub generation: u64,
    cgroups: Vec<Cgroup>,
    closed: HashSet<Vec<u8>>,
    /// Whether paths are told by their ends alone, as they begin elsewhere than the table's.
    namespaced: bool,
    by_path: HashMap<Vec<u8>, usize>,
    /// The cgroups whose path ends with a component.
    by_last: HashMap<Vec<u8>, Vec<usize>>,
}

/// What a table asks about the cgroups it is made of.
pub(super) trait Facts {
    /// What an engine calls the container.
    fn named(&self, container: &str) -> Option<Named>;
    /// Whether the cgroup with this `cgroup.procs` holds a pause container and nothing else.
    fn is_pause(&self, procs: &[u8]) -> bool;
}

impl Table {
    /// Makes a table of what a walk found.
    pub(super) fn new(walk: &Walk, facts: &dyn Facts) -> Self {
        let mut helpers = Vec::new();
        let mut cgroups = Vec::with_capacity(walk.cgroups.len());
        for found in &walk.cgroups {
            let identity = identify(&found.path);
            helpers.push(identity.helper);
            cgroups.push(describe(found, identity, facts));
        }
        disable_duplicates(&mut cgroups, &helpers);
        let mut by_path = HashMap::with_capacity(cgroups.len());
        let mut by_last: HashMap<_, Vec<_>> = HashMap::with_capacity(cgroups.len());
        for (index, cgroup) in cgroups.iter().enumerate() {
            by_path.insert(cgroup.path.clone(), index);
            by_last.entry(last_component(&cgroup.path).to_vec()).or_default().push(index);
        }
        let closed = walk.closed.iter().cloned().collect();
        let namespaced = walk.namespaced;
        Table { generation: 0, cgroups, closed, namespaced, by_path, by_last }
    }

    /// Whether both tables say the same, whatever their generations.
    pub(super) fn says_the_same(&self, other: &Table) -> bool {
        self.cgroups == other.cgroups
            && self.closed == other.closed
            && self.namespaced == other.namespaced
    }

    /// The cgroups, ordered by path.
    pub fn cgroups(&self) -> &[Cgroup] {
        &self.cgroups
    }

    /// What is known of `path`, as `/proc/PID/cgroup` shows it.
    ///
    /// From inside a cgroup namespace a path may begin with `/..`; it is then told by what follows,
    /// if that is the end of exactly one path. So is every path if this provider is in a namespace
    /// itself but sees the tree above it: it cannot know where in the tree `/` is.
    pub fn lookup(&self, path: &[u8]) -> Answer<'_> {
        let suffix = beyond_namespace(path);
        if !self.namespaced && suffix.is_none() {
            return match self.by_path.get(path) {
                Some(&index) => Answer::Known(&self.cgroups[index]),
                None => self.reachable(path),
            };
        }
        let suffix = suffix.unwrap_or(path);
        match self.ending_with(suffix) {
            Some(cgroup) => Answer::Known(cgroup),
            None => self.reachable(suffix),
        }
    }

    /// The only cgroup whose path ends with `suffix`, which says something.
    fn ending_with(&self, suffix: &[u8]) -> Option<&Cgroup> {
        if suffix.len() <= 1 {
            return None;
        }
        let candidates = self.by_last.get(last_component(suffix))?;
        let mut matches = candidates
            .iter()
            .map(|&index| &self.cgroups[index])
            .filter(|cgroup| cgroup.path.ends_with(suffix));
        matches.next().filter(|_| matches.next().is_none())
    }

    /// Whether discovery could come upon an unseen path.
    fn reachable(&self, path: &[u8]) -> Answer<'static> {
        let is_plain = |component: &[u8]| !matches!(component, b"" | b"." | b"..");
        let Some(relative) = path.strip_prefix(b"/") else { return Answer::Never };
        if !relative.split(|&byte| byte == b'/').all(is_plain) {
            return Answer::Never;
        }
        let parents = (1..path.len()).filter(|&end| path[end] == b'/').map(|end| &path[..end]);
        let closed =
            parents.into_iter().any(|parent| is_closed(parent) || self.closed.contains(parent));
        if closed || self.closed.contains(&b"/"[..]) { Answer::Never } else { Answer::RetryLater }
    }
}

/// What follows the leading `/..` of a path seen from inside a namespace; `None` without any.
fn beyond_namespace(path: &[u8]) -> Option<&[u8]> {
    let mut rest = path;
    while let Some(shorter) = rest.strip_prefix(b"/..") {
        if !matches!(shorter.first(), None | Some(b'/')) {
            break;
        }
        rest = shorter;
    }
    (rest.len() < path.len()).then_some(rest)
}

fn last_component(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

fn describe(found: &Found, identity: Identity, facts: &dyn Facts) -> Cgroup {
    let enabled = is_enabled(&found.path, &identity);
    let is_pause =
        enabled && identity.orchestrator == Orchestrator::K8S && facts.is_pause(&found.procs);
    let is_service = identity.orchestrator == Orchestrator::SYSTEMD;
    let mut options = 0;
    options |= if is_service { SYSTEM_SERVICE } else { 0 };
    options |= if found.unified { UNIFIED } else { 0 };
    options |= if enabled && !is_pause { 0 } else { EXCLUDED };
    let (name, labels) = name_and_labels(&identity, &mut |id| facts.named(id));
    let chart = chart_id(if is_service { "systemd_" } else { "cgroup_" }, &name);
    Cgroup {
        path: found.path.clone(),
        procs: found.procs.clone(),
        orchestrator: identity.orchestrator,
        hash: fnv1a(&chart),
        name,
        chart,
        options,
        enabled: enabled && !is_pause && !found.procs.is_empty(),
        labels,
    }
}

/// Facts about a cgroup, as keys and values.
pub type Labels = Vec<(Vec<u8>, Vec<u8>)>;

/// The best name known of a cgroup, and what is known besides. `named` says what an engine calls
/// the container with an id.
pub(crate) fn name_and_labels(
    identity: &Identity,
    named: &mut dyn FnMut(&str) -> Option<Named>,
) -> (Vec<u8>, Labels) {
    let own = identity.labels.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.clone()));
    let mut labels: Labels = own.collect();
    let named = identity.container.as_deref().and_then(named);
    let Some(named) = named else { return (identity.name.clone(), labels) };
    labels.extend(named.labels.into_iter().map(|(key, value)| (key.into(), value.into_bytes())));
    let name = match identity.orchestrator {
        Orchestrator::K8S if !named.name.starts_with("k8s_") => identity.name.clone(),
        _ => named.name.into_bytes(),
    };
    (name, labels)
}

/// The second cgroup of a chart is disabled; a container goes before its own monitor.
fn disable_duplicates(cgroups: &mut [Cgroup], helpers: &[bool]) {
    let mut seen: HashSet<Vec<u8>> = HashSet::with_capacity(cgroups.len());
    for round in [false, true] {
        for (cgroup, _) in cgroups.iter_mut().zip(helpers).filter(|(_, helper)| **helper == round) {
            if !seen.contains(&cgroup.chart) {
                seen.insert(cgroup.chart.clone());
            } else {
                cgroup.enabled = false;
                cgroup.options |= DUPLICATE;
            }
        }
    }
}

/// A chart id: the name without what charts cannot have in theirs.
fn chart_id(prefix: &str, name: &[u8]) -> Vec<u8> {
    let name = String::from_utf8_lossy(name);
    let allowed = |c: char| !matches!(c, '/' | '\u{fffd}') && !c.is_whitespace() && !c.is_control();
    let name: String = name.chars().map(|c| if allowed(c) { c } else { '_' }).collect();
    [prefix, &name].concat().into_bytes()
}

/// FNV-1a, 32 bits.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
