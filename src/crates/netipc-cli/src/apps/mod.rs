//! The provider of processes: what is known of a PID, from `/proc`.

pub mod process;
pub mod scanner;
