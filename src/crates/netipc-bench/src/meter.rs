//! The measuring loop on the side that calls.
//!
//! Flat out, two thirds of the time are measured without looking at the clock between calls: that
//! gives the mean. In the last third each step is timed: that gives the percentiles. So the clock,
//! some 20 ns, does not flatter the ratio of two short means. At a given rate every call is timed.

use std::{
    fmt, fs,
    num::NonZeroU64,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use hdrhistogram::Histogram;
use rustix::{
    thread::{clock_nanosleep_absolute, set_current_timer_slack},
    time::{ClockId, Timespec, clock_gettime},
};

use crate::task::Task;

const NANOS: u64 = 1_000_000_000;

/// What the calling side reports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// All calls made between GO and DONE; the driver divides the CPU time by it.
    pub(crate) calls: u64,
    /// Flat out: time over calls. At a given rate: mean time of a call.
    pub(crate) ns_per_call: f64,
    pub(crate) p50_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) max_ns: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "calls={}", self.calls)?;
        writeln!(f, "ns_per_call={:.3}", self.ns_per_call)?;
        writeln!(f, "p50_ns={}", self.p50_ns)?;
        writeln!(f, "p99_ns={}", self.p99_ns)?;
        writeln!(f, "max_ns={}", self.max_ns)
    }
}

impl Tally {
    /// Reads what `Display` writes; every line must be there, others are for later versions.
    pub(crate) fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let lines: Vec<_> = lines.into_iter().filter_map(|line| line.split_once('=')).collect();
        let value = |key: &str| -> Result<&str> {
            let found = lines.iter().find(|(k, _)| *k == key);
            Ok(found.with_context(|| format!("the client did not report {key}"))?.1)
        };
        let number = |key: &str| -> Result<u64> {
            let text = value(key)?;
            text.parse().with_context(|| format!("{key}={text}"))
        };
        let text = value("ns_per_call")?;
        let tally = Tally {
            calls: number("calls")?,
            ns_per_call: text.parse().with_context(|| format!("ns_per_call={text}"))?,
            p50_ns: number("p50_ns")?,
            p99_ns: number("p99_ns")?,
            max_ns: number("max_ns")?,
        };
        ensure!(tally.calls > 0, "the client made no call");
        ensure!(tally.ns_per_call.is_finite(), "the client reported ns_per_call={text}");
        Ok(tally)
    }
}

/// A step on cache lines of its own: what one thread counts on must not lie beside what another does.
/// Two lines, as some CPUs fetch them in pairs.
#[repr(align(128))]
pub(crate) struct Apart<F>(pub(crate) F);

/// Measures one caller on a thread for each of `steps`. A step makes `calls_per_step` calls.
///
/// Warms up, then calls `go`, which returns when the driver says so, then measures. What the steps
/// hold, connections above all, stays with the caller: the driver looks at it when all is done.
pub(crate) fn measure<F>(
    task: &Task,
    calls_per_step: u64,
    steps: &mut [Apart<F>],
    go: impl FnOnce() -> Result<()>,
) -> Result<Tally>
where
    F: FnMut() -> Result<()> + Send,
{
    // The threads meet the main thread twice: warmed up, and told to go.
    let (warm, started) = (Barrier::new(steps.len() + 1), Barrier::new(steps.len() + 1));
    let budget = Budget::of(task, calls_per_step, steps.len());
    let counts = thread::scope(|scope| {
        let threads: Vec<_> = steps
            .iter_mut()
            .map(|Apart(step)| {
                let (warm, started, budget) = (&warm, &started, &budget);
                scope.spawn(move || {
                    let warmed_up = warm_up(budget, step);
                    warm.wait();
                    started.wait();
                    let steps_per_ms = warmed_up?;
                    match NonZeroU64::new(budget.rate) {
                        Some(rate) => paced(budget, rate, step),
                        None => flat_out(budget, steps_per_ms, step),
                    }
                })
            })
            .collect();
        warm.wait();
        let told = go();
        started.wait();
        let joined = threads.into_iter().map(|thread| {
            thread.join().map_err(|_| anyhow!("a calling thread panicked")).and_then(|count| count)
        });
        let counts: Result<Vec<Count>> = joined.collect();
        told.and(counts)
    })?;
    add_up(&counts, calls_per_step, budget.rate > 0)
}

