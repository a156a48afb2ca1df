//! Tells when cgroups come and go, by watching their directories.

use std::{
    collections::{HashMap, HashSet},
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags},
    io::Errno,
};

/// Watches on directories.
pub(super) struct Watch {
    queue: OwnedFd,
    dirs: HashMap<i32, PathBuf>,
    watched: HashSet<PathBuf>,
    /// Why a directory could not be watched: from then on changes may go unnoticed.
    gap: Option<io::Error>,
}

impl Watch {
    /// Watches nothing yet.
    pub(super) fn new() -> io::Result<Self> {
        let queue = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        Ok(Watch { queue, dirs: HashMap::new(), watched: HashSet::new(), gap: None })
    }

    /// Watches `dir`, unless it is watched already.
    pub(super) fn add(&mut self, dir: &Path) {
        if self.watched.contains(dir) {
            return;
        }
        let events = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVE
            | WatchFlags::ONLYDIR
            | WatchFlags::DONT_FOLLOW;
        match inotify::add_watch(&self.queue, dir, events) {
            Ok(id) => {
                self.watched.insert(dir.to_path_buf());
                // A directory that was renamed keeps its watch.
                if let Some(earlier) = self.dirs.insert(id, dir.to_path_buf()) {
                    self.watched.remove(&earlier);
                }
            }
            // It vanished: the watch on its parent tells.
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            // It cannot be read either, so what comes and goes in it is not in the table.
            Err(Errno::ACCESS) => {}
            Err(why) => self.gap = Some(why.into()),
        }
    }

    /// Takes note of what happened; true if a directory came or went since.
    pub(super) fn drain(&mut self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = Reader::new(&self.queue, &mut buffer);
        let mut changed = false;
        // Ends with EAGAIN, when all is read.
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::IGNORED) {
                if let Some(dir) = self.dirs.remove(&event.wd()) {
                    self.watched.remove(&dir);
                }
            } else {
                // Files in a directory of cgroups come and go only with it.
                changed |= flags.intersects(ReadFlags::ISDIR | ReadFlags::QUEUE_OVERFLOW);
            }
        }
        changed
    }

    /// Readable when something happened.
    pub(super) fn queue(&self) -> &OwnedFd {
        &self.queue
    }

    /// Why a directory went unwatched since [`forget_gap`](Self::forget_gap).
    pub(super) fn gap(&self) -> Option<&io::Error> {
        self.gap.as_ref()
    }

    /// Gives every directory another chance: an unwatched one is added again by the next walk.
    pub(super) fn forget_gap(&mut self) {
        self.gap = None;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn tells_of_directories_that_come_and_go() {
        let tree = tempfile::tempdir().unwrap();
        let child = tree.path().join("child");
        let mut watch = Watch::new().unwrap();
        watch.add(tree.path());
        assert!(!watch.drain());
        fs::create_dir(&child).unwrap();
        assert!(watch.drain());
        assert!(!watch.drain());
        watch.add(&child);
        fs::create_dir(child.join("grandchild")).unwrap();
        assert!(watch.drain());
        fs::remove_dir_all(&child).unwrap();
        assert!(watch.drain());
    }

    #[test]
    fn watches_a_directory_anew_after_it_was_made_anew() {
        let tree = tempfile::tempdir().unwrap();
        let child = tree.path().join("child");
        let mut watch = Watch::new().unwrap();
        for _ in 0..2 {
            fs::create_dir(&child).unwrap();
            watch.drain();
            watch.add(&child);
            fs::create_dir(child.join("grandchild")).unwrap();
            assert!(watch.drain());
            fs::remove_dir_all(&child).unwrap();
            watch.drain();
        }
    }

    #[test]
    fn a_directory_that_vanished_is_no_gap() {
        let tree = tempfile::tempdir().unwrap();
        let mut watch = Watch::new().unwrap();
        watch.add(&tree.path().join("gone"));
        assert!(watch.gap().is_none());
    }
}
