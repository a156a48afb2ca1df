//! The command line of the runner.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, Parser, ValueExt};

use crate::{peer::Peer, scenario::Transport};

pub(crate) const HELP: &str = "\
Runs every pair of peers in every scenario on every transport and shows one table.

usage: netipc-interop [options]

  --peer NAME=COMMAND   adds a peer: COMMAND server|client DIR SERVICE KEY=VALUE...
  --dir-prefix NAME=P   the peer finds DIR as P followed by DIR, such as Z: under Wine;
                        peers are paired only with those that find it where they do
  --peers DIR           where the built-in peers are, if not beside this program
  --without NAME        leaves a built-in peer out
  --transport NAME      socket, shm or ring alone
  --only TEXT           cells with TEXT in their name, such as 'echo' or 'go to rust'
  --quick               fewer keys, items and rounds
  --deadline SECONDS    how long a cell may take (30)
  --vectors DIR         what messages are compared with (vectors)
  --list                names the cells
  -h, --help            shows this

--peer, --dir-prefix, --without and --only can be repeated. Exits with 0 if no cell failed,
1 if one did, 2 if nothing could be done. interop/README.md says what a peer has to do.
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    List(Options),
    Run(Options),
}

/// What to run, and with whom.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Those that are not built in.
    pub(crate) peers: Vec<Peer>,
    /// Where to look for those that are, besides the directory of this program.
    pub(crate) built: Option<PathBuf>,
    /// The built-in ones to leave out.
    pub(crate) without: Vec<String>,
    pub(crate) transport: Option<Transport>,
    pub(crate) only: Vec<String>,
    pub(crate) quick: bool,
    pub(crate) deadline: Duration,
    pub(crate) vectors: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            peers: Vec::new(),
            built: None,
            without: Vec::new(),
            transport: None,
            only: Vec::new(),
            quick: false,
            deadline: Duration::from_secs(30),
            vectors: "vectors".into(),
        }
    }
}

/// Reads a command line, without the name of the program.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Command> {
    let mut parser = Parser::from_args(words);
    let mut options = Options::default();
    let mut prefixes = Vec::new();
    let mut list = false;
    while let Some(arg) = parser.next()? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("peer") => options.peers.push(peer(&parser.value()?.string()?)?),
            Arg::Long("dir-prefix") => prefixes.push(pair("--dir-prefix", &mut parser)?),
            Arg::Long("peers") => options.built = Some(parser.value()?.into()),
            Arg::Long("without") => options.without.push(parser.value()?.string()?),
            Arg::Long("transport") => options.transport = Some(parser.value()?.parse()?),
            Arg::Long("only") => options.only.push(parser.value()?.string()?),
            Arg::Long("quick") => options.quick = true,
            Arg::Long("deadline") => {
                let seconds = parser.value()?.parse().context("--deadline: seconds are wanted")?;
                options.deadline = Duration::from_secs(seconds);
            }
            Arg::Long("vectors") => options.vectors = parser.value()?.into(),
            Arg::Long("list") => list = true,
            other => return Err(other.unexpected().into()),
        }
    }
    for (name, prefix) in prefixes {
        let peer = options.peers.iter_mut().find(|peer| peer.name == name);
        peer.with_context(|| format!("--dir-prefix: no --peer {name}"))?.dir_prefix = prefix;
    }
    Ok(if list { Command::List(options) } else { Command::Run(options) })
}

fn pair(option: &str, parser: &mut Parser) -> Result<(String, String)> {
    let text = parser.value()?.string()?;
    let (name, value) = text.split_once('=').with_context(|| format!("{option}: NAME=…"))?;
    Ok((name.into(), value.into()))
}

fn peer(text: &str) -> Result<Peer> {
    let (name, command) = text.split_once('=').context("--peer: NAME=COMMAND is wanted")?;
    let command: Vec<String> = command.split_whitespace().map(String::from).collect();
    if name.is_empty() || command.is_empty() {
        bail!("--peer: NAME=COMMAND is wanted");
    }
    Ok(Peer { name: name.into(), command, dir_prefix: String::new() })
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
    fn nothing_means_everything() {
        assert_eq!(options(&[]), Options::default());
    }

    #[test]
    fn a_peer_has_a_name_a_command_and_perhaps_a_prefix() {
        let words = ["--dir-prefix", "win=Z:", "--peer", "win=wine64 peer.exe"];
        let peers = options(&words).peers;
        assert_eq!(peers[0].name, "win");
        assert_eq!(peers[0].command, ["wine64", "peer.exe"]);
        assert_eq!(peers[0].dir_prefix, "Z:");
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for words in [
            &["--peer", "go"][..],
            &["--peer", "go= "],
            &["--dir-prefix", "nobody=Z:"],
            &["--transport", "pigeon"],
            &["--deadline", "soon"],
            &["--fast"],
            &["a"],
        ] {
            assert!(read(words).is_err(), "{words:?}");
        }
    }
}
