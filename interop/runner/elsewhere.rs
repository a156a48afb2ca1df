//! The runner needs Unix, to start and end groups of processes. Peers need not.

use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    eprintln!("netipc-interop: runs on Unix only");
    ExitCode::from(2)
}
