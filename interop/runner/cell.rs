//! One cell: a server and a client in a directory of their own, led through a scenario.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::{
    codec::Vectors,
    peer::{Peer, Process},
    plan::Cell,
    scenario::Flow,
};

const SERVICE: &str = "interop";

/// What became of a cell.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It went well; the server counted so many requests, if it counts.
    Passed { requests: Option<u64> },
    /// A peer said that it does not do this.
    NotDone,
    /// Why, and what the peers said.
    Failed { why: String, said: Vec<String> },
}

/// Runs `cell` within `patience` and leaves nothing behind.
pub(crate) fn run(cell: &Cell, patience: Duration, vectors: &Vectors) -> Outcome {
    let mut stage = match Stage::new(cell, patience) {
        Ok(stage) => stage,
        Err(error) => return Outcome::Failed { why: format!("{error:#}"), said: Vec::new() },
    };
    match stage.play(cell, vectors) {
        Ok(Some(requests)) => Outcome::Passed { requests },
        Ok(None) => Outcome::NotDone,
        Err(error) => Outcome::Failed { why: format!("{error:#}"), said: stage.transcripts() },
    }
}

/// Where a cell is played: the directory and the processes, which both end with it.
struct Stage {
    processes: Vec<Process>,
    dir: TempDir,
    words: Vec<String>,
    deadline: Instant,
}

/// What a server says first.
#[derive(PartialEq, Eq)]
enum Answer {
    Ready,
    Unsupported,
}

/// What a client says last.
#[derive(PartialEq, Eq)]
enum Verdict {
    Pass,
    Unsupported,
    /// It wants the server replaced before it goes on.
    Next,
}

impl Stage {
    fn new(cell: &Cell, patience: Duration) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("netipc-interop-").tempdir();
        let mut words = vec![
            format!("scenario={}", cell.scenario.name),
            format!("transport={}", cell.transport),
        ];
        words.extend(cell.scenario.words.iter().cloned());
        Ok(Stage {
            processes: Vec::new(),
            dir: dir.context("make a directory")?,
            words,
            deadline: Instant::now() + patience,
        })
    }

    /// How many requests the server counted; nothing if a peer does not do this.
    fn play(&mut self, cell: &Cell, vectors: &Vectors) -> Result<Option<Option<u64>>> {
        let restarts = cell.scenario.flow == Flow::Restart;
        // A client that meets its own language first shows that the other takes over from it.
        let first = if restarts { &cell.client } else { &cell.server };
        let (mut server, answer) = self.serve(first, 1)?;
        if answer == Answer::Unsupported {
            return Ok(None);
        }
        let client_dir = match cell.scenario.flow {
            Flow::Detour => self.detour()?,
            _ => self.dir.path().to_owned(),
        };
        let client = self.start(&cell.client, "client", &client_dir, &[])?;
        loop {
            match self.verdict(client)? {
                Verdict::Pass => break,
                Verdict::Unsupported => return Ok(None),
                Verdict::Next if restarts => {
                    self.processes[server].kill()?;
                    let answer;
                    (server, answer) = self.serve(&cell.server, 2)?;
                    if answer == Answer::Unsupported {
                        return Ok(None);
                    }
                    self.processes[client].tell("GO")?;
                }
                Verdict::Next => bail!("the client wants a restart in a scenario without one"),
            }
        }
        self.processes[client].end(self.deadline)?;
        let lines = self.processes[server].end(self.deadline)?;
        if cell.scenario.flow == Flow::Compare {
            let file = |side: &str| self.dir.path().join(format!("{SERVICE}.{side}"));
            vectors.compare(&file("server")).context("what the server wrote")?;
            vectors.compare(&file("client")).context("what the client wrote again")?;
        }
        if client_dir != self.dir.path() {
            fs::remove_dir_all(&client_dir).context("remove the detour")?;
        }
        ensure_empty(self.dir.path())?;
        Ok(Some(requests(&lines)?))
    }

    /// Starts a server and waits until it can be used.
    fn serve(&mut self, peer: &Peer, generation: u64) -> Result<(usize, Answer)> {
        let dir = self.dir.path().to_owned();
        let server = self.start(peer, "server", &dir, &[format!("generation={generation}")])?;
        let answer = match self.processes[server].line(self.deadline)?.as_str() {
            "READY" => Answer::Ready,
            "UNSUPPORTED" => Answer::Unsupported,
            other => bail!("the server said {other:?} instead of READY"),
        };
        Ok((server, answer))
    }

    fn start(&mut self, peer: &Peer, role: &str, dir: &Path, more: &[String]) -> Result<usize> {
        let words = [&self.words, more].concat();
        self.processes.push(Process::start(peer, role, dir, SERVICE, &words)?);
        Ok(self.processes.len() - 1)
    }

    fn verdict(&mut self, client: usize) -> Result<Verdict> {
        loop {
            let line = self.processes[client].line(self.deadline)?;
            let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
            match word {
                "PASS" => return Ok(Verdict::Pass),
                "FAIL" if rest.is_empty() => bail!("the client failed"),
                "FAIL" => bail!("the client failed: {rest}"),
                "UNSUPPORTED" => return Ok(Verdict::Unsupported),
                "NEXT" => return Ok(Verdict::Next),
                // Whatever else it says is for people.
                _ => {}
            }
        }
    }

    /// A directory that has the service's socket and nothing else of it.
    fn detour(&self) -> Result<PathBuf> {
        let dir = self.dir.path().join("detour");
        fs::create_dir(&dir).context("make a detour")?;
        let socket = format!("{SERVICE}.sock");
        symlink(self.dir.path().join(&socket), dir.join(&socket)).context("link to the socket")?;
        Ok(dir)
    }

    /// Ends whoever is left and returns what all said.
    fn transcripts(&mut self) -> Vec<String> {
        for process in &mut self.processes {
            // What it fails with says less than why the cell failed.
            let _ = process.kill();
        }
        self.processes.iter().flat_map(|process| process.transcript().iter().cloned()).collect()
    }
}

/// What a server says at its end: `requests=N`, or nothing.
fn requests(lines: &[String]) -> Result<Option<u64>> {
    let count = lines.iter().find_map(|line| line.strip_prefix("requests="));
    count.map(|count| count.parse().with_context(|| format!("requests={count}"))).transpose()
}

/// Both peers have ended: whatever lies there now was left behind. A codec scenario's own files are
/// not.
fn ensure_empty(dir: &Path) -> Result<()> {
    let mut left = Vec::new();
    for entry in fs::read_dir(dir).context("read the directory")? {
        let name = entry.context("read the directory")?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name != format!("{SERVICE}.server") && name != format!("{SERVICE}.client") {
            left.push(name);
        }
    }
    ensure!(left.is_empty(), "left behind: {}", left.join(", "));
    Ok(())
}
