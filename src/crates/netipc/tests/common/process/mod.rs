//! Processes of their own for what a test must not do to this one, and looks into this one.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{ChildStderr, Command, Stdio},
};

#[cfg(target_os = "linux")]
pub use linux::*;
#[cfg(windows)]
pub use windows::*;

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
        assert!(was_killed(self.process.wait().unwrap()));
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
