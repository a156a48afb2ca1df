//! Scans of made-up processes, and of those of this machine.

use std::{path::Path, process::Command};

use super::*;

/// Far longer than anything here takes: reached only when it never happens.
const PATIENCE: Duration = Duration::from_secs(20);

fn put(proc: &Path, pid: &str, comm: &str, ppid: u32, cgroup: &str) {
    let dir = proc.join(pid);
    fs::create_dir_all(&dir).unwrap();
    let stat = format!("{pid} ({comm}) S {ppid} 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 777 0 0\n");
    fs::write(dir.join("stat"), stat).unwrap();
    fs::write(dir.join("status"), "Uid:\t5\t5\t5\t5\n").unwrap();
    fs::write(dir.join("cgroup"), cgroup).unwrap();
}

fn options(proc: &Path) -> Options {
    let sources = Sources { engines: Vec::new(), kubelet_logs: proc.join("none") };
    Options { proc: proc.to_path_buf(), interval: Duration::from_secs(3600), sources }
}

fn start(proc: &Path) -> Scanner {
    Scanner::start(options(proc), |_| ()).unwrap()
}

fn until(scanner: &Scanner, what: &str, holds: impl Fn(&Table) -> bool) -> Arc<Table> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let table = scanner.table();
        if holds(&table) {
            return table;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        scanner.wake();
        thread::yield_now();
    }
}

#[test]
fn tells_every_kind_of_cgroup_apart() {
    let proc = tempfile::tempdir().unwrap();
    let id = "0123456789abcdef".repeat(4);
    put(proc.path(), "1", "systemd", 0, "0::/init.scope\n");
    put(proc.path(), "2", "kthreadd", 0, "0::/../..\n");
    put(proc.path(), "3", "kworker/0:0", 2, "0::/../..\n");
    put(proc.path(), "4", "own-root", 1, "0::/\n");
    put(proc.path(), "5", "above", 1, "0::/..\n");
    put(proc.path(), "6", "nginx", 1, "0::/../system.slice/nginx.service\n");
    put(proc.path(), "7", "web", 1, &format!("0::/docker/{id}\n"));
    put(proc.path(), "8", "none", 1, "");
    let table = start(proc.path()).table();
    let of = |pid| (*table.lookup(pid).unwrap().membership).clone();
    let known = |pid| match of(pid) {
        Membership::Known { orchestrator, name, .. } => {
            (orchestrator, String::from_utf8(name).unwrap())
        }
        other => panic!("{pid}: {other:?}"),
    };
    assert_eq!(known(1), (Orchestrator::UNKNOWN, "init.scope".into()));
    assert_eq!(known(6), (Orchestrator::SYSTEMD, "nginx".into()));
    assert_eq!(known(7), (Orchestrator::DOCKER, "0123456789ab".into()));
    assert_eq!([of(2), of(3)], [const { Membership::HostRoot }; 2]);
    assert_eq!(of(4), Membership::Unknown { path: b"/".to_vec() });
    assert_eq!(of(5), Membership::Unknown { path: b"/..".to_vec() });
    assert_eq!(of(8), Membership::RetryLater);
}

#[test]
fn what_is_no_process_is_left_out() {
    let proc = tempfile::tempdir().unwrap();
    put(proc.path(), "10", "a", 1, "0::/\n");
    put(proc.path(), "self", "b", 1, "0::/\n");
    put(proc.path(), "99999999999", "c", 1, "0::/\n");
    fs::create_dir(proc.path().join("11")).unwrap();
    fs::create_dir(proc.path().join("12")).unwrap();
    fs::write(proc.path().join("12/stat"), "12 (cut").unwrap();
    fs::write(proc.path().join("13"), "a file").unwrap();
    let table = start(proc.path()).table();
    assert_eq!(table.len(), 1);
    assert_eq!(table.lookup(10).unwrap().process.uid, Some(5));
}

#[test]
fn the_generation_moves_only_on_change() {
    let proc = tempfile::tempdir().unwrap();
    put(proc.path(), "10", "a", 1, "0::/\n");
    let quick = Options { interval: Duration::ZERO, ..options(proc.path()) };
    let scanner = Scanner::start(quick, |_| ()).unwrap();
    let first = scanner.table();
    put(proc.path(), "11", "b", 1, "0::/\n");
    let second = until(&scanner, "another process", |table| table.lookup(11).is_some());
    fs::remove_dir_all(proc.path().join("11")).unwrap();
    let third = until(&scanner, "its end", |table| table.lookup(11).is_none());
    assert_eq!((first.generation, third.len()), (1, 1));
    assert!(first.generation < second.generation && second.generation < third.generation);
}

#[test]
fn keeps_the_last_table_when_it_cannot_scan() {
    let dir = tempfile::tempdir().unwrap();
    let proc = dir.path().join("proc");
    put(&proc, "10", "a", 1, "0::/\n");
    let (notices, told) = std::sync::mpsc::channel();
    let notice = move |what: &dyn fmt::Display| notices.send(what.to_string()).unwrap();
    let scanner = Scanner::start(options(&proc), notice).unwrap();
    fs::rename(&proc, dir.path().join("gone")).unwrap();
    scanner.wake();
    let notice = told.recv_timeout(PATIENCE).unwrap();
    assert!(notice.ends_with("no such file or directory"), "{notice}");
    assert!(scanner.table().lookup(10).is_some());
    assert!(Scanner::start(options(&proc), |_| ()).is_err());
}

#[test]
fn finds_a_process_of_this_machine_while_it_lives() {
    let scanner = start(Path::new("/proc"));
    assert!(scanner.table().lookup(std::process::id()).is_some());
    let mut child = Command::new("sleep").arg("3600").spawn().unwrap();
    let pid = child.id();
    let table = until(&scanner, "the child", |table| table.lookup(pid).is_some());
    let entry = table.lookup(pid).unwrap();
    assert_eq!(entry.process.ppid, std::process::id());
    child.kill().unwrap();
    child.wait().unwrap();
    until(&scanner, "its end", |table| table.lookup(pid).is_none());
}
