//! The command `netipc-interop`: every pair of peers in every scenario, as one table.
//!
//! See `interop/README.md` for the command line of a peer.

#[cfg(unix)]
mod args;
#[cfg(unix)]
mod cell;
#[cfg(unix)]
mod codec;
#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod matrix;
#[cfg(unix)]
mod peer;
#[cfg(unix)]
mod plan;
#[cfg(unix)]
mod scenario;
#[cfg(unix)]
mod table;

use std::process::ExitCode;

#[cfg(not(unix))]
use elsewhere::main as interop;
#[cfg(unix)]
use matrix::main as interop;

fn main() -> ExitCode {
    interop()
}
