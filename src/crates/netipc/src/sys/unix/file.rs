//! Which file a path leads to: names are reused, so what is removed must be what was looked at.

use std::{
    fs::{self, Metadata},
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
    path::Path,
};

use rustix::fs::fstat;

/// One file among all that exist now. Its number may be given to another file once nobody has it
/// open and no name leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The entry at `path` itself, not what a symbolic link there leads to.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(FileId::from(&fs::symlink_metadata(path)?))
    }

    /// The open file `fd`.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let stat = fstat(fd.as_fd())?;
        Ok(FileId { device: stat.st_dev as u64, inode: stat.st_ino as u64 })
    }

    /// Removes the entry at `path` if it is still this one: a file, a link itself, or an empty
    /// directory. Whether it is gone now.
    ///
    /// Between the look and the removal somebody else may replace the entry; who shares the
    /// directory with others holds their common lock.
    pub(crate) fn remove(self, path: &Path) -> io::Result<bool> {
        let found = match fs::symlink_metadata(path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(error) => return Err(error),
        };
        if FileId::from(&found) != self {
            return Ok(false);
        }
        if found.is_dir() {
            fs::remove_dir(path)?
        } else {
            fs::remove_file(path)?
        }
        Ok(true)
    }
}

impl From<&Metadata> for FileId {
    fn from(metadata: &Metadata) -> Self {
        FileId { device: metadata.dev(), inode: metadata.ino() }
    }
}
