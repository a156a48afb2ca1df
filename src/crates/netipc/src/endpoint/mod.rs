//! Service names, and what the operating system calls the services.

#[cfg(target_os = "linux")]
mod lock;
#[cfg(not(any(target_os = "linux", windows)))]
mod none;
#[cfg(target_os = "linux")]
mod reclaim;
#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests;
#[cfg(target_os = "linux")]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(not(any(target_os = "linux", windows)))]
use none as imp;
#[cfg(target_os = "linux")]
use unix as imp;
#[cfg(windows)]
use windows as imp;

#[cfg(target_os = "linux")]
pub(crate) use imp::region_path;
pub(crate) use imp::{Endpoint, ListenOptions, socket_path};
#[cfg(windows)]
pub(crate) use imp::{fnv1a_64, region_prefix};

use crate::error::{Error, ErrorKind, Result};

/// Refuses what cannot be a service name: empty, `.`, `..`, or with a byte other than
/// `A-Z a-z 0-9 . _ -`. So a name never leads out of its directory.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`].
fn check_name(service: &str) -> Result<()> {
    let refuse = |why: &str| {
        let shown = service.escape_debug();
        Err(Error::new(ErrorKind::InvalidInput, format!("service name '{shown}' {why}")))
    };
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    match service {
        "" => refuse("is empty"),
        "." | ".." => refuse("is a directory"),
        _ if !service.bytes().all(usable) => refuse("has a character other than A-Z a-z 0-9 . _ -"),
        _ => Ok(()),
    }
}
