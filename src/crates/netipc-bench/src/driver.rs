//! A run: every case in every round, each by fresh processes, then the report.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};

use crate::{
    args::Options,
    child::{Answer, Child, Peer, Seat},
    machine,
    placement::{Cpus, Side},
    plan::{Case, Plan},
    report,
    results::{CaseResult, Outcome, Ratio, Results, Sample},
};

/// Names the cases that `options` choose.
pub(crate) fn list(options: &Options) -> Result<()> {
    Plan::new(options, &Peer::own()?).cases.iter().for_each(|case| println!("{case}"));
    Ok(())
}

/// Measures what `options` choose and reports; false if a case failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let plan = Plan::new(options, &Peer::own()?);
    ensure!(!plan.cases.is_empty(), "no case has {} in its name", options.only.join(" or "));
    let cpus = Cpus::detect()?;
    let dir = scratch(options.dir.as_deref())?;
    let mut facts = machine::facts(options, &cpus);
    let load_before = machine::load();

    let mut cases: Vec<CaseResult> = plan.cases.iter().map(CaseResult::new).collect();
    for round in 0..options.rounds {
        eprintln!("round {} of {}", round + 1, options.rounds);
        // Every other round goes backwards: whoever comes first in one comes last in the next.
        let forwards = 0..plan.cases.len();
        let order: Vec<usize> =
            if round % 2 == 0 { forwards.collect() } else { forwards.rev().collect() };
        for at in order {
            let case = &plan.cases[at];
            let service = format!("case-{at}-{round}");
            let outcome = measure(case, &cpus, dir.path(), &service);
            if let Outcome::Failed(error) = &outcome {
                eprintln!("{case}: {error:#}");
            }
            cases[at].push(outcome);
        }
    }

    facts.push(("load averages".into(), format!("{load_before}; {} after", machine::load())));
    let ratios = plan.comparisons.iter().map(|c| Ratio::new(c, &cases)).collect();
    let results = Results { facts, cases, ratios };
    let report = report::markdown(&results);
    print!("{report}");
    if let Some(out) = &options.out {
        write(out, &report, &results, cpus.count())?;
    }
    Ok(!results.has_failures())
}

/// Measures `case` once.
fn measure(case: &Case, cpus: &Cpus, dir: &Path, service: &str) -> Outcome {
    let seats = (
        seat(case, Side::Server, cpus, dir, service),
        seat(case, client_side(case), cpus, dir, service),
    );
    let (Some(server), Some(client)) = seats else {
        return Outcome::Skipped("the machine has one CPU".into());
    };
    let measured =
        if case.task.is_solo() { alone(case, &client) } else { pair(case, &server, &client) };
    measured.unwrap_or_else(Outcome::Failed)
}

fn alone(case: &Case, seat: &Seat<'_>) -> Result<Outcome> {
    let mut client = Child::spawn(&case.client, seat, &case.task)?;
    if client.answer()? == Answer::Unsupported {
        return Ok(Outcome::Skipped(format!("{client} does not know the scenario")));
    }
    let before = client.cpu_time()?;
    client.go()?;
    let results = client.results(case.task.duration)?;
    let cpu = client.cpu_time()? - before;
    let sample = sample(&client, &results, cpu, Duration::ZERO)?;
    client.finish()?;
    Ok(Outcome::Measured(sample))
}

fn pair(case: &Case, server: &Seat<'_>, client: &Seat<'_>) -> Result<Outcome> {
    let mut server = Child::spawn(&case.server, server, &case.task)?;
    if server.answer()? == Answer::Unsupported {
        return Ok(Outcome::Skipped(format!("{server} does not know the scenario")));
    }
    let idle = server.footprint()?;
    let mut client = Child::spawn(&case.client, client, &case.task)?;
    if client.answer()? == Answer::Unsupported {
        return Ok(Outcome::Skipped(format!("{client} does not know the scenario")));
    }
    let before = (client.cpu_time()?, server.cpu_time()?);
    client.go()?;
    let results = client.results(case.task.duration)?;
    // The server first: one that spins goes on spinning until it is told to stop.
    let server_cpu = server.cpu_time()? - before.1;
    let client_cpu = client.cpu_time()? - before.0;
    let busy = server.footprint()?;
    let sample = Sample {
        server_idle_kib: idle.rss_kib,
        server_kib: busy.rss_kib,
        server_threads: busy.threads,
        ..sample(&client, &results, client_cpu, server_cpu)?
    };
    client.finish()?;
    server.finish()?;
    Ok(Outcome::Measured(sample))
}

fn sample(
    client: &Child,
    results: &[String],
    client_cpu: Duration,
    server_cpu: Duration,
) -> Result<Sample> {
    let tally = client.tally(results)?;
    let per_call = |cpu: Duration| cpu.as_nanos() as f64 / tally.calls as f64;
    Ok(Sample {
        calls: tally.calls,
        ns_per_call: tally.ns_per_call,
        p50_ns: tally.p50_ns,
        p99_ns: tally.p99_ns,
        max_ns: tally.max_ns,
        client_cpu_ns_per_call: per_call(client_cpu),
        server_cpu_ns_per_call: per_call(server_cpu),
        ..Sample::default()
    })
}

fn client_side(case: &Case) -> Side {
    if case.task.is_solo() { Side::Solo } else { Side::Client }
}

fn seat<'a>(
    case: &Case,
    side: Side,
    cpus: &'a Cpus,
    dir: &'a Path,
    service: &'a str,
) -> Option<Seat<'a>> {
    Some(Seat { side, cpus, pinned_to: cpus.of(case.placement, side)?, dir, service })
}

/// A directory of this run alone, removed at its end; in memory if there is such a place.
fn scratch(parent: Option<&Path>) -> Result<tempfile::TempDir> {
    let in_memory = Path::new("/dev/shm");
    let parent = match parent {
        Some(parent) => parent.to_owned(),
        None if in_memory.is_dir() => in_memory.to_owned(),
        None => std::env::temp_dir(),
    };
    let made = tempfile::Builder::new().prefix("netipc-bench-").tempdir_in(&parent);
    made.with_context(|| format!("make a directory in {}", parent.display()))
}

fn write(out: &Path, report: &str, results: &Results, cpus: usize) -> Result<()> {
    let stem = machine::file_stem(cpus);
    let json = serde_json::to_string_pretty(results).context("write the results as JSON")?;
    fs::create_dir_all(out).with_context(|| format!("make {}", out.display()))?;
    for (extension, text) in [("md", report), ("json", &json)] {
        let path: PathBuf = out.join(format!("{stem}.{extension}"));
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}
