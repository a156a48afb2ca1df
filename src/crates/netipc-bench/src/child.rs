//! The driver's end of a peer process: start, hear, tell, end. Nothing waits without a limit.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child as Process, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::thread::CpuSet;

use crate::{
    meter::{Footprint, Tally},
    placement::{Cpus, Side},
    sys::cpu_time,
    task::Task,
};

/// How long a peer may take for what should take no time: connecting a thousand sessions included.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that can play either side: `COMMAND server|client DIR SERVICE KEY=VALUE...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// The program and the words that come before the role.
    pub(crate) command: Vec<String>,
}

impl Peer {
    /// This program itself.
    pub(crate) fn own() -> Result<Self> {
        let program = std::env::current_exe().context("find this program")?;
        let program = program.to_str().context("the path of this program is not UTF-8")?;
        Ok(Peer { name: "rust".into(), command: vec![program.into(), "peer".into()] })
    }
}

/// A running peer process. Dropping it ends it.
pub(crate) struct Child {
    label: String,
    process: Process,
    stdin: Option<ChildStdin>,
    lines: Receiver<io::Result<String>>,
    /// What it complained about, once it has ended.
    complaints: Option<JoinHandle<String>>,
}

/// What a peer says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Ready,
    /// It does not know the scenario.
    Unsupported,
}

/// Where a peer runs and whom it meets there.
pub(crate) struct Seat<'a> {
    pub(crate) side: Side,
    pub(crate) cpus: &'a Cpus,
    pub(crate) pinned_to: CpuSet,
    pub(crate) dir: &'a Path,
    pub(crate) service: &'a str,
}

impl Child {
    /// Starts `peer` in `seat`.
    pub(crate) fn spawn(peer: &Peer, seat: &Seat<'_>, task: &Task) -> Result<Self> {
        let role = if seat.side == Side::Server { "server" } else { "client" };
        let label = format!("{} {role}", peer.name);
        let (program, before) = peer.command.split_first().context("a peer without a command")?;
        let mut command = Command::new(program);
        command.args(before).arg(role).arg(seat.dir).arg(seat.service).args(task.words());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = seat.cpus.spawn(&mut command, &seat.pinned_to);
        let mut process = started.with_context(|| format!("start {program}"))?;
        let stdin = process.stdin.take();
        let stdout = process.stdout.take().context("a peer without standard output")?;
        let stderr = process.stderr.take().context("a peer without standard error")?;
        let complaints = Some(thread::spawn(move || read_complaints(stderr)));
        Ok(Child { label, process, stdin, lines: read_lines(stdout), complaints })
    }

    /// Waits until the peer can be used.
    pub(crate) fn answer(&mut self) -> Result<Answer> {
        match self.line(Instant::now() + PATIENCE)?.as_str() {
            "READY" => Ok(Answer::Ready),
            "UNSUPPORTED" => Ok(Answer::Unsupported),
            other => bail!("{self} said {other:?} instead of READY"),
        }
    }

    /// Lets a client measure.
    pub(crate) fn go(&mut self) -> Result<()> {
        let stdin = self.stdin.as_mut().context("standard input is closed")?;
        let told = stdin.write_all(b"GO\n").and_then(|()| stdin.flush());
        told.with_context(|| format!("tell {self} to go"))
    }

    /// Waits for the results of a client that measures for `duration`.
    ///
    /// Returns as soon as DONE arrives, so that the CPU clocks can be read right after.
    pub(crate) fn results(&mut self, duration: Duration) -> Result<Vec<String>> {
        let deadline = Instant::now() + duration + PATIENCE;
        let mut results = Vec::new();
        loop {
            match self.line(deadline)? {
                line if line == "DONE" => return Ok(results),
                line => results.push(line),
            }
        }
    }

    /// Makes sense of what [`results`](Self::results) returned.
    pub(crate) fn tally(&self, results: &[String]) -> Result<Tally> {
        Tally::parse(results.iter().map(String::as_str)).with_context(|| self.to_string())
    }

    /// The CPU time of all threads of the process so far.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.process.id()).with_context(|| self.to_string())
    }

    /// Its memory and threads now.
    pub(crate) fn footprint(&self) -> Result<Footprint> {
        Footprint::of(self.process.id()).with_context(|| self.to_string())
    }

    /// Closes its standard input, which ends it, and sees it end.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.stdin = None;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => bail!("{self} did not end"),
            }
        }
        let status = self.process.wait().with_context(|| format!("wait for {self}"))?;
        if !status.success() {
            bail!("{self} ended with {status}{}", self.complaints());
        }
        Ok(())
    }

    /// What the process, which has ended, wrote to standard error.
    fn complaints(&mut self) -> String {
        let complaints = self.complaints.take().and_then(|reader| reader.join().ok());
        match complaints.as_deref().map(str::trim) {
            None | Some("") => String::new(),
            Some(complaints) => format!(": {complaints}"),
        }
    }

    fn line(&mut self, deadline: Instant) -> Result<String> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.lines.recv_timeout(left) {
            Ok(line) => line.with_context(|| format!("hear {self}")),
            Err(RecvTimeoutError::Timeout) => bail!("{self} is silent"),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.process.wait().with_context(|| format!("wait for {self}"))?;
                bail!("{self} ended early with {status}{}", self.complaints())
            }
        }
    }
}

impl fmt::Display for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.label)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if the process has ended already, as it has after `finish`.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Reads all there is, so that the peer never waits, and keeps the beginning.
fn read_complaints(mut stderr: impl io::Read) -> String {
    let mut kept = Vec::new();
    let read = stderr.by_ref().take(4096).read_to_end(&mut kept);
    let read = read.and_then(|_| io::copy(&mut stderr, &mut io::sink()));
    let mut complaints = String::from_utf8_lossy(&kept).into_owned();
    if let Err(error) = read {
        complaints.push_str(&format!(" (and then: {error})"));
    }
    complaints
}

/// Reads on a thread of its own, so that waiting for a line can have a limit.
fn read_lines(stdout: impl io::Read + Send + 'static) -> Receiver<io::Result<String>> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
