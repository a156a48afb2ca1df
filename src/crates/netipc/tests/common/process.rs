//! Processes of their own for what a test must not do to this one, and looks into this one.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ChildStderr, Command, Stdio},
};

const PART: &str = "NETIPC_TEST_PART";
const DIR: &str = "NETIPC_TEST_DIR";

/// Which part this process has to play in its test, and where, if [`Child::start`] started it.
pub fn part() -> Option<(String, PathBuf)> {
    Some((std::env::var(PART).ok()?, std::env::var_os(DIR)?.into()))
}

/// Tells the test that started this process.
pub fn tell(what: &str) {
    eprintln!("TELL {what}");
}

/// Lasts as long as the test that started this process.
pub fn await_parent() -> ! {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    std::process::exit(0)
}

/// This program again, to play a part of one test. Killed when dropped.
pub struct Child {
    process: std::process::Child,
    lines: BufReader<ChildStderr>,
}

impl Child {
    pub fn start(test: &str, part: &str, dir: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(PART, part)
            .env(DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap());
        Child { process, lines }
    }

    /// Waits until it tells this.
    pub fn await_told(&mut self, what: &str) {
        let mut heard = String::new();
        loop {
            let start = heard.len();
            if self.lines.read_line(&mut heard).unwrap() == 0 {
                panic!("the other process ended and did not tell {what}:\n{heard}");
            }
            if heard[start..].trim_end() == format!("TELL {what}") {
                return;
            }
        }
    }

    /// Kills it as the system does: without a warning.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        assert_eq!(self.process.wait().unwrap().signal(), Some(9));
    }

    /// Waits until its test is over, which must have passed.
    pub fn pass(mut self) {
        let mut text = String::new();
        self.lines.read_to_string(&mut text).unwrap();
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}\n{text}");
        eprint!("{text}");
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether this process is the one that has to do the work of `test`. Otherwise the work was done,
/// in a process of its own.
pub fn alone(test: &str) -> bool {
    if part().is_some() {
        tell("ALONE");
        return true;
    }
    let mut child = Child::start(test, "alone", Path::new(""));
    child.await_told("ALONE");
    child.pass();
    false
}

/// Runs `test` again with a file system of 256 KiB as its directory, for that process alone. Says
/// so where that is not possible.
pub fn on_small_file_system(test: &str) {
    const CANNOT_UNSHARE: i32 = 1;
    const CANNOT_MOUNT: i32 = 77;
    let mount = format!(
        "mount -t tmpfs -o size=256k none \"${DIR}\" || exit {CANNOT_MOUNT}; exec \"$0\" \"$@\""
    );
    let dir = super::Dir::new();
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

/// How much time threads of this process have run so far, in ticks.
pub fn cpu_time(threads: &[u32]) -> u64 {
    let count = |thread: &u32| -> u64 {
        let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
        let fields = stat.rsplit(") ").next().unwrap().split(' ');
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    };
    threads.iter().map(count).sum()
}
