//! Lanes and rings in ordinary memory, then whole sessions in shared memory.

mod lane;
#[cfg(target_os = "linux")]
mod ring;
#[cfg(target_os = "linux")]
mod session;
