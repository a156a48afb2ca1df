//! What the tests of this system need besides: other processes, and other users.

use std::process::{Command, Output};

use tempfile::TempDir;

/// A directory that is gone when the test is over, with a short name.
pub(crate) fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("netipc-").tempdir().expect("a temporary directory")
}

/// Runs a [`child`](super::child) and fails if its test did.
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
