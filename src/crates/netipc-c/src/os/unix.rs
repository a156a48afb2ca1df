//! Unix: paths are bytes.

use std::{borrow::Cow, ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

/// The number of an endpoint that a live server has.
pub(crate) const ADDRESS_IN_USE: i32 = libc::EADDRINUSE;

/// The number of a session over which nothing can be sent any more.
pub(crate) const CANNOT_SEND: i32 = libc::EPIPE;

/// A directory as C names it.
pub(crate) fn path(bytes: &[u8]) -> Cow<'_, Path> {
    Path::new(OsStr::from_bytes(bytes)).into()
}

/// Milliseconds on a clock that never is set.
pub(crate) fn now_ms() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the struct it is given.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}
