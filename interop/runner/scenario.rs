//! What the pairs do: one line for each column of the table.

use std::{fmt, str::FromStr};

use anyhow::{Error, bail};

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Socket,
    Shared,
    Rings,
}

impl Transport {
    pub(crate) const ALL: [Transport; 3] = [Transport::Socket, Transport::Shared, Transport::Rings];
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Socket => "socket",
            Transport::Shared => "shm",
            Transport::Rings => "ring",
        })
    }
}

impl FromStr for Transport {
    type Err = Error;

    fn from_str(word: &str) -> Result<Self, Error> {
        match word {
            "socket" => Ok(Transport::Socket),
            "shm" => Ok(Transport::Shared),
            "ring" => Ok(Transport::Rings),
            _ => bail!("{word}: neither socket nor shm nor ring"),
        }
    }
}

/// How the runner leads the two peers through a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// A server serves, a client asks.
    Ask,
    /// They write messages into files, which are compared with the vectors.
    Compare,
    /// The first server dies while the client has a session with it, and another takes its place.
    Restart,
    /// The client finds the socket in a directory where there is no shared memory.
    Detour,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Its heading, and what is above that of several columns.
    pub(crate) title: String,
    pub(crate) group: &'static str,
    pub(crate) flow: Flow,
    /// What a peer is told besides the scenario and the transport.
    pub(crate) words: Vec<String>,
    pub(crate) transports: &'static [Transport],
}

/// All scenarios; with `quick` ones of fewer keys and rounds.
pub(crate) fn all(quick: bool) -> Vec<Scenario> {
    use Transport::{Rings, Shared, Socket};
    const EACH: &[Transport] = &Transport::ALL;
    let scenario = |name, title: &str, flow, words: &[String], transports| Scenario {
        name,
        title: title.into(),
        group: "",
        flow,
        words: words.into(),
        transports,
    };
    let pick = |usual: u32, fewer: u32| if quick { fewer } else { usual };
    let items = [format!("items={}", pick(2000, 800))];
    let pipeline = [format!("rounds={}", pick(50, 5)), "depth=16".into()];
    let mut all = vec![
        scenario("codec", "codec", Flow::Compare, &[], &[Socket]),
        scenario("echo", "echo", Flow::Ask, &[], EACH),
        scenario("pipeline", "pipe", Flow::Ask, &pipeline, &[Socket, Rings]),
        scenario("snapshot", "snap", Flow::Ask, &items, EACH),
    ];
    for (name, group) in [("lookup-cgroups", "lookup cgroups"), ("lookup-apps", "lookup apps")] {
        // So little room that each takes many requests.
        for (keys, bytes) in [(16, 512), (pick(8192, 512), 4096), (pick(65536, 4096), 16384)] {
            let words = [format!("keys={keys}"), format!("response_bytes={bytes}")];
            let lookup = scenario(name, &keys.to_string(), Flow::Ask, &words, EACH);
            all.push(Scenario { group, ..lookup });
        }
    }
    all.extend([
        scenario("cache", "cache", Flow::Ask, &items, EACH),
        scenario("retry", "retry", Flow::Restart, &[], EACH),
        scenario("fallback", "fall", Flow::Detour, &[], &[Shared]),
    ]);
    all
}
