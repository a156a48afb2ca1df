//! A peer's process: start, hear, tell, end. Nothing waits without a limit, and nothing stays.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};

/// How many lines, and how many bytes of a line, are kept of what a peer says.
const MOST_LINES: usize = 40;
const LONGEST_LINE: u64 = 400;
/// How long what a process wrote may take to arrive once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A program that can play either side: `COMMAND server|client DIR SERVICE KEY=VALUE...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// The program and the words that come before the role.
    pub(crate) command: Vec<String>,
    /// What stands before a path where this peer lives.
    pub(crate) dir_prefix: String,
}

/// A running peer, in a process group of its own. Dropping it ends the group.
pub(crate) struct Process {
    label: String,
    child: Child,
    stdin: Option<ChildStdin>,
    heard: Receiver<Heard>,
    has_ended: bool,
    transcript: Vec<String>,
}

enum Heard {
    /// A line on standard output.
    Line(String),
    /// A line on standard error.
    Complaint(String),
    /// The process has ended; there may be more to hear.
    Ended,
}

impl Process {
    /// Starts `peer` as `role`.
    pub(crate) fn start(
        peer: &Peer,
        role: &str,
        dir: &Path,
        service: &str,
        words: &[String],
    ) -> Result<Self> {
        let (program, before) = peer.command.split_first().context("a peer without a command")?;
        let dir = dir.to_str().context("the path of the directory is not UTF-8")?;
        let mut command = Command::new(program);
        command.args(before).arg(role).arg(format!("{}{dir}", peer.dir_prefix)).arg(service);
        command.args(words).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("start {program}"))?;
        let (sender, heard) = sync_channel(MOST_LINES);
        let stdin = child.stdin.take();
        read(child.stdout.take().context("no standard output")?, sender.clone(), Heard::Line);
        read(child.stderr.take().context("no standard error")?, sender.clone(), Heard::Complaint);
        let process = Process {
            label: format!("{} {role}", peer.name),
            child,
            stdin,
            heard,
            has_ended: false,
            transcript: Vec::new(),
        };
        let pid = process.group();
        thread::spawn(move || {
            // It is left to be reaped, so that its number stays its own. The only possible failure
            // is that it was reaped already, when nobody asks any more.
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
            let _ = sender.send(Heard::Ended);
        });
        Ok(process)
    }

    /// Waits for the next line on its standard output.
    pub(crate) fn line(&mut self, deadline: Instant) -> Result<String> {
        loop {
            match self.hear(deadline) {
                Ok(Heard::Line(line)) => return Ok(line),
                Ok(Heard::Complaint(_) | Heard::Ended) => {}
                Err(RecvTimeoutError::Timeout) if !self.has_ended => {
                    bail!("the {} hangs", self.label)
                }
                Err(_) => {
                    let status = self.reap()?;
                    bail!("the {} {}", self.label, ending(status));
                }
            }
        }
    }

    /// Says `line` to its standard input.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its standard input is closed")?;
        let told = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        told.with_context(|| format!("tell the {}", self.label))
    }

    /// Closes its standard input, which ends it, and sees it end well. Returns its last lines.
    pub(crate) fn end(&mut self, deadline: Instant) -> Result<Vec<String>> {
        self.stdin = None;
        let mut lines = Vec::new();
        while !self.has_ended {
            match self.hear(deadline) {
                Ok(Heard::Line(line)) => lines.push(line),
                Ok(Heard::Complaint(_) | Heard::Ended) => {}
                Err(_) => bail!("the {} does not end", self.label),
            }
        }
        let status = self.child.wait().with_context(|| format!("wait for the {}", self.label))?;
        let left_behind = test_kill_process_group(self.group()).is_ok();
        self.kill_group();
        lines.extend(self.last_words());
        if left_behind {
            bail!("the {} left a process behind", self.label);
        }
        if !status.success() {
            bail!("the {} {}", self.label, ending(status));
        }
        Ok(lines)
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.stdin = None;
        self.reap().map(|_| ())
    }

    /// What it said so far, for people.
    pub(crate) fn transcript(&self) -> &[String] {
        &self.transcript
    }

    fn reap(&mut self) -> Result<ExitStatus> {
        // A process that has ended keeps its status; one that has not is ended by this.
        self.kill_group();
        let status = self.child.wait().with_context(|| format!("wait for the {}", self.label))?;
        self.last_words();
        Ok(status)
    }

    /// The next thing heard, until `deadline`; once it has ended only what was on its way.
    fn hear(&mut self, deadline: Instant) -> Result<Heard, RecvTimeoutError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = if self.has_ended { LAST_WORDS } else { left };
        let heard = self.heard.recv_timeout(left)?;
        match &heard {
            Heard::Ended => self.has_ended = true,
            Heard::Line(line) | Heard::Complaint(line) => {
                if self.transcript.len() < MOST_LINES {
                    self.transcript.push(format!("{}: {line}", self.label));
                }
            }
        }
        Ok(heard)
    }

    /// The lines that were written before it ended.
    fn last_words(&mut self) -> Vec<String> {
        let deadline = Instant::now() + LAST_WORDS;
        let mut lines = Vec::new();
        while let Ok(heard) = self.hear(deadline) {
            if let Heard::Line(line) = heard {
                lines.push(line);
            }
        }
        lines
    }

    fn kill_group(&self) {
        // It fails if nobody is left in the group, which is what is wanted.
        let _ = kill_process_group(self.group(), Signal::KILL);
    }

    fn group(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stdin = None;
        self.kill_group();
        // It fails only if there is no such child, and then there is nothing to end.
        let _ = self.child.wait();
    }
}

fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(0), _) => "ended before its time".into(),
        (Some(code), _) => format!("ended with status {code}"),
        (_, Some(signal)) => format!("was ended by signal {signal}"),
        _ => format!("ended with {status}"),
    }
}

/// Reads lines on a thread of its own, so that waiting for one can have a limit.
fn read(from: impl Read + Send + 'static, to: SyncSender<Heard>, kind: fn(String) -> Heard) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        while let Ok(Some(line)) = next_line(&mut from) {
            if to.send(kind(line)).is_err() {
                break;
            }
        }
    });
}

/// The next line, or as much of it as anybody wants to see.
fn next_line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    let text = String::from_utf8_lossy(&line);
    Ok((!line.is_empty()).then(|| text.trim_end().to_owned()))
}
