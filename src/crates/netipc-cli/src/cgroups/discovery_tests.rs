//! Discovery over trees that change, waiting for what it publishes.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    sync::mpsc,
};

use super::*;
use crate::cgroups::table::Answer;

/// Far longer than anything here takes: reached only when it never happens.
const PATIENCE: Duration = Duration::from_secs(20);

fn cgroup(tree: &Path, path: &str) {
    let dir = tree.join(path);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("cgroup.procs"), "").unwrap();
}

fn tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    cgroup(tree.path(), "");
    fs::write(tree.path().join("cgroup.controllers"), "").unwrap();
    tree
}

fn options(tree: &Path) -> Options {
    let sources = Sources { engines: Vec::new(), kubelet_logs: tree.join("no-logs") };
    Options { root: Some(tree.to_path_buf()), rescan: Duration::from_secs(3600), sources }
}

fn until(discovery: &Discovery, what: &str, holds: impl Fn(&Table) -> bool) -> Arc<Table> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let table = discovery.table();
        if holds(&table) {
            return table;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::yield_now();
    }
}

fn has(table: &Table, path: &str) -> bool {
    table.cgroups().iter().any(|cgroup| cgroup.path == path.as_bytes())
}

#[test]
fn the_first_table_is_there_at_once() {
    let tree = tree();
    cgroup(tree.path(), "system.slice/nginx.service");
    let discovery = Discovery::start(options(tree.path()), |_| ()).unwrap();
    let table = discovery.table();
    assert_eq!(table.generation, 1);
    assert!(has(&table, "/system.slice/nginx.service"));
}

#[test]
fn cgroups_come_and_go_and_the_generation_moves_with_them() {
    let tree = tree();
    let discovery = Discovery::start(options(tree.path()), |_| ()).unwrap();
    cgroup(tree.path(), "a/b/c");
    let grown = until(&discovery, "three more", |table| has(table, "/a/b/c"));
    assert!(grown.generation > 1);
    fs::remove_dir_all(tree.path().join("a/b")).unwrap();
    let shrunk = until(&discovery, "two less", |table| !has(table, "/a/b"));
    assert!(shrunk.generation > grown.generation && has(&shrunk, "/a"));
}

#[test]
fn a_walk_that_finds_nothing_new_publishes_nothing() {
    let tree = tree();
    let options = Options { rescan: Duration::from_millis(1), ..options(tree.path()) };
    let sources = options.sources.clone();
    let names = Names::start(sources, || ()).unwrap();
    let mut scanner = Scanner {
        hierarchies: hierarchies(Some(tree.path())).unwrap(),
        watch: Watch::new().unwrap(),
        table: Arc::default(),
        bell: Arc::new(Bell::new().unwrap()),
        notice: Box::new(|_| ()),
        last_notice: String::new(),
        names,
        options,
    };
    scanner.scan().unwrap();
    let first = scanner.table.latest();
    scanner.scan().unwrap();
    assert!(Arc::ptr_eq(&first, &scanner.table.latest()));
    cgroup(tree.path(), "a");
    scanner.scan().unwrap();
    assert_eq!(scanner.table.latest().generation, 2);
}

#[test]
fn a_missed_cgroup_wakes_it() {
    let tree = tree();
    let discovery = Discovery::start(options(tree.path()), |_| ()).unwrap();
    // Discovery is not told of a cgroup.procs that comes later than its directory.
    fs::create_dir(tree.path().join("a")).unwrap();
    until(&discovery, "the directory", |table| has(table, "/a"));
    fs::write(tree.path().join("a/cgroup.procs"), "").unwrap();
    discovery.wake();
    until(&discovery, "its file", |table| match table.lookup(b"/a") {
        Answer::Known(cgroup) => cgroup.enabled,
        _ => false,
    });
}

#[test]
fn keeps_the_last_table_when_the_tree_goes_away_and_says_so_once() {
    let tree = tree();
    cgroup(tree.path(), "a");
    let (notices, told) = mpsc::channel();
    let notice = move |what: &dyn fmt::Display| notices.send(what.to_string()).unwrap();
    let discovery = Discovery::start(options(tree.path()), notice).unwrap();
    fs::rename(tree.path(), tree.path().with_extension("gone")).unwrap();
    discovery.wake();
    let notice = told.recv_timeout(PATIENCE).unwrap();
    assert!(notice.contains("no such file or directory"), "{notice}");
    assert!(has(&discovery.table(), "/a"));
    fs::rename(tree.path().with_extension("gone"), tree.path()).unwrap();
    cgroup(tree.path(), "b");
    discovery.wake();
    until(&discovery, "the tree again", |table| has(table, "/b"));
    assert!(told.try_recv().is_err(), "told once");
}

#[test]
fn a_container_gets_its_name_as_soon_as_the_engine_tells() {
    let tree = tree();
    let id = "0123456789abcdef".repeat(4);
    cgroup(tree.path(), &format!("docker/{id}"));
    let socket = tree.path().join("engine.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let mut options = options(tree.path());
    options.sources.engines.push(socket);
    let discovery = Discovery::start(options, |_| ()).unwrap();
    let chart = |name: &str| {
        let name = format!("cgroup_{name}").into_bytes();
        move |table: &Table| table.cgroups().iter().any(|cgroup| cgroup.chart == name)
    };
    until(&discovery, "the id", chart("0123456789ab"));
    let (mut stream, _) = listener.accept().unwrap();
    let _ = stream.read(&mut [0; 512]).unwrap();
    write!(stream, "HTTP/1.0 200 OK\r\n\r\n[{{\"Id\":\"{id}\",\"Names\":[\"/web\"]}}]").unwrap();
    drop(stream);
    until(&discovery, "the name", chart("web"));
}

#[test]
fn refuses_to_start_without_a_tree() {
    let nowhere = tempfile::tempdir().unwrap();
    let why = Discovery::start(options(nowhere.path()), |_| ()).err().unwrap();
    assert!(matches!(why, Unusable::NoTree(_)), "{why}");
}

#[test]
fn follows_the_cgroups_of_this_machine() {
    let mut options = options(Path::new("/nowhere"));
    options.root = None;
    let hierarchies = match hierarchy::mounted() {
        Ok(hierarchies) => hierarchies,
        Err(why) => return eprintln!("skipped: {why}"),
    };
    let discovery = Discovery::start(options, |_| ()).unwrap();
    assert!(has(&discovery.table(), "/"));
    let name = format!("netipc-test-{}", std::process::id());
    let dir = hierarchies[0].dir.join(&name);
    if let Err(why) = fs::create_dir(&dir) {
        return eprintln!("skipped: make {}: {why}", dir.display());
    }
    let path = format!("{}/{name}", String::from_utf8_lossy(&hierarchies[0].prefix));
    let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(&discovery, "the new cgroup", |table| has(table, &path))
    }));
    fs::remove_dir(&dir).unwrap();
    assert!(found.is_ok());
    until(&discovery, "its end", |table| !has(table, &path));
}
