//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser, ValueExt};

use crate::child::Peer;

pub(crate) const HELP: &str = "\
netipc-bench: netipc beside the physical floors of this machine, in one run

usage: netipc-bench [OPTION]...

  --quick               3 rounds of 100 ms: to try things, not to quote
  --rounds N            interleaved rounds (5)
  --duration TIME       time to measure a case in a round, such as 500ms (1s)
  --count N             at most N calls in each part of a case
  --only TEXT           only cases whose name has TEXT in it, and their floors; may be repeated
  --peer NAME=COMMAND   also measure pairs with this peer; may be repeated
                        COMMAND server|client DIR SERVICE KEY=VALUE...: see bench/README.md
  --dir DIR             where sockets and shared files are made (/dev/shm, or the system's own)
  --out DIR             write <date>-<machine>.md and .json there
  --list                name the cases and stop
  -h, --help            show this

exit status: 0 measured, 1 a case failed, 2 nothing could be done
";

/// What the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Help,
    /// Play one side of a case: role, directory, service and task.
    Peer(Vec<String>),
    List(Options),
    Run(Options),
}

/// How to measure what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) duration: Duration,
    /// At most so many calls; 0: as many as fit.
    pub(crate) count: u64,
    /// Any of these in the name of a case; none: every case.
    pub(crate) only: Vec<String>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) out: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            rounds: 5,
            duration: Duration::from_secs(1),
            count: 0,
            only: Vec::new(),
            peers: Vec::new(),
            dir: None,
            out: None,
        }
    }
}

/// Reads a command line, without the name of the program.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut parser = Parser::from_args(words);
    let mut options = Options::default();
    let mut list = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Value(word) if word == "peer" => {
                let words = parser.raw_args()?.map(|word| word.string()).collect::<Result<_, _>>();
                return Ok(Command::Peer(words?));
            }
            Arg::Long("quick") => {
                options.rounds = 3;
                options.duration = Duration::from_millis(100);
            }
            Arg::Long("rounds") => {
                options.rounds = parser.value()?.parse().context("--rounds")?;
                if options.rounds == 0 {
                    bail!("--rounds: must be at least 1");
                }
            }
            Arg::Long("duration") => {
                let text = parser.value()?.string()?;
                options.duration = humantime::parse_duration(&text).context("--duration")?;
                if options.duration < Duration::from_millis(1) {
                    bail!("--duration: must be at least 1ms");
                }
            }
            Arg::Long("count") => options.count = parser.value()?.parse().context("--count")?,
            Arg::Long("only") => options.only.push(parser.value()?.string()?),
            Arg::Long("peer") => options.peers.push(peer(&parser.value()?.string()?)?),
            Arg::Long("dir") => options.dir = Some(parser.value()?.into()),
            Arg::Long("out") => options.out = Some(parser.value()?.into()),
            Arg::Long("list") => list = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(if list { Command::List(options) } else { Command::Run(options) })
}

fn peer(text: &str) -> Result<Peer> {
    let (name, command) = text.split_once('=').context("--peer: NAME=COMMAND is wanted")?;
    let command: Vec<String> = command.split_whitespace().map(String::from).collect();
    if name.is_empty() || command.is_empty() {
        bail!("--peer: NAME=COMMAND is wanted");
    }
    Ok(Peer { name: name.into(), command })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &[&str]) -> Result<Command> {
        parse(words.iter().map(OsString::from))
    }

    fn options(words: &[&str]) -> Options {
        match read(words).unwrap() {
            Command::Run(options) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_means_a_full_run() {
        assert_eq!(options(&[]), Options::default());
    }

    #[test]
    fn quick_can_be_refined() {
        let quick = options(&["--quick", "--rounds=2", "--only", "shm", "--only", "cache"]);
        assert_eq!((quick.rounds, quick.duration), (2, Duration::from_millis(100)));
        assert_eq!(quick.only, ["shm", "cache"]);
    }

    #[test]
    fn a_peer_has_a_name_and_a_command() {
        let peers = options(&["--peer", "go=./bench-peer -v"]).peers;
        assert_eq!(peers[0].name, "go");
        assert_eq!(peers[0].command, ["./bench-peer", "-v"]);
        assert!(read(&["--peer", "go"]).is_err());
        assert!(read(&["--peer", "go= "]).is_err());
    }

    #[test]
    fn what_follows_peer_is_left_to_the_peer() {
        let words = ["peer", "server", "/run/x", "y", "scenario=increment", "--odd"];
        let wanted = words[1..].iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(read(&words).unwrap(), Command::Peer(wanted));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for words in [
            &["--rounds", "0"][..],
            &["--duration", "0s"],
            &["--duration", "x"],
            &["--fast"],
            &["a"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
