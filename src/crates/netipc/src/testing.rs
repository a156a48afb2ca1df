//! What the tests of several modules need.

#[cfg(target_os = "linux")]
mod linux;

use std::{env, fs, path::Path, process::Command};

use serde_json::Value;

#[cfg(target_os = "linux")]
pub(crate) use linux::{Random, as_nobody, is_root, run, run_child, scratch};

/// The vectors of `target` in `file`, and those in a file of that name in the directory that
/// `NETIPC_VECTORS` names.
pub(crate) fn vectors(file: &str, target: &str) -> Vec<Value> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../vectors").join(file);
    let more = env::var_os("NETIPC_VECTORS").map(|dir| Path::new(&dir).join(file));
    let mut found = vectors_of(&ours, target);
    assert!(!found.is_empty(), "no vectors for {target} in {}", ours.display());
    if let Some(more) = more.filter(|path| path.exists()) {
        found.extend(vectors_of(&more, target));
    }
    found
}

fn vectors_of(path: &Path, target: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let all: Value = serde_json::from_str(&text).expect("vectors are JSON");
    let vectors = all["vectors"].as_array().expect("a list of vectors").iter();
    vectors.filter(|vector| vector["target"] == target).cloned().collect()
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
