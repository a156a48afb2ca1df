//! The built command, run as people run it: providers in the background, and clients of them.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// The command, with nothing in its environment that would mean something to it.
pub(crate) fn netipc(run_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netipc"));
    for variable in ["NETDATA_RUN_DIR", "NETDATA_INVOCATION_ID", "NETIPC_AUTH"] {
        command.env_remove(variable);
    }
    command.arg("--run-dir").arg(run_dir).stdin(Stdio::null());
    command
}

/// Runs the command as a user who may do nothing. Only root can.
pub(crate) fn as_nobody(run_dir: &Path, args: &[&str]) -> Output {
    const NOBODY: u32 = 65534;
    fs::set_permissions(run_dir, PermissionsExt::from_mode(0o755)).unwrap();
    // Where anybody may execute it.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(place.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = place.path().join("netipc");
    // Another process copies: a child that another test starts meanwhile would inherit a descriptor
    // of this one, and what is open for writing is not executed.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_netipc")).arg(&program).status();
    assert!(copied.unwrap().success());
    let mut command = Command::new(program);
    command.arg("--run-dir").arg(run_dir).args(args).stdin(Stdio::null());
    command.uid(NOBODY).gid(NOBODY).output().unwrap()
}

/// A provider in a run directory of its own, killed when dropped.
pub(crate) struct Provider {
    pub(crate) dir: TempDir,
    child: Child,
    /// Kept open: a provider must not die of what it says.
    _stderr: BufReader<ChildStderr>,
}

impl Provider {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), args)
    }

    /// Starts a provider and waits until it says that it serves.
    pub(crate) fn start_in(dir: TempDir, args: &[&str]) -> Self {
        let mut command = netipc(dir.path());
        command.arg("serve").args(args).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        stderr.read_line(&mut said).unwrap();
        assert!(said.contains("serving"), "{said}");
        Provider { dir, child, _stderr: stderr }
    }

    /// Provides the cgroups of a made-up tree.
    pub(crate) fn of_tree(tree: &Path, args: &[&str]) -> Self {
        let root = tree.to_str().unwrap();
        Self::start(
            &[&["cgroups", "--engine-socket", "none", "--cgroup-root", root], args].concat(),
        )
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        netipc(self.dir.path()).args(args).output().unwrap()
    }

    /// What a command prints with `--json`, if it succeeds.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends it with a signal and returns its directory.
    pub(crate) fn end(mut self, signal: &str) -> (TempDir, Option<i32>) {
        self.signal(signal);
        let status = self.child.wait().unwrap();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        (dir, status.code())
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A tree of version 2 with these cgroups.
pub(crate) fn tree<T: AsRef<str>>(cgroups: &[T]) -> TempDir {
    // In memory where possible: thousands of directories are slow to make on a disk.
    let in_memory = tempfile::tempdir_in("/dev/shm");
    let tree = in_memory.or_else(|_| tempfile::tempdir()).unwrap();
    fs::write(tree.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
    fs::write(tree.path().join("cgroup.procs"), "").unwrap();
    for path in cgroups {
        cgroup(tree.path(), path.as_ref());
    }
    tree
}

pub(crate) fn cgroup(tree: &Path, path: &str) {
    let dir = tree.join(path);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("cgroup.procs"), "").unwrap();
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
