//! Service names, and what the operating system calls the services.

#[cfg(unix)]
mod lock;
#[cfg(unix)]
mod reclaim;
#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as imp;

pub(crate) use imp::{Endpoint, ListenOptions, region_path, socket_path};

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