/// How long a thread measures, and how many steps it makes at most in each part.
struct Budget {
    duration: Duration,
    steps: u64,
    rate: u64,
}

impl Budget {
    fn of(task: &Task, calls_per_step: u64, threads: usize) -> Self {
        let share = task.count.div_ceil(calls_per_step * threads as u64);
        let steps = if task.count == 0 { u64::MAX } else { share };
        Budget { duration: task.duration, steps, rate: task.rate }
    }
}

/// What one thread counted.
struct Count {
    untimed: u64,
    untimed_from: Instant,
    untimed_to: Instant,
    times: Histogram<u64>,
}

/// Makes the caches, the connection and the clock of the CPU warm; returns how many steps fit a millisecond.
fn warm_up(budget: &Budget, step: &mut impl FnMut() -> Result<()>) -> Result<u64> {
    const STEPS: u64 = 10_000;
    let start = Instant::now();
    let mut done = 0;
    while done < STEPS.min(budget.steps) && start.elapsed() < budget.duration / 10 {
        step()?;
        done += 1;
    }
    let steps_per_ms = done * 1_000_000 / (start.elapsed().as_nanos() as u64).max(1);
    Ok(steps_per_ms.max(1))
}

fn flat_out(
    budget: &Budget,
    steps_per_ms: u64,
    step: &mut impl FnMut() -> Result<()>,
) -> Result<Count> {
    let untimed_from = Instant::now();
    let mut untimed = 0;
    while untimed < budget.steps && untimed_from.elapsed() < budget.duration * 2 / 3 {
        let steps = steps_per_ms.min(budget.steps - untimed);
        for _ in 0..steps {
            step()?;
        }
        untimed += steps;
    }
    let untimed_to = Instant::now();
    let mut times = empty_histogram()?;
    let end = untimed_to + budget.duration / 3;
    let mut before = Instant::now();
    while times.len() < budget.steps && before < end {
        step()?;
        let after = Instant::now();
        times.saturating_record((after - before).as_nanos() as u64);
        before = Instant::now();
    }
    Ok(Count { untimed, untimed_from, untimed_to, times })
}

fn paced(
    budget: &Budget,
    rate: NonZeroU64,
    step: &mut impl FnMut() -> Result<()>,
) -> Result<Count> {
    let mut pacer = Pacer::new(rate)?;
    let mut times = empty_histogram()?;
    let start = Instant::now();
    while times.len() < budget.steps && start.elapsed() < budget.duration {
        pacer.wait()?;
        let before = Instant::now();
        step()?;
        times.saturating_record(before.elapsed().as_nanos() as u64);
    }
    Ok(Count { untimed: 0, untimed_from: start, untimed_to: start, times })
}

fn add_up(counts: &[Count], calls_per_step: u64, paced: bool) -> Result<Tally> {
    let mut times = empty_histogram()?;
    for count in counts {
        times.add(&count.times).context("add up histograms")?;
    }
    let untimed: u64 = counts.iter().map(|count| count.untimed).sum();
    let from = counts.iter().map(|count| count.untimed_from).min();
    let to = counts.iter().map(|count| count.untimed_to).max();
    let wall = from.zip(to).map_or(Duration::ZERO, |(from, to)| to - from);
    let ns_per_step =
        if paced { times.mean() } else { wall.as_nanos() as f64 / untimed.max(1) as f64 };
    Ok(Tally {
        calls: (untimed + times.len()) * calls_per_step,
        ns_per_call: ns_per_step / calls_per_step as f64,
        p50_ns: times.value_at_quantile(0.5) / calls_per_step,
        p99_ns: times.value_at_quantile(0.99) / calls_per_step,
        max_ns: times.max() / calls_per_step,
    })
}

/// From 1 ns to a minute in three digits: allocated once, never while measuring.
fn empty_histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60 * NANOS, 3).context("make a histogram")
}

/// Wakes its thread at a steady rate. A tick that is missed is left out, not made up for.
pub(crate) struct Pacer {
    period: u64,
    next: u64,
}

