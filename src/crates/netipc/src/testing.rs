//! What the tests of several modules need.

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

/// A directory that is gone when the test is over, with a short name.
pub(crate) fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("netipc-").tempdir().expect("a temporary directory")
}

/// The vectors of `target` in `file`. `NETIPC_VECTORS` names another directory to take them from.
pub(crate) fn vectors(file: &str, target: &str) -> Vec<Value> {
    let usual = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../vectors"));
    let path = env::var_os("NETIPC_VECTORS").map_or_else(usual, PathBuf::from).join(file);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let all: Value = serde_json::from_str(&text).expect("vectors are JSON");
    let vectors = all["vectors"].as_array().expect("a list of vectors").iter();
    let found: Vec<_> = vectors.filter(|vector| vector["target"] == target).cloned().collect();
    assert!(!found.is_empty(), "no vectors for {target} in {}", path.display());
    found
}

/// The bytes that a string of hexadecimal digits stands for.
pub(crate) fn unhex(digits: &Value) -> Vec<u8> {
    let digits = digits.as_str().expect("hexadecimal digits");
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("two digits");
    (0..digits.len()).step_by(2).map(pair).collect()
}

const PART: &str = "NETIPC_TEST_PART";

/// Which part of the test this process has to play, if it was started by [`child`].
pub(crate) fn part() -> Option<String> {
    env::var(PART).ok()
}

/// The command that runs one test again in a process of its own, to play `part`. `test` is the
/// test's module path and name.
pub(crate) fn child(test: &str, part: &str) -> Command {
    let (_crate, test) = test.split_once("::").expect("a test in a crate");
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(PART, part);
    command
}

/// Runs a [`child`] and fails if its test did.
pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().expect("run this program again");
    let text = String::from_utf8_lossy(&output.stdout);
    let passed = output.status.success() && text.contains("1 passed");
    assert!(passed, "{:?}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs the test again in a process of its own, to play `part`.
macro_rules! run_child {
    ($test:ident, $part:expr) => {
        $crate::testing::run(&mut $crate::testing::child(
            concat!(module_path!(), "::", stringify!($test)),
            $part,
        ))
    };
}
pub(crate) use run_child;

/// Whether this process may do anything. Says on standard error what is left out if not.
pub(crate) fn is_root(what: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped, needs root: {what}");
    }
    root
}

/// Does `work` as a user who may do nothing special. For root only.
pub(crate) fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
    let (user, group) = (rustix::fs::Uid::from_raw(65534), rustix::fs::Gid::from_raw(65534));
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            // Linux keeps these for each thread, so the rest of the process stays as it is.
            set_thread_res_gid(group, group, group).expect("root may");
            set_thread_res_uid(user, user, user).expect("root may");
            work()
        });
        worker.join().expect("the work succeeds")
    })
}
