//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Ask and serve local typed services: cgroups and processes of this machine, over sockets and
/// shared memory.
#[derive(Debug, Parser)]
#[command(name = "netipc", version, propagate_version = true, args_override_self = true, after_help = EXIT_CODES)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not found (no provider, or nothing known of any key),
4 permission denied, 5 wrong token, 6 nothing in common with the provider, 7 timed out.";

/// What every command takes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Directory in which providers are found [default: $NETDATA_RUN_DIR, else /run/netdata, else
    /// /var/run/netdata]
    #[arg(long, global = true, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Token that provider and client share: a number, or invocation:UUID [default: of
    /// $NETDATA_INVOCATION_ID, else 0]. Other users see it in the process list: prefer the
    /// environment (NETIPC_AUTH)
    // Not parsed here: a message about a bad token would show it.
    #[arg(long, global = true, value_name = "TOKEN", env = "NETIPC_AUTH", hide_env = true)]
    pub auth: Option<String>,
    /// How long one call may take: seconds, or a number with ms, s or m
    #[arg(long, global = true, value_name = "TIME", default_value = "5s", value_parser = period)]
    pub timeout: Duration,
    /// What carries the messages
    #[arg(long, global = true, value_enum, default_value_t = Transport::Auto)]
    pub transport: Transport,
    /// Print JSON for programs. Bytes that are no UTF-8 are replaced there, and the whole string
    /// repeated in hexadecimal in a field of the same name with _hex behind
    #[arg(long, global = true)]
    pub json: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
}

/// What carries the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// Shared memory if both sides can, else the socket.
    Auto,
    /// The shared memory of Netdata plugin-ipc or nothing.
    Shm,
    /// Rings in shared memory or nothing.
    Ring,
    /// The socket.
    Socket,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Provide what this machine knows, until interrupted.
    #[command(subcommand)]
    Serve(Serve),
    /// Print all cgroups.
    Snapshot,
    /// Print what is known of some keys.
    #[command(subcommand)]
    Lookup(Lookup),
    /// Follow all cgroups as they come and go.
    Watch(Watch),
    /// List the services in the run directory, and whether each is alive.
    Ls,
    /// Measure how fast services answer.
    Ping(Ping),
    /// Show it all: a provider, a client, and what happens when the provider is killed.
    Demo(Demo),
}

/// What to provide.
#[derive(Debug, Subcommand)]
pub enum Serve {
    /// Services cgroups-snapshot and cgroups-lookup, from the cgroups of this machine.
    Cgroups(ServeCgroups),
    /// Service apps-lookup, from the processes of this machine.
    Apps(ServeApps),
}

/// How to provide.
#[derive(Args, Debug)]
pub struct Serving {
    /// Permissions of the sockets, in octal
    #[arg(long, value_name = "MODE", default_value = "0600", value_parser = mode)]
    pub mode: u32,
    /// Longest reply: bytes, or a number with KiB or MiB. Longer ones are refused, never cut
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub max_reply: u32,
    /// Socket of a container engine to ask for names; none to ask nobody [default: those of docker
    /// and podman]
    #[arg(long, value_name = "PATH")]
    pub engine_socket: Vec<PathBuf>,
    /// End when standard input does, beside on SIGINT, SIGTERM and SIGHUP
    #[arg(long)]
    pub until_eof: bool,
}

/// How to provide cgroups.
#[derive(Args, Debug)]
pub struct ServeCgroups {
    /// Another tree than this machine's, laid out as /sys/fs/cgroup is
    #[arg(long, value_name = "DIR")]
    pub cgroup_root: Option<PathBuf>,
    /// How often to look at the whole tree even if the kernel tells of no change
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = period)]
    pub rescan: Duration,
    /// What all providers take.
    #[command(flatten)]
    pub serving: Serving,
}

/// How to provide processes.
#[derive(Args, Debug)]
pub struct ServeApps {
    /// Another directory than /proc, laid out as that is
    #[arg(long, value_name = "DIR", default_value = "/proc")]
    pub proc_root: PathBuf,
    /// How often to look at all processes
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = period)]
    pub interval: Duration,
    /// What all providers take.
    #[command(flatten)]
    pub serving: Serving,
}

/// What to look up.
#[derive(Debug, Subcommand)]
pub enum Lookup {
    /// Cgroups by their paths, as /proc/PID/cgroup shows them.
    Cgroups {
        /// The paths; - reads more from standard input, one a line
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<std::ffi::OsString>,
        /// Paths on standard input end with NUL bytes instead of lines
        #[arg(short = '0', long)]
        null: bool,
    },
    /// Processes by their PIDs.
    Apps {
        /// The PIDs; - reads more from standard input, one a line
        #[arg(required = true, value_name = "PID")]
        pids: Vec<String>,
    },
}

/// How to follow.
#[derive(Args, Debug)]
pub struct Watch {
    /// How often to ask
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = period)]
    pub interval: Duration,
    /// End after asking so many times
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

/// How to measure.
#[derive(Args, Debug)]
pub struct Ping {
    /// The services [default: all in the run directory]
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// How often to ask each
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
}

/// How to show.
#[derive(Args, Debug)]
pub struct Demo {
    /// Another tree than this machine's, laid out as /sys/fs/cgroup is
    #[arg(long, value_name = "DIR")]
    pub cgroup_root: Option<PathBuf>,
}

/// Reads `5`, `1.5s`, `200ms`, `2m`.
fn period(text: &str) -> Result<Duration, String> {
    let (number, unit) = if let Some(number) = text.strip_suffix("ms") {
        (number, 0.001)
    } else if let Some(number) = text.strip_suffix('m') {
        (number, 60.0)
    } else {
        (text.strip_suffix('s').unwrap_or(text), 1.0)
    };
    let seconds: f64 = number.trim().parse().map_err(|_| "not a time such as 5s or 200ms")?;
    let period = Duration::try_from_secs_f64(seconds * unit).map_err(|_| "out of range")?;
    let allowed = Duration::from_millis(1)..=Duration::from_secs(86_400);
    if allowed.contains(&period) { Ok(period) } else { Err("not within 1ms and one day".into()) }
}

/// Reads `65536`, `64KiB`, `1MiB`.
fn size(text: &str) -> Result<u32, String> {
    let (number, unit) = if let Some(number) = text.strip_suffix("KiB") {
        (number, 1 << 10)
    } else if let Some(number) = text.strip_suffix("MiB") {
        (number, 1 << 20)
    } else {
        (text, 1)
    };
    let number: u32 = number.trim().parse().map_err(|_| "not a size such as 64MiB")?;
    let bytes = number.checked_mul(unit).ok_or("more than 4 GiB")?;
    if bytes < 1024 { Err("less than 1 KiB".into()) } else { Ok(bytes) }
}

fn mode(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    match u32::from_str_radix(digits, 8) {
        Ok(mode @ 0..=0o777) if !digits.starts_with('+') => Ok(mode),
        _ => Err("not permissions such as 0660".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn reads_times_sizes_and_modes() {
        assert_eq!(period("5"), Ok(Duration::from_secs(5)));
        assert_eq!(period("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(period("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(period("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "-1", "0", "inf", "NaN", "1h", "1e99"] {
            assert!(period(bad).is_err(), "{bad}");
        }
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("4096"), Ok(4096));
        for bad in ["", "1", "9999999MiB", "1GB", "-1"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(mode("0660"), Ok(0o660));
        assert_eq!(mode("0o640"), Ok(0o640));
        for bad in ["", "999", "01777", "+600", "rw"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }
}
