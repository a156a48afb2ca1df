//! What the dead and strangers left at an endpoint's name, and what becomes of it.

use std::{
    ffi::OsString,
    fs::{self, FileType},
    io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use crate::{
    error::{Error, ErrorKind, Result},
    sys::{FileId, Probe, probe},
};

/// A server that does not know of the lock may have bound its socket and not listen yet. So what
/// seems dead is looked at twice, this far apart.
const SECOND_LOOK: Duration = Duration::from_millis(10);

/// Makes `path` free to bind, unless somebody alive has it. The endpoint's lock must be held.
///
/// # Errors
///
/// [`ErrorKind::AddressInUse`].
pub(super) fn make_free(path: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(in_use(path, "cannot tell what is there", Some(error))),
    };
    let entry = found.file_type();
    if entry.is_socket() || entry.is_symlink() {
        refuse_if_alive(path)?;
    }
    let removed = if is_worthless(entry, found.len()) {
        FileId::from(&found).remove(path)
    } else {
        set_aside(path).map(|()| true)
    };
    match removed {
        Ok(true) => Ok(()),
        Ok(false) => Err(in_use(path, "another server took it just now", None)),
        Err(error) => Err(in_use(path, "cannot remove what is there", Some(error))),
    }
}

fn refuse_if_alive(path: &Path) -> Result<()> {
    for look in 0..2 {
        if look > 0 {
            thread::sleep(SECOND_LOOK);
        }
        match probe(path) {
            Probe::Dead => {}
            Probe::Alive => return Err(in_use(path, "a live server has it", None)),
            Probe::Foreign => return Err(in_use(path, "a foreign program has it", None)),
            Probe::Unknown(error) => {
                let why = "cannot tell whether a live server has it";
                return Err(in_use(path, why, Some(error)));
            }
        }
    }
    Ok(())
}

/// Whether nothing is lost with it. A directory with entries is never removed: the system refuses.
fn is_worthless(entry: FileType, length: u64) -> bool {
    entry.is_socket()
        || entry.is_symlink()
        || entry.is_fifo()
        || entry.is_dir()
        || (entry.is_file() && length == 0)
}

/// Gives the entry another name beside its own: `{path}.displaced-{n}`.
fn set_aside(path: &Path) -> io::Result<()> {
    // The first free number. Who could take it at the same time would need the lock.
    let free = (1u32..)
        .map(|n| displaced(path, n))
        .find(|name| {
            fs::symlink_metadata(name).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        })
        .ok_or(io::ErrorKind::AlreadyExists)?;
    fs::rename(path, free)
}

fn displaced(path: &Path, n: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".displaced-{n}"));
    PathBuf::from(name)
}

fn in_use(path: &Path, why: &str, cause: Option<io::Error>) -> Error {
    let context = format!("listen on {}: {why}", path.display());
    match cause {
        Some(cause) => Error::system(context, cause).with_kind(ErrorKind::AddressInUse),
        None => Error::new(ErrorKind::AddressInUse, context),
    }
}
