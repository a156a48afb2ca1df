//! What the `netipc` command is made of: the providers, the commands, and what they print.
//!
//! All of it is for Linux, whose cgroups and processes it tells of.
#![cfg(target_os = "linux")]

pub mod apps;
pub mod auth;
pub mod bell;
pub mod cgroups;
pub mod failure;
pub mod published;
pub mod run_dir;
pub mod term;
