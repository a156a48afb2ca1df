//! The child's end of a case: `netipc-bench peer ROLE DIR SERVICE KEY=VALUE...`.
//!
//! Peers in other languages speak the same few words (see `bench/README.md`):
//!
//! ```text
//! server: READY … serves until standard input closes
//! client: READY, then waits for a line on standard input, measures,
//!         key=value lines, DONE, then waits until standard input closes
//! ```

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process, thread,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    floors,
    meter::{Apart, measure},
    product,
    task::{Scenario, Task},
};

/// Where the two sides of a case meet, and what they measure.
pub(crate) struct Case<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) service: &'a str,
    pub(crate) task: Task,
}

impl Case<'_> {
    /// A file that only this case uses.
    pub(crate) fn path(&self, extension: &str) -> PathBuf {
        self.dir.join(format!("{}.{extension}", self.service))
    }

    /// Measures `steps`, one thread each, and reports; returns when the driver has left.
    pub(crate) fn measure<F>(&self, calls_per_step: u64, steps: Vec<F>) -> Result<()>
    where
        F: FnMut() -> Result<()> + Send,
    {
        let mut steps: Vec<_> = steps.into_iter().map(Apart).collect();
        let tally = measure(&self.task, calls_per_step, &mut steps, || {
            say("READY")?;
            wait_for_go()?;
            exit_when_the_driver_leaves();
            Ok(())
        })?;
        say(&format!("{tally}DONE"))?;
        // The driver still looks at this process; the thread made above ends it.
        loop {
            thread::park();
        }
    }
}

/// Plays the part that `words` describe.
pub(crate) fn main(words: &[String]) -> Result<()> {
    let [role, dir, service, task @ ..] = words else {
        bail!("usage: netipc-bench peer server|client DIR SERVICE KEY=VALUE...");
    };
    let task = match Task::parse(task.iter().map(String::as_str)) {
        Ok(task) => task,
        Err(error) => {
            say("UNSUPPORTED")?;
            return Err(error);
        }
    };
    let case = Case { dir: Path::new(dir), service, task };
    match role.as_str() {
        "server" => serve(&case),
        "client" => call(&case),
        _ => bail!("{role}: neither server nor client"),
    }
}

fn serve(case: &Case<'_>) -> Result<()> {
    match case.task.scenario {
        Scenario::FloorSocket => floors::socket::serve(case),
        Scenario::FloorLine => floors::line::serve(case),
        _ if case.task.is_floor() => bail!("{} has no server", case.task.scenario),
        _ => product::serve(case),
    }
}

fn call(case: &Case<'_>) -> Result<()> {
    match case.task.scenario {
        Scenario::FloorSocket => floors::socket::call(case),
        Scenario::FloorLine => floors::line::call(case),
        Scenario::FloorPacing => floors::pacing::call(case),
        Scenario::FloorCopy => floors::copy::call(case),
        Scenario::FloorCgroups => floors::lookup::call_cgroups(case),
        Scenario::FloorApps => floors::lookup::call_apps(case),
        Scenario::FloorSnapshot => floors::snapshot::call(case),
        Scenario::FloorProbe => floors::probe::call(case),
        _ => product::call(case),
    }
}

/// Tells the driver `words`, at once.
pub(crate) fn say(words: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{words}").and_then(|()| out.flush()).context("tell the driver")
}

fn wait_for_go() -> Result<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).context("wait for the driver's GO")?;
    ensure!(line.trim() == "GO", "the driver said {line:?} instead of GO");
    Ok(())
}

/// Returns when the driver closes standard input, or dies.
pub(crate) fn wait_until_the_driver_leaves() {
    // Whatever it says any more, and if it cannot be heard: it is over.
    let _ = io::stdin().lock().read_to_end(&mut Vec::new());
}

/// Ends this process when the driver leaves, whatever the other threads wait for.
pub(crate) fn exit_when_the_driver_leaves() {
    thread::spawn(|| {
        wait_until_the_driver_leaves();
        process::exit(0);
    });
}