impl Pacer {
    /// Starts ticking, and asks the kernel not to round this thread's sleeps up by its usual 50 µs.
    pub(crate) fn new(rate: NonZeroU64) -> Result<Self> {
        set_current_timer_slack(NonZeroU64::new(1)).context("ask for precise timers")?;
        Ok(Pacer { period: NANOS / rate, next: monotonic_ns() })
    }

    /// Sleeps until the next tick.
    pub(crate) fn wait(&mut self) -> Result<()> {
        let now = monotonic_ns();
        self.next += self.period;
        if self.next <= now {
            self.next = now + self.period;
        }
        let until = Timespec {
            tv_sec: (self.next / NANOS) as i64,
            tv_nsec: (self.next % NANOS).try_into().context("nanoseconds of a second")?,
        };
        loop {
            match clock_nanosleep_absolute(ClockId::Monotonic, &until) {
                Err(rustix::io::Errno::INTR) => {}
                done => return done.context("sleep until the next tick"),
            }
        }
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * NANOS + now.tv_nsec as u64
}

/// Memory and threads of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Footprint {
    pub(crate) rss_kib: u64,
    pub(crate) threads: u64,
}

impl Footprint {
    /// Of the process `pid`, now.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/status");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        Self::parse(&text).with_context(|| format!("read {path}"))
    }

    fn parse(status: &str) -> Result<Self> {
        let number = |key: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
            let word = line.and_then(|rest| rest.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).with_context(|| format!("no {key}"))
        };
        Ok(Footprint { rss_kib: number("VmRSS")?, threads: number("Threads")? })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::task::Scenario;

    fn task(count: u64, rate: u64) -> Task {
        let duration = Duration::from_secs(60);
        Task { count, rate, duration, ..Task::new(Scenario::Increment) }
    }

    #[test]
    fn a_count_ends_both_parts_before_the_duration() {
        let mut steps = 0u64;
        let step = || {
            steps += 1;
            Ok(())
        };
        let tally = measure(&task(50, 0), 1, &mut [Apart(step)], || Ok(())).unwrap();
        assert_eq!(tally.calls, 100);
        assert!(steps >= 100);
        assert!(tally.ns_per_call > 0.0 && tally.p50_ns <= tally.p99_ns);
    }

    #[test]
    fn a_rate_spaces_the_calls() {
        let start = Instant::now();
        let tally = measure(&task(20, 1000), 1, &mut [Apart(|| Ok(()))], || Ok(())).unwrap();
        assert_eq!(tally.calls, 20);
        assert!(start.elapsed() >= Duration::from_millis(19));
    }

    #[test]
    fn all_threads_start_after_go_and_are_added_up() {
        let went = AtomicU64::new(0);
        let step = || Ok(());
        let go = || {
            went.store(1, Relaxed);
            Ok(())
        };
        let tally = measure(&task(40, 0), 4, &mut [Apart(step), Apart(step)], go).unwrap();
        assert_eq!(went.load(Relaxed), 1);
        assert_eq!(tally.calls, 2 * 2 * 5 * 4);
    }

    #[test]
    fn a_step_that_fails_ends_the_measurement() {
        let step = || Err(anyhow!("the server is gone"));
        let failed = measure(&task(5, 0), 1, &mut [Apart(step)], || Ok(())).unwrap_err();
        assert_eq!(failed.to_string(), "the server is gone");
    }

    #[test]
    fn what_a_client_reports_is_read_back() {
        let tally = Tally { calls: 7, ns_per_call: 12.5, p50_ns: 12, p99_ns: 40, max_ns: 99 };
        assert_eq!(Tally::parse(tally.to_string().lines()).unwrap(), tally);
        let missing = Tally::parse(["calls=7"]).unwrap_err();
        assert_eq!(missing.to_string(), "the client did not report ns_per_call");
    }

    #[test]
    fn reads_memory_and_threads_of_a_process() {
        let text = "Name:\tx\nVmRSS:\t    1234 kB\nThreads:\t5\n";
        assert_eq!(Footprint::parse(text).unwrap(), Footprint { rss_kib: 1234, threads: 5 });
        assert!(Footprint::of(std::process::id()).unwrap().rss_kib > 0);
    }
}
