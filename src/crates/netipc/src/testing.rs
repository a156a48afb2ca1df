//! What the tests of several modules need.

#[cfg(target_os = "linux")]
mod linux;

use std::{env, fs, path::PathBuf, process::Command};

use serde_json::Value;

#[cfg(target_os = "linux")]
pub(crate) use linux::{Random, as_nobody, is_root, run, run_child, scratch};

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
