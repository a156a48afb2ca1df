//! What the systems call differently.

#[cfg(target_os = "linux")]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
use unix as imp;
#[cfg(windows)]
use windows as imp;

pub(crate) use imp::{ADDRESS_IN_USE, CANNOT_SEND, now_ms, path};
