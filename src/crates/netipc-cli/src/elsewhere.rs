//! What the command does where there are neither cgroups nor `/proc`.

use std::process::ExitCode;

pub(crate) fn run() -> ExitCode {
    eprintln!("netipc: this command serves cgroups and processes of Linux, and runs only there");
    ExitCode::FAILURE
}
