//! What one case measures, as the `key=value` words of a peer's command line.

use std::{fmt, str::FromStr, time::Duration};

use anyhow::{Context, Error, Result, bail};

/// An enum that is written and read as a word.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$vdoc])* $variant,)+ }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $($name::$variant => $word,)+ })
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(word: &str) -> Result<Self> {
                Ok(match word {
                    $($word => $name::$variant,)+
                    _ => bail!("{word}: not one of {}", [$($word),+].join(", ")),
                })
            }
        }
    };
}

words! {
    /// What is measured. Those that start with `floor-` know nothing of netipc.
    Scenario {
        FloorSocket = "floor-socket",
        FloorLine = "floor-line",
        FloorPacing = "floor-pacing",
        FloorCopy = "floor-copy",
        FloorCgroups = "floor-lookup-cgroups",
        FloorApps = "floor-lookup-apps",
        FloorSnapshot = "floor-snapshot",
        FloorProbe = "floor-probe",
        Increment = "increment",
        Pipeline = "pipeline",
        Batch = "batch",
        Snapshot = "snapshot",
        Unchanged = "snapshot-unchanged",
        Cgroups = "lookup-cgroups",
        Apps = "lookup-apps",
        Cache = "cache",
        CacheDirect = "cache-direct",
        Sessions = "sessions",
    }
}

words! {
    /// What carries the messages.
    Transport {
        Socket = "socket",
        Shared = "shm",
        Ring = "ring",
    }
}

words! {
    /// How the floors wait for a message.
    Waiting {
        /// In the kernel.
        Block = "block",
        /// By looking again and again.
        Spin = "spin",
        /// By looking again and again, while the sender rings the futex for nobody.
        Wake = "wake",
        /// By looking a while, then asleep behind a flag that the sender looks at before it rings.
        Flag = "flag",
    }
}

/// What one case measures, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) scenario: Scenario,
    pub(crate) transport: Transport,
    pub(crate) waiting: Waiting,
    /// How long to measure.
    pub(crate) duration: Duration,
    /// How many calls to make at most; 0: as many as fit the duration.
    pub(crate) count: u64,
    /// Calls a second; 0: as fast as they go.
    pub(crate) rate: u64,
    /// Requests in flight, or in a batch.
    pub(crate) depth: usize,
    /// Items in a table, keys in a lookup, bytes in a copy.
    pub(crate) items: usize,
    /// Sessions of the client.
    pub(crate) sessions: usize,
    /// Threads of the client.
    pub(crate) threads: usize,
    /// Workers of the server.
    pub(crate) workers: usize,
}

impl Task {
    /// A task with one of everything.
    pub(crate) fn new(scenario: Scenario) -> Self {
        Task {
            scenario,
            transport: Transport::Socket,
            waiting: Waiting::Block,
            duration: Duration::from_millis(100),
            count: 0,
            rate: 0,
            depth: 1,
            items: 1,
            sessions: 1,
            threads: 1,
            workers: 1,
        }
    }

    /// Reads the words that [`words`](Self::words) writes.
    pub(crate) fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut task = Task::new(Scenario::Increment);
        let mut scenario = None;
        for word in words {
            let (key, value) = word.split_once('=').with_context(|| format!("{word}: no `=`"))?;
            task.set(key, value, &mut scenario).with_context(|| word.to_owned())?;
        }
        task.scenario = scenario.context("scenario= is missing")?;
        Ok(task)
    }

    fn set(&mut self, key: &str, value: &str, scenario: &mut Option<Scenario>) -> Result<()> {
        match key {
            "scenario" => *scenario = Some(value.parse()?),
            "transport" => self.transport = value.parse()?,
            "waiting" => self.waiting = value.parse()?,
            "duration_ms" => self.duration = Duration::from_millis(at_least_one(value)?),
            "count" => self.count = value.parse()?,
            "rate" => self.rate = value.parse()?,
            "depth" => self.depth = at_least_one(value)? as usize,
            "items" => self.items = at_least_one(value)? as usize,
            "sessions" => self.sessions = at_least_one(value)? as usize,
            "threads" => self.threads = at_least_one(value)? as usize,
            "workers" => self.workers = at_least_one(value)? as usize,
            _ => bail!("unknown key"),
        }
        Ok(())
    }

    /// The task as words of a command line; what is as in [`Task::new`] is left out.
    pub(crate) fn words(&self) -> Vec<String> {
        let plain = Task::new(self.scenario);
        let mut words = vec![
            format!("scenario={}", self.scenario),
            format!("duration_ms={}", self.duration.as_millis()),
        ];
        if self.transport != plain.transport || !self.is_floor() {
            words.push(format!("transport={}", self.transport));
        }
        if self.waiting != plain.waiting {
            words.push(format!("waiting={}", self.waiting));
        }
        let numbers = [
            ("count", self.count, plain.count),
            ("rate", self.rate, plain.rate),
            ("depth", self.depth as u64, plain.depth as u64),
            ("items", self.items as u64, plain.items as u64),
            ("sessions", self.sessions as u64, plain.sessions as u64),
            ("threads", self.threads as u64, plain.threads as u64),
            ("workers", self.workers as u64, plain.workers as u64),
        ];
        let told = numbers.iter().filter(|(_, value, plain)| value != plain);
        words.extend(told.map(|(key, value, _)| format!("{key}={value}")));
        words
    }

    /// Whether netipc has no part in it.
    pub(crate) fn is_floor(&self) -> bool {
        self.scenario.to_string().starts_with("floor-")
    }

    /// Whether it needs no server.
    pub(crate) fn is_solo(&self) -> bool {
        use Scenario::*;
        matches!(
            self.scenario,
            FloorPacing | FloorCopy | FloorCgroups | FloorApps | FloorSnapshot | FloorProbe
        )
    }
}

fn at_least_one(value: &str) -> Result<u64> {
    match value.parse()? {
        0 => bail!("must be at least 1"),
        number => Ok(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let task = Task {
            transport: Transport::Shared,
            waiting: Waiting::Flag,
            duration: Duration::from_millis(30),
            count: 5,
            rate: 1000,
            depth: 16,
            items: 256,
            sessions: 10,
            threads: 2,
            workers: 4,
            ..Task::new(Scenario::Sessions)
        };
        let words = task.words();
        assert_eq!(Task::parse(words.iter().map(String::as_str)).unwrap(), task);
    }

    #[test]
    fn refuses_a_word_it_does_not_know() {
        let refused = |words: &[&str]| {
            format!("{:#}", Task::parse(words.iter().copied()).expect_err("must be refused"))
        };
        assert_eq!(refused(&["transport=shm"]), "scenario= is missing");
        assert_eq!(refused(&["scenario=increment", "speed=9"]), "speed=9: unknown key");
        assert_eq!(refused(&["scenario=increment", "depth"]), "depth: no `=`");
        assert_eq!(refused(&["threads=0"]), "threads=0: must be at least 1");
        assert!(refused(&["scenario=x"]).contains("not one of floor-socket"));
    }
}
