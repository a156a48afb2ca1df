//! One cross-process benchmark driver: netipc beside the physical floors of the same machine.
//!
//! In one run, in interleaved rounds, each case is measured by fresh child processes pinned to
//! CPUs; what netipc costs is shown as a ratio to what the machine itself costs. See
//! `bench/README.md` for how to run it and for the command line of peers in other languages.
#![cfg(target_os = "linux")]

mod args;
mod child;
mod data;
mod driver;
mod floors;
mod machine;
mod meter;
mod peer;
mod placement;
mod plan;
mod product;
mod report;
mod results;
mod stats;
mod sys;
mod task;

use std::process::ExitCode;

/// Runs the command line of the process.
///
/// Exits with 0 when every case was measured, 1 when a case failed, 2 when nothing could be done.
pub fn main() -> ExitCode {
    let ran = args::parse(std::env::args_os().skip(1)).and_then(|command| match command {
        args::Command::Help => {
            print!("{}", args::HELP);
            Ok(true)
        }
        args::Command::Peer(words) => peer::main(&words).map(|()| true),
        args::Command::List(options) => driver::list(&options).map(|()| true),
        args::Command::Run(options) => driver::run(&options),
    });
    match ran {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("netipc-bench: {error:#}");
            ExitCode::from(2)
        }
    }
}
