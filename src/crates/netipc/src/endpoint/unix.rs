//! A service is a SEQPACKET socket in a directory: who may have its name, and for how long.

use std::{
    ffi::OsString,
    io,
    os::{
        fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, chownat},
    io::Errno,
};

use super::{check_name, lock::EndpointLock, reclaim};
use crate::{
    error::{Error, ErrorKind, Result},
    sys::{FileId, ListenSocket, is_exhaustion},
};

/// What fits the system's socket address, with the NUL that ends it.
const LONGEST_SOCKET_PATH: usize =
    size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path) - 1;

/// What fits the path of a region in the C interface.
const LONGEST_REGION_PATH: usize = 255;

/// The backlog if none is asked for.
const USUAL_BACKLOG: u32 = 16;

/// How long another server of this service may take to start or to stop.
const OTHERS_START: Duration = Duration::from_secs(2);
const OTHERS_STOP: Duration = Duration::from_secs(1);

/// Where the socket of `service` lies: `{dir}/{service}.sock`.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] for a name that is none, [`ErrorKind::NameTooLong`].
pub(crate) fn socket_path(dir: &Path, service: &str) -> Result<PathBuf> {
    check_name(service)?;
    within(LONGEST_SOCKET_PATH, join(dir, &format!("{service}.sock"))?)
}

/// Where the shared memory of one session of `service` lies:
/// `{dir}/{service}-{session_id, 16 hexadecimal digits}.ipcshm`.
///
/// # Errors
///
/// As [`socket_path`].
pub(crate) fn region_path(dir: &Path, service: &str, session_id: u64) -> Result<PathBuf> {
    check_name(service)?;
    let name = format!("{service}-{session_id:016x}.ipcshm");
    if name.len() > LONGEST_REGION_PATH {
        return Err(Error::new(ErrorKind::NameTooLong, name));
    }
    within(LONGEST_REGION_PATH, join(dir, &name)?)
}

/// How an endpoint is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ListenOptions {
    /// Permissions of the socket: who may write to it may connect.
    pub(crate) mode: u32,
    /// The group of the socket, if not the one the system gives it.
    pub(crate) group: Option<u32>,
    /// How many clients may wait to be accepted; 0 for the usual number.
    pub(crate) backlog: u32,
}

impl Default for ListenOptions {
    fn default() -> Self {
        ListenOptions { mode: 0o600, group: None, backlog: USUAL_BACKLOG }
    }
}

/// The one place where clients of a service connect. When it is dropped its name is free again.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// `None` once it is disowned.
    socket: Option<ListenSocket>,
    path: PathBuf,
    lock: PathBuf,
    /// The file that belongs to `socket`. It cannot be mistaken for a successor's: the system does
    /// not give the number away while the socket is open.
    file: FileId,
}

impl Endpoint {
    /// Takes the name of `service` in `dir` and lets clients connect.
    ///
    /// What a dead server or somebody else left at the name is removed; a file with content is put
    /// aside. A live server keeps the name, as does one of which it cannot be told.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AddressInUse`], [`ErrorKind::InvalidInput`], [`ErrorKind::NameTooLong`],
    /// [`ErrorKind::PermissionDenied`], [`ErrorKind::Exhausted`], [`ErrorKind::NotFound`] if there
    /// is no such directory.
    pub(crate) fn listen(dir: &Path, service: &str, options: &ListenOptions) -> Result<Self> {
        let path = socket_path(dir, service)?;
        let lock = join(dir, &format!(".{service}.lock"))?;
        let context = |what: &str| format!("listen on {}: {what}", path.display());

        let _held = EndpointLock::acquire(&lock, OTHERS_START)
            .map_err(|cause| cannot_lock(&path, &lock, cause))?;
        reclaim::make_free(&path)?;

        let mode = Mode::from_raw_mode(options.mode & 0o777);
        let socket = ListenSocket::bind(&path, mode).map_err(|cause| {
            // Somebody who does not know of the lock was faster.
            Error::system(context("bind"), cause)
        })?;
        let file =
            FileId::at(&path).map_err(|cause| Error::system(context("look at it"), cause))?;
        let opened = set_access(&path, file, mode, options.group)
            .and_then(|()| socket.listen(backlog(options.backlog)))
            .map_err(|cause| Error::system(context("give access"), cause));
        if let Err(error) = opened {
            // The first error is the one to tell; what is left behind can be reclaimed.
            let _ = file.remove(&path);
            return Err(error);
        }
        Ok(Endpoint { socket: Some(socket), path, lock, file })
    }

