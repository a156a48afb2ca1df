//! What the tests of this system need besides: other processes, and other users.

use std::{
    env,
    process::{Command, Output},
};

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

/// Numbers for tests that try what nobody thought of (SplitMix64). The seed is printed, and
/// `NETIPC_SEED` gives it again.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(test: &str) -> Self {
        let given = env::var("NETIPC_SEED").ok().and_then(|seed| seed.parse().ok());
        let now =
            std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |time| time.as_nanos() as u64);
        let seed = given.unwrap_or(now);
        eprintln!("{test}: NETIPC_SEED={seed}");
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
