//! What a figure is worth nothing without: machine, system, build, load.

use std::{fs, process::Command, time::SystemTime};

use rustix::{param::page_size, system::uname};

use crate::{args::Options, placement::Cpus};

/// The facts at the start of a run; [`load`] is asked again at its end.
pub(crate) fn facts(options: &Options, cpus: &Cpus) -> Vec<(String, String)> {
    let system = uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let kernel = format!("{} {}", text(system.sysname()), text(system.release()));
    let build = format!(
        "{}, opt-level {}, {}, version {}, commit {}",
        env!("BENCH_PROFILE"),
        env!("BENCH_OPT_LEVEL"),
        env!("BENCH_RUSTC"),
        env!("CARGO_PKG_VERSION"),
        commit(),
    );
    let method = format!(
        "{} rounds, {} a case in each, in turn; fresh processes for every measurement",
        options.rounds,
        humantime::format_duration(options.duration),
    );
    let facts = [
        ("date", date_and_time()),
        ("CPU", format!("{}, {}", cpu_model(), text(system.machine()))),
        ("CPUs", cpus.describe()),
        ("kernel", kernel),
        (
            "clock source",
            read_line("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        ),
        ("frequency governor", read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
        ("page size", page_size().to_string()),
        ("build", build),
        ("method", method),
    ];
    facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect()
}

/// The load averages now: above 1 before the run, something else was running.
pub(crate) fn load() -> String {
    let line = read_line("/proc/loadavg");
    line.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// The name of a results file: date, CPU model and number of CPUs, in lower case and dashes.
pub(crate) fn file_stem(cpus: usize) -> String {
    let date = date_and_time();
    let date = date.split_once('T').map_or(date.as_str(), |(date, _)| date);
    let text = format!("{date} {} {cpus}cpu", cpu_model()).to_lowercase();
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

fn date_and_time() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

fn cpu_model() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    model.map_or("unknown CPU".into(), |model| model.trim_matches(['\t', ':', ' ']).to_owned())
}

fn read_line(path: &str) -> String {
    fs::read_to_string(path).map_or("unknown".into(), |text| text.trim().to_owned())
}

/// The commit of the source tree this runs in, if it runs in one.
fn commit() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".into() };
    match git(&["status", "--porcelain", "--untracked-files=no"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => format!("{commit} with changes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_has_date_and_machine_and_nothing_odd() {
        let stem = file_stem(2);
        assert!(stem.starts_with("20") && stem.ends_with("-2cpu"), "{stem}");
        assert!(stem.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{stem}");
    }
}
