//! What the `netipc` command is made of: the providers, the commands, and what they print.
//!
//! All of it is for Linux, whose cgroups and processes it tells of.
#![cfg(target_os = "linux")]

pub mod apps;
pub mod args;
pub mod auth;
pub mod bell;
pub mod cgroups;
pub mod commands;
pub mod context;
pub mod failure;
pub mod follow;
pub mod json;
pub mod published;
pub mod rows;
pub mod run_dir;
pub mod service;
pub mod signals;
pub mod term;

use std::process::ExitCode;

use clap::Parser;

use crate::{
    args::{Cli, Command, Lookup, Serve},
    context::Context,
    run_dir::Purpose,
    term::output::{Stop, note},
};

/// Does what the command line says and returns the exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Nobody there to read it is no reason to fail otherwise.
            let _ = message.print();
            return ExitCode::from(u8::try_from(message.exit_code()).unwrap_or(2));
        }
    };
    match command(cli) {
        Ok(()) | Err(Stop::OutputClosed) => ExitCode::SUCCESS,
        Err(Stop::Failed(failure)) => {
            note(&failure);
            failure.exit.into()
        }
    }
}

fn command(cli: Cli) -> Result<(), Stop> {
    let purpose = match &cli.command {
        Command::Serve(_) => Purpose::Provide,
        _ => Purpose::Find,
    };
    let command = match cli.command {
        Command::Demo(args) => return commands::demo::run(cli.common, args),
        other => other,
    };
    let mut context = Context::new(cli.common, purpose)?;
    match command {
        Command::Serve(Serve::Cgroups(args)) => Ok(commands::serve::cgroups(&context, args)?),
        Command::Serve(Serve::Apps(args)) => Ok(commands::serve::apps(&context, args)?),
        Command::Snapshot => commands::snapshot::run(&mut context),
        Command::Lookup(Lookup::Cgroups { paths, null }) => {
            commands::lookup::cgroups(&mut context, paths, null)
        }
        Command::Lookup(Lookup::Apps { pids }) => commands::lookup::apps(&mut context, pids),
        Command::Ls => commands::ls::run(&mut context),
        Command::Ping(args) => commands::ping::run(&mut context, args),
        Command::Watch(args) => commands::watch::run(&mut context, args),
        Command::Demo(_) => unreachable!("it makes its own context"),
    }
}
