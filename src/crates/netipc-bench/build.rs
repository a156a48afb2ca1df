//! Hands the build profile and the compiler's version to the report: a figure without them says little.

use std::{env, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for (name, from) in [("BENCH_PROFILE", "PROFILE"), ("BENCH_OPT_LEVEL", "OPT_LEVEL")] {
        let value = env::var(from).unwrap_or_else(|_| "unknown".into());
        println!("cargo::rustc-env={name}={value}");
    }
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let version = Command::new(rustc)
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=BENCH_RUSTC={}", version.trim());
}
