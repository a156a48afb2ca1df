//! The runner against peers that misbehave: shell scripts, each wrong in one way.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

const SERVER: &str = "echo READY; cat >/dev/null; echo requests=1";
const CLIENT: &str = "echo PASS";

/// Runs `cells` of a peer that does `server` and `client`, and of others.
fn matrix(server: &str, client: &str, cells: &str, more: &[&str]) -> (Output, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let peer = script(dir.path(), "peer", server, client);
    let mut command = Command::new(env!("CARGO_BIN_EXE_netipc-interop"));
    command.args(["--without", "rust", "--without", "c", "--without", "go", "--deadline", "3"]);
    command.args(["--vectors", concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors")]);
    command.args(["--peer", &format!("x=sh {peer}"), "--only", cells]).args(more);
    // Whatever the runner and the peers make lies here.
    let scratch = dir.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    command.env("TMPDIR", &scratch).env("PIDS", dir.path().join("pids"));
    let output = command.output().unwrap();
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0, "something was left behind");
    (output, dir)
}

fn script(dir: &Path, name: &str, server: &str, client: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, format!("case $1 in server) {server};; client) {client};; esac\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Runs the cell and returns what is shown when it fails.
fn failure(server: &str, client: &str, cell: &str) -> String {
    let (output, _dir) = matrix(server, client, cell, &[]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("0 passed, 1 failed"), "{shown}");
    let (_, failure) = shown.split_once("\nFAIL ").unwrap();
    failure.to_owned()
}

/// Whether a process ends within some seconds: who was killed takes a moment to die.
fn is_gone(pid: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        // A zombie that nobody has reaped yet is gone, too.
        if status.map_or(true, |status| status.rsplit(')').next().unwrap().starts_with(" Z")) {
            return true;
        }
        thread::yield_now();
    }
    false
}

#[test]
fn a_pair_that_goes_well_passes() {
    let (output, _dir) = matrix(SERVER, CLIENT, "socket, snapshot", &[]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("1 passed, 0 failed"), "{shown}");
    assert!(!shown.contains('\x1b'), "colours off a terminal: {shown}");
}

#[test]
fn a_peer_that_does_not_do_a_scenario_never_passes_it() {
    for (server, client) in [("echo UNSUPPORTED", CLIENT), (SERVER, "echo UNSUPPORTED")] {
        let (output, _dir) = matrix(server, client, "socket, snapshot", &[]);
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{shown}");
        assert!(shown.contains("0 passed, 0 failed, 1 not done by a peer (-)"), "{shown}");
    }
}

#[test]
fn a_failure_has_its_reason_and_what_the_peers_said() {
    let client = "echo no such luck >&2; echo FAIL item 3 is wrong; exit 1";
    let shown = failure(SERVER, client, "socket, snapshot");
    assert!(shown.starts_with("socket, snapshot, x to x\n  the client failed: item 3 is wrong"));
    assert!(shown.contains("x server: READY"), "{shown}");
    assert!(shown.contains("x client: no such luck"), "{shown}");
}

#[test]
fn a_crash_fails() {
    assert!(failure("kill -SEGV $$", CLIENT, "socket, snapshot").contains("signal 11"));
    assert!(failure(SERVER, "kill -ABRT $$", "socket, snapshot").contains("signal 6"));
    assert!(failure(SERVER, "exit 0", "socket, snapshot").contains("ended before its time"));
    let crash_at_the_end = "echo READY; cat >/dev/null; kill -SEGV $$";
    assert!(failure(crash_at_the_end, CLIENT, "socket, snapshot").contains("signal 11"));
    assert!(failure(SERVER, "echo PASS; exit 3", "socket, snapshot").contains("status 3"));
}

#[test]
fn who_hangs_is_ended_and_fails() {
    let started = Instant::now();
    let hang = "echo $$ >>$PIDS; exec sleep 1000";
    for (server, client) in
        [(hang, CLIENT), (SERVER, hang), ("echo READY; echo $$ >>$PIDS; exec sleep 1000", CLIENT)]
    {
        let (output, dir) = matrix(server, client, "socket, snapshot", &[]);
        let shown = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{shown}");
        assert!(shown.contains("hangs") || shown.contains("does not end"), "{shown}");
        let pids = fs::read_to_string(dir.path().join("pids")).unwrap();
        assert!(pids.lines().all(is_gone), "{pids} is still there");
    }
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_process_that_is_left_behind_is_ended_and_fails() {
    let server = "sleep 1000 & echo $! >>$PIDS; echo READY; cat >/dev/null";
    let (output, dir) = matrix(server, CLIENT, "socket, snapshot", &[]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{shown}");
    assert!(shown.contains("left a process behind"), "{shown}");
    let pids = fs::read_to_string(dir.path().join("pids")).unwrap();
    assert!(pids.lines().all(is_gone), "{pids} is still there");
}

#[test]
fn a_file_that_is_left_behind_fails() {
    let server = "echo READY; cat >/dev/null; touch $2/$3.sock";
    let shown = failure(server, CLIENT, "socket, snapshot");
    assert!(shown.contains("left behind: interop.sock"), "{shown}");
}

#[test]
fn messages_that_are_not_those_of_the_vectors_fail() {
    let server = "echo snq 0200 >$2/$3.server; echo READY; cat >/dev/null";
    let client = "cp $2/$3.server $2/$3.client; echo PASS";
    let shown = failure(server, client, "socket, codec");
    assert!(shown.contains("what the server wrote: hdr-batch-3 is missing"), "{shown}");
}

#[test]
fn pairs_that_take_another_number_of_requests_fail() {
    let dir = tempfile::tempdir().unwrap();
    let other = script(dir.path(), "other", "echo READY; cat >/dev/null; echo requests=2", CLIENT);
    let other = format!("y=sh {other}");
    let (output, _dir) = matrix(SERVER, CLIENT, "socket, lookup-apps of 16", &["--peer", &other]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("2 passed, 2 failed"), "{shown}");
    let why = "it took 2 requests, and 1 in socket, lookup-apps of 16, x to x";
    assert!(shown.contains(why), "{shown}");
}

#[test]
fn a_restart_begins_with_a_server_in_the_language_of_the_client() {
    let dir = tempfile::tempdir().unwrap();
    let serve = |name| format!("echo {name} $6 >>$PIDS; echo READY; cat >/dev/null");
    let client = "echo NEXT; read go; echo PASS";
    let other = script(dir.path(), "other", &serve("y"), client);
    let more = ["--peer", &format!("y=sh {other}")];
    let (output, dir) = matrix(&serve("x"), client, "socket, retry, x to y", &more);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("1 passed, 0 failed"), "{shown}");
    let served = fs::read_to_string(dir.path().join("pids")).unwrap();
    assert_eq!(served, "x generation=1\ny generation=2\n");
}

#[test]
fn a_detour_has_the_socket_and_nothing_else() {
    let server = "touch $2/$3.sock $2/$3.ipcshm; echo READY; cat >/dev/null; rm $2/$3.*";
    let client = "test \"$(ls $2)\" = interop.sock && echo PASS || echo FAIL $(ls $2)";
    let (output, _dir) = matrix(server, client, "shm, fallback", &[]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("1 passed, 0 failed"), "{shown}");
}

#[test]
fn peers_that_find_the_directory_elsewhere_are_not_paired() {
    let more = ["--peer", "win=wine64 peer.exe", "--dir-prefix", "win=Z:", "--list"];
    let (output, _dir) = matrix(SERVER, CLIENT, "socket, echo", &more);
    let listed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(listed, "socket, echo, x to x\nsocket, echo, win to win\n");
}
