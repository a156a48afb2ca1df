//! What a peer is told to do, as `KEY=VALUE` words.

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    Codec,
    Echo,
    Pipeline,
    Snapshot,
    Cgroups,
    Apps,
    Cache,
    Retry,
    Fallback,
}

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    Socket,
    Shared,
    Rings,
}

/// The words.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) scenario: Scenario,
    pub(crate) transport: Transport,
    /// Items of a snapshot.
    pub(crate) items: u32,
    /// Keys of a lookup.
    pub(crate) keys: u32,
    /// The limit of the server's responses; 0: the usual one.
    pub(crate) response_bytes: u32,
    pub(crate) rounds: u64,
    /// Requests in flight.
    pub(crate) depth: u64,
    /// What the server says of its data.
    pub(crate) generation: u64,
}

impl Task {
    /// Reads the words; nothing if one of them is not known here.
    pub(crate) fn parse(words: &[String]) -> Option<Self> {
        let mut task = Task {
            scenario: Scenario::Snapshot,
            transport: Transport::Socket,
            items: 100,
            keys: 16,
            response_bytes: 0,
            rounds: 5,
            depth: 16,
            generation: 1,
        };
        for word in words {
            let (key, value) = word.split_once('=')?;
            match key {
                "scenario" => task.scenario = scenario(value)?,
                "transport" => task.transport = transport(value)?,
                "items" => task.items = value.parse().ok()?,
                "keys" => task.keys = value.parse().ok()?,
                "response_bytes" => task.response_bytes = value.parse().ok()?,
                "rounds" => task.rounds = value.parse().ok()?,
                "depth" => task.depth = value.parse().ok()?,
                "generation" => task.generation = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(task)
    }
}

fn scenario(word: &str) -> Option<Scenario> {
    Some(match word {
        "codec" => Scenario::Codec,
        "echo" => Scenario::Echo,
        "pipeline" => Scenario::Pipeline,
        "snapshot" => Scenario::Snapshot,
        "lookup-cgroups" => Scenario::Cgroups,
        "lookup-apps" => Scenario::Apps,
        "cache" => Scenario::Cache,
        "retry" => Scenario::Retry,
        "fallback" => Scenario::Fallback,
        _ => return None,
    })
}

fn transport(word: &str) -> Option<Transport> {
    match word {
        "socket" => Some(Transport::Socket),
        "shm" => Some(Transport::Shared),
        "ring" => Some(Transport::Rings),
        _ => None,
    }
}
