//! Looks into this process, and what the system does to processes.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus},
};

use super::{super::Dir, DIR, PART};

/// Whether a process ended because it was killed.
pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(9)
}

/// Runs `test` again with a file system of 256 KiB as its directory, for that process alone. Says
/// so where that is not possible.
pub fn on_small_file_system(test: &str) {
    const CANNOT_UNSHARE: i32 = 1;
    const CANNOT_MOUNT: i32 = 77;
    let mount = format!(
        "mount -t tmpfs -o size=256k none \"${DIR}\" || exit {CANNOT_MOUNT}; exec \"$0\" \"$@\""
    );
    let dir = Dir::new();
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &mount])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(PART, "alone")
        .env(DIR, &*dir)
        .output();
    match output {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            match output.status.code() {
                Some(0) => {
                    let told = String::from_utf8_lossy(&output.stdout);
                    assert!(told.contains("1 passed"), "{told}");
                }
                Some(CANNOT_UNSHARE | CANNOT_MOUNT) => eprintln!("skipped: {text}"),
                _ => panic!("{}\n{text}", output.status),
            }
        }
        Err(error) => eprintln!("skipped, cannot run unshare: {error}"),
    }
}

/// Does `work` as a user who may do nothing special, in a thread of its own; threads that it starts
/// are that user's as well. `None` where only this user can be had, which is said.
pub fn as_nobody<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped, needs root: what concerns other users");
        return None;
    }
    let (user, group) = (rustix::fs::Uid::from_raw(65534), rustix::fs::Gid::from_raw(65534));
    let done = std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            // Linux keeps these for each thread, so the rest of the process stays as it is.
            set_thread_res_gid(group, group, group).unwrap();
            set_thread_res_uid(user, user, user).unwrap();
            work()
        });
        worker.join()
    });
    Some(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// The ids of the threads of this process.
pub fn threads() -> Vec<u32> {
    let entries = fs::read_dir("/proc/self/task").unwrap();
    entries.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// The id of the calling thread, as the system knows it.
pub fn thread_id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get() as u32
}

/// Waits until a thread of this process sleeps in the kernel. It may be over, too.
pub fn await_sleep(thread: u32) {
    loop {
        match fs::read_to_string(format!("/proc/self/task/{thread}/stat")) {
            Err(_) => return,
            Ok(stat) if stat.rsplit(") ").next().unwrap().starts_with('S') => return,
            Ok(_) => std::thread::yield_now(),
        }
    }
}

/// How often threads of this process woke up so far: each sleep is one switch.
pub fn sleeps(threads: &[u32]) -> u64 {
    let count = |thread: &u32| -> u64 {
        let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"));
        line.unwrap().split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    threads.iter().map(count).sum()
}

/// Whether the regions of sessions can be seen in the directory of the service.
pub const REGIONS_ARE_FILES: bool = true;

/// Whether a peer is a process of this user.
pub fn is_own_user(peer: &netipc::PeerCredentials) -> bool {
    peer.uid == rustix::process::geteuid().as_raw()
}

/// How much time threads of this process have run so far, in ticks.
pub fn cpu_time(threads: &[u32]) -> u64 {
    let count = |thread: &u32| -> u64 {
        let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
        let fields = stat.rsplit(") ").next().unwrap().split(' ');
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    threads.iter().map(count).sum()
}
