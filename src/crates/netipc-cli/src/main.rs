//! The `netipc` command.

#[cfg(not(target_os = "linux"))]
mod elsewhere;

#[cfg(not(target_os = "linux"))]
use elsewhere::run;
#[cfg(target_os = "linux")]
use netipc_cli::run;

fn main() -> std::process::ExitCode {
    run()
}