    /// Where clients connect.
    pub(crate) fn socket(&self) -> &ListenSocket {
        self.socket.as_ref().expect("disowning an endpoint drops it")
    }

    /// Gives the name up, but leaves alone the socket's descriptor, which somebody else has closed.
    pub(crate) fn disown(mut self) {
        if let Some(socket) = self.socket.take() {
            let _ = OwnedFd::from(socket).into_raw_fd();
        }
    }

    /// The name in the file system.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if FileId::at(&self.path).ok() != Some(self.file) {
            return;
        }
        // Without the lock a successor might take the name between the look and the removal. Then
        // a dead socket is left, which the next start removes.
        let Ok(_held) = EndpointLock::acquire(&self.lock, OTHERS_STOP) else { return };
        // What cannot be removed is dead, and the next start reclaims it.
        if self.socket.is_some() {
            let _ = self.file.remove(&self.path);
        } else {
            // Without the socket the file's number may be a successor's.
            let _ = reclaim::make_free(&self.path);
        }
    }
}

/// Why the lock could not be had, in terms of the endpoint.
fn cannot_lock(path: &Path, lock: &Path, cause: io::Error) -> Error {
    let context = format!("listen on {}", path.display());
    if cause.kind() == io::ErrorKind::TimedOut {
        let context = format!("{context}: another server is starting or stopping there");
        Error::new(ErrorKind::AddressInUse, context)
    } else if is_exhaustion(&cause) && path.symlink_metadata().is_ok() {
        let context = format!("{context}: cannot tell whether a live server has it");
        Error::system(context, cause).with_kind(ErrorKind::AddressInUse)
    } else if cause.kind() == io::ErrorKind::NotFound {
        let dir = lock.parent().unwrap_or(lock);
        Error::system(format!("{context}: open directory {}", dir.display()), cause)
    } else {
        Error::system(format!("{context}: lock {}", lock.display()), cause)
    }
}

/// Makes the access to the socket's file what was asked for, if it is not so already: the umask
/// may have taken permissions away, and the system chose the group.
fn set_access(path: &Path, file: FileId, mode: Mode, group: Option<u32>) -> io::Result<()> {
    let found = path.symlink_metadata()?;
    let regroup = group.filter(|&group| group != found.gid());
    if regroup.is_none() && found.mode() & 0o777 == mode.as_raw_mode() {
        return Ok(());
    }
    // Through a descriptor, so that what is changed is the file that was looked at.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened: OwnedFd = rustix::fs::open(path, flags, Mode::empty())?;
    if FileId::of(opened.as_fd())? != file {
        return Err(Errno::STALE.into());
    }
    if let Some(group) = regroup {
        chownat(&opened, "", None, Some(Gid::from_raw(group)), AtFlags::EMPTY_PATH)?;
    }
    // The kernel has no other way to change the mode of what is opened only as a path before 6.6.
    let by_descriptor = format!("/proc/self/fd/{}", opened.as_raw_fd());
    rustix::fs::chmod(by_descriptor, mode)?;
    Ok(())
}

fn backlog(wanted: u32) -> i32 {
    let wanted = if wanted == 0 { USUAL_BACKLOG } else { wanted };
    i32::try_from(wanted).unwrap_or(i32::MAX)
}

/// `dir` is taken as it is: neither made absolute nor tidied, as the other implementations do.
fn join(dir: &Path, name: &str) -> Result<PathBuf> {
    if dir.as_os_str().is_empty() {
        return Err(Error::new(ErrorKind::InvalidInput, "directory of the endpoint is empty"));
    }
    let mut path = OsString::from(dir);
    path.push("/");
    path.push(name);
    Ok(PathBuf::from(path))
}

fn within(longest: usize, path: PathBuf) -> Result<PathBuf> {
    let length = path.as_os_str().len();
    if length > longest {
        let context = format!("{}: {length} bytes, of {longest} possible", path.display());
        return Err(Error::new(ErrorKind::NameTooLong, context));
    }
    Ok(path)
}
