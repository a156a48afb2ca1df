//! A run: every cell once, and the table as they are done.

use std::{collections::HashMap, process::ExitCode, time::Instant};

use anyhow::{Context, Result};

use crate::{
    args::{self, Command, HELP, Options},
    cell::{self, Outcome},
    codec::Vectors,
    plan::{self, Cell},
    table::Table,
};

/// Runs the command line of the process.
pub(crate) fn main() -> ExitCode {
    let ran = args::parse(std::env::args_os().skip(1)).and_then(|command| match command {
        Command::Help => {
            print!("{HELP}");
            Ok(true)
        }
        Command::List(options) => list(&options).map(|()| true),
        Command::Run(options) => run(&options),
    });
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("netipc-interop: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn list(options: &Options) -> Result<()> {
    let sections = plan::sections(options)?;
    let cells = sections.iter().flat_map(|section| &section.rows).flatten().flatten();
    cells.for_each(|cell| println!("{cell}"));
    Ok(())
}

/// Runs what `options` choose; false if a cell failed.
fn run(options: &Options) -> Result<bool> {
    let sections = plan::sections(options)?;
    let vectors = Vectors::read(&options.vectors)?;
    let started = Instant::now();
    let mut table = Table::on_stdout();
    let mut counts = Counts::default();
    let (mut passed, mut not_done, mut failures) = (0, 0, Vec::new());
    for section in sections.iter().filter(|section| !section.rows.is_empty()) {
        table.section(section)?;
        for row in &section.rows {
            let pair = row.iter().flatten().next().context("a row without cells")?;
            table.row(&pair.client.name, &pair.server.name)?;
            for (column, cell) in row.iter().enumerate() {
                let Some(cell) = cell else {
                    table.cell(column, None)?;
                    continue;
                };
                let outcome = counts.check(cell, cell::run(cell, options.deadline, &vectors));
                table.cell(column, Some(&outcome))?;
                match outcome {
                    Outcome::Passed { .. } => passed += 1,
                    Outcome::NotDone => not_done += 1,
                    Outcome::Failed { why, said } => failures.push((cell, why, said)),
                }
            }
            table.line("")?;
        }
        table.line("")?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let failed = failures.len();
    let mut summary = format!("{passed} passed, {failed} failed");
    if not_done > 0 {
        summary.push_str(&format!(", {not_done} not done by a peer (-)"));
    }
    table.line(&format!("{summary}, in {seconds:.1} s"))?;
    for (cell, why, said) in &failures {
        table.failure(&cell.to_string(), why, said)?;
    }
    Ok(failures.is_empty())
}

/// How many requests each scenario takes. The first pair that counts says; all others must agree:
/// who cuts a lookup in other places has learned something else of the same answers.
#[derive(Default)]
struct Counts(HashMap<String, (u64, String)>);

impl Counts {
    fn check(&mut self, cell: &Cell, outcome: Outcome) -> Outcome {
        let Outcome::Passed { requests: Some(requests) } = outcome else { return outcome };
        let key =
            [&cell.scenario.words[..], &[cell.scenario.name.into(), cell.transport.to_string()]];
        let (wanted, pair) =
            self.0.entry(key.concat().join(" ")).or_insert((requests, cell.to_string()));
        if *wanted == requests {
            return outcome;
        }
        let why = format!("it took {requests} requests, and {wanted} in {pair}");
        Outcome::Failed { why, said: Vec::new() }
    }
}
