//! The command `netipc-bench`: netipc beside the physical floors of this machine, in one run.

#[cfg(not(target_os = "linux"))]
mod elsewhere;

use std::process::ExitCode;

#[cfg(not(target_os = "linux"))]
use elsewhere::main as bench;
#[cfg(target_os = "linux")]
use netipc_bench::main as bench;

fn main() -> ExitCode {
    bench()
}
