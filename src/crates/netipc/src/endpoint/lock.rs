//! The right to make or remove an endpoint: a lock file beside it, there only while it is held.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock},
    io::{Errno, retry_on_intr},
};

use crate::sys::FileId;

/// Between two attempts to take a lock that somebody has.
const PAUSE: Duration = Duration::from_millis(5);

/// Held: nobody else who asks for it makes or removes this endpoint. Who dies gives it up.
#[derive(Debug)]
pub(super) struct EndpointLock {
    path: PathBuf,
    file: FileId,
    /// Closing it gives the lock up.
    _fd: OwnedFd,
}

/// What came of one attempt.
enum Attempt {
    Held(EndpointLock),
    /// Somebody has it.
    Taken,
    /// Another user's lock file is there. Whether somebody has it cannot be told.
    Foreign(FileId),
}

impl EndpointLock {
    /// Takes the lock at `path`, with `patience` if somebody has it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if somebody keeps it, or what the system says.
    pub(super) fn acquire(path: &Path, patience: Duration) -> io::Result<Self> {
        let deadline = Instant::now() + patience;
        let mut foreign = None;
        loop {
            let over = Instant::now() >= deadline;
            match attempt(path)? {
                Attempt::Held(lock) => return Ok(lock),
                // Nobody takes so long: a server of the other user was killed while it had it.
                Attempt::Foreign(file) if over && foreign == Some(file) => {
                    file.remove(path)?;
                    foreign = None;
                    continue;
                }
                Attempt::Foreign(file) => foreign = Some(file),
                Attempt::Taken => foreign = None,
            }
            if over {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(PAUSE);
        }
    }
}

impl Drop for EndpointLock {
    fn drop(&mut self) {
        // Removed while it is held: who locked the same file in the meantime finds another one at
        // its name, or none, and tries again. If it cannot be removed it does no harm.
        let _ = self.file.remove(&self.path);
    }
}

fn attempt(path: &Path) -> io::Result<Attempt> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = retry_on_intr(|| rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR));
    match (opened, FileId::at(path)) {
        (Ok(fd), _) => try_lock(path, fd),
        // A link, a directory or a socket is no lock of ours.
        (Err(Errno::LOOP | Errno::ISDIR | Errno::NXIO), Ok(file)) => {
            file.remove(path)?;
            Ok(Attempt::Taken)
        }
        (Err(Errno::ACCESS), Ok(file)) => Ok(Attempt::Foreign(file)),
        (Err(errno), _) => Err(errno.into()),
    }
}

/// Locks `fd`, which was found at `path`.
fn try_lock(path: &Path, fd: OwnedFd) -> io::Result<Attempt> {
    match retry_on_intr(|| flock(&fd, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(Attempt::Taken),
        Err(errno) => return Err(errno.into()),
    }
    let file = FileId::of(fd.as_fd())?;
    // Who had it since then has removed it: what is locked is no longer what others find.
    if FileId::at(path).ok() != Some(file) {
        return Ok(Attempt::Taken);
    }
    Ok(Attempt::Held(EndpointLock { path: path.to_owned(), file, _fd: fd }))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::testing::scratch;

    #[test]
    fn a_lock_removed_between_open_and_lock_is_not_held() {
        let dir = scratch();
        let path = dir.path().join(".x.lock");
        let found_before = OwnedFd::from(File::create(&path).unwrap());
        drop(EndpointLock::acquire(&path, Duration::ZERO).unwrap());
        let _next = EndpointLock::acquire(&path, Duration::ZERO).unwrap();
        let outcome = try_lock(&path, found_before).unwrap();
        assert!(matches!(outcome, Attempt::Taken));
    }
}
