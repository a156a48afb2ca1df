//! A service is a named pipe: who may have its name, and for how long.

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use super::check_name;
use crate::{
    error::{Error, ErrorKind, Result},
    shm::Place,
    sys::{Access, ListenSocket},
};

/// The longest name of a pipe or another object, in characters.
const LONGEST_NAME: usize = 255;

/// The backlog if none is asked for.
const USUAL_BACKLOG: u32 = 16;

/// Whether others than the owner and his group may connect, in the words of Unix.
const OTHERS_WRITE: u32 = 0o002;

/// The pipe of `service`: `\\.\pipe\netipc-{hash of dir}-{service}`.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for a name that is none, [`ErrorKind::NameTooLong`].
pub(crate) fn socket_path(dir: &Path, service: &str) -> Result<PathBuf> {
    check_name(service)?;
    let hash = fnv1a_64(text(dir)?.as_bytes());
    within(format!(r"\\.\pipe\netipc-{hash:016x}-{service}")).map(PathBuf::from)
}

/// What the names of the objects of a session's region start with: `Local\netipc-{hash of dir,
/// service and token}-{service}-p{profile}-s{session, 16 hexadecimal digits}-`.
///
/// # Errors
///
/// As [`socket_path`].
pub(crate) fn region_prefix(place: &Place<'_>) -> Result<String> {
    let Place { dir, service, session_id, profile, auth_token } = *place;
    check_name(service)?;
    let secret = format!("{}\n{service}\n{auth_token}", text(dir)?);
    let hash = fnv1a_64(secret.as_bytes());
    let prefix = format!(r"Local\netipc-{hash:016x}-{service}-p{profile}-s{session_id:016x}-");
    within(format!("{prefix}resp_event"))?;
    Ok(prefix)
}

/// How an endpoint is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenOptions {
    /// Permissions in the words of Unix. Here the owner may connect in any case, and everybody else
    /// on this machine if others may write; there are no groups.
    pub(crate) mode: u32,
    /// There is none on this system.
    pub(crate) group: Option<u32>,
    /// How many clients may wait to be accepted; 0 for the usual number.
    pub(crate) backlog: u32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions { mode: 0o600, group: None, backlog: USUAL_BACKLOG }
    }
}

/// The one place where clients of a service connect. When it is dropped its name is free again, as
/// soon as the last session that came from it has ended.
#[derive(Debug)]
pub(crate) struct Endpoint {
    socket: ListenSocket,
    path: PathBuf,
}

impl Endpoint {
    /// Takes the name of `service` in `dir` and lets clients connect. The directory need not be
    /// there: only its name counts.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AddressInUse`], [`ErrorKind::InvalidInput`], [`ErrorKind::NameTooLong`],
    /// [`ErrorKind::Exhausted`].
    pub(crate) fn listen(dir: &Path, service: &str, options: &ListenOptions) -> Result<Self> {
        let path = socket_path(dir, service)?;
        let context = || format!("listen on {}", path.display());
        if options.group.is_some() {
            let why = format!("{}: this system has no groups by number", context());
            return Err(Error::new(ErrorKind::InvalidInput, why));
        }
        let access = Access::new(options.mode & OTHERS_WRITE != 0)
            .map_err(|cause| Error::system(format!("{}: give access", context()), cause))?;
        let backlog = if options.backlog == 0 { USUAL_BACKLOG } else { options.backlog };
        let socket = ListenSocket::bind(&path, access, backlog).map_err(|cause| {
            let taken = is_taken(&cause);
            let error = Error::system(context(), cause);
            if taken { error.with_kind(ErrorKind::AddressInUse) } else { error }
        })?;
        Ok(Endpoint { socket, path })
    }

    /// Where clients connect.
    pub(crate) fn socket(&self) -> &ListenSocket {
        &self.socket
    }

    /// The name of the pipe.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether a pipe could not be made because there is one of that name.
fn is_taken(cause: &io::Error) -> bool {
    const ACCESS_DENIED: i32 = 5;
    const PIPE_BUSY: i32 = 231;
    matches!(cause.raw_os_error(), Some(ACCESS_DENIED | PIPE_BUSY))
}

/// A directory counts byte by byte, as UTF-8.
fn text(dir: &Path) -> Result<&str> {
    let refuse = || format!("directory {} is not Unicode", dir.display());
    dir.to_str().ok_or_else(|| Error::new(ErrorKind::InvalidInput, refuse()))
}

/// FNV-1a (PROTOCOL.md, section 25.1).
pub(crate) fn fnv1a_64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn within(name: String) -> Result<String> {
    // A service's name is ASCII, so bytes are characters.
    match name.len() {
        0..=LONGEST_NAME => Ok(name),
        length => {
            let context = format!("{name}: {length} characters, of {LONGEST_NAME} possible");
            Err(Error::new(ErrorKind::NameTooLong, context))
        }
    }
}
