//! The file of one session: how a server makes it, and how a client checks it.

#[cfg(test)]
mod tests;

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::fs::PermissionsExt,
    },
    path::{Path, PathBuf},
    process,
    ptr::NonNull,
};

use rustix::{
    fs::{Mode, OFlags},
    io::{Errno, retry_on_intr},
    process::{Resource, getrlimit},
    time::{ClockId, clock_gettime},
};

use super::{
    super::{
        Place,
        atomic::{
            Arc,
            Ordering::{Acquire, Relaxed, Release},
        },
        layout::{Area, Direction, RegionLayout},
        region_error::{RegionError, RegionFault},
    },
    mapping::{HEADER_LEN, Mapped, Mapping},
    stale::{self, Verdict},
};
use crate::{endpoint::region_path, sys::FileId};

/// What a file must start with to be a region.
pub(super) const MAGIC: u32 = 0x4E53_484D;
const VERSION: u16 = 3;

/// The shared memory of one session. When the server's is dropped the file is gone too.
#[derive(Debug)]
pub(crate) struct Region {
    mapping: Arc<Mapping>,
    layout: RegionLayout,
    /// As it was when the region was made or attached to.
    owner_generation: u32,
    file: File,
    path: PathBuf,
    /// The server's own file, to be removed by it. `None` for a client.
    own: Option<FileId>,
}

impl Region {
    /// Makes the region of one session; capacities are the longest messages, envelope included.
    ///
    /// What a dead server left at its name is removed. The file is for processes of this user only.
    ///
    /// # Errors
    ///
    /// [`RegionFault::BadParam`], [`PathTooLong`](RegionFault::PathTooLong),
    /// [`Open`](RegionFault::Open), [`Allocate`](RegionFault::Allocate),
    /// [`Map`](RegionFault::Map), [`InUse`](RegionFault::InUse). Nothing is left behind.
    pub(crate) fn create(
        place: &Place<'_>,
        request_capacity: u32,
        response_capacity: u32,
    ) -> Result<Self, RegionError> {
        let path = path(place)?;
        let layout = RegionLayout::for_capacities(HEADER_LEN, request_capacity, response_capacity)
            .ok_or_else(|| RegionError::new(RegionFault::BadParam, &path))?;
        let file = create_file(&path)?;
        let open = |cause| RegionError::system(RegionFault::Open, &path, cause);
        let own = FileId::of(file.as_fd()).map_err(open)?;
        let made = grow(&file, layout.size())
            .map_err(|cause| RegionError::system(RegionFault::Allocate, &path, cause))
            .and_then(|()| map(&file, &path, layout.size()));
        match made {
            Ok(mapping) => {
                let owner_generation = new_generation();
                write_header(&mapping, layout, process::id().cast_signed(), owner_generation);
                let mapping = Arc::new(mapping);
                Ok(Region { mapping, layout, owner_generation, file, path, own: Some(own) })
            }
            Err(error) => {
                // The first error is the one to tell; what is left behind can be reclaimed.
                let _ = own.remove(&path);
                Err(error)
            }
        }
    }

    /// Opens the region that the server has made for this session, and checks it.
    ///
    /// # Errors
    ///
    /// [`RegionFault::BadParam`], [`PathTooLong`](RegionFault::PathTooLong),
    /// [`Open`](RegionFault::Open), [`Map`](RegionFault::Map), and what is wrong with it.
    pub(crate) fn attach(place: &Place<'_>) -> Result<Self, RegionError> {
        let path = path(place)?;
        let open = |cause| RegionError::system(RegionFault::Open, &path, cause);
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = retry_on_intr(|| rustix::fs::open(&path, flags, Mode::empty()));
        let file = file.map(File::from).map_err(|errno| open(errno.into()))?;
        let size = file.metadata().map_err(open)?.len();
        // A1
        if size < HEADER_LEN.into() {
            return Err(RegionError::new(RegionFault::NotReady, &path));
        }
        let mapping = map(&file, &path, size)?;
        let (layout, owner_generation) =
            read_header(&mapping, size).map_err(|fault| RegionError::new(fault, &path))?;
        let mapping = Arc::new(mapping);
        Ok(Region { mapping, layout, owner_generation, file, path, own: None })
    }

    /// Whether this is the server's end, which made it.
    pub(crate) fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The messages that go one way.
    pub(crate) fn lane(&self, direction: Direction) -> Mapped {
        Mapped::new(Arc::clone(&self.mapping), self.layout.area(direction), direction)
    }

    /// How often a reader looks before it sleeps.
    pub(crate) fn spins(&self) -> u32 {
        // Who waits has looked as long as it paid.
        0
    }

    /// Where the areas lie.
    pub(crate) fn layout(&self) -> RegionLayout {
        self.layout
    }

    /// Where it is mapped, for as long as this region lives. The peer may write there at any time.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.mapping.start()
    }

    /// How many bytes are mapped.
    pub(crate) fn size(&self) -> usize {
        self.mapping.len()
    }

    /// The name of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What tells this life of the server from others.
    pub(crate) fn owner_generation(&self) -> u32 {
        self.owner_generation
    }

    /// Whether the server that made it lives and the region is still its.
    pub(crate) fn owner_alive(&self) -> bool {
        let header = self.mapping.header();
        let generation = header.owner_generation.load(Acquire);
        generation == self.owner_generation && stale::is_alive(header.owner_pid.load(Acquire))
    }
}

impl AsFd for Region {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Some(own) = self.own {
            // While it is open its number belongs to no other file. What cannot be removed is left
            // to the next server's sweep.
            let _ = own.remove(&self.path);
        }
    }
}

impl RegionLayout {
    /// Refuses a layout that a file of `size` bytes cannot have.
    fn check(self, size: u64) -> Result<(), RegionFault> {
        let RegionLayout { request, response } = self;
        // A5
        if request.offset < HEADER_LEN || response.offset < HEADER_LEN {
            return Err(RegionFault::NotReady);
        }
        if request.capacity == 0 || response.capacity == 0 {
            return Err(RegionFault::NotReady);
        }
        // A6
        if !self.is_aligned() {
            return Err(RegionFault::BadSize);
        }
        // A7: both are multiples of the alignment by now.
        if request.end() > u32::MAX.into() || u64::from(response.offset) < request.end() {
            return Err(RegionFault::BadSize);
        }
        // A8
        if request.end().max(response.end()) > size {
            return Err(RegionFault::BadSize);
        }
        Ok(())
    }
}

fn path(place: &Place<'_>) -> Result<PathBuf, RegionError> {
    region_path(place.dir, place.service, place.session_id)
        .map_err(|error| RegionError::unnamed(&error))
}

/// A new file, after what a dead server left at its name is removed.
fn create_file(path: &Path) -> Result<File, RegionError> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let create = || retry_on_intr(|| rustix::fs::open(path, flags, mode));
    let created = match create() {
        Err(Errno::EXIST) => match stale::reclaim(path) {
            Verdict::Gone => create(),
            Verdict::Kept => Err(Errno::EXIST),
        },
        created => created,
    };
    let file = match created {
        Ok(fd) => File::from(fd),
        Err(Errno::EXIST) => return Err(RegionError::new(RegionFault::InUse, path)),
        Err(errno) => return Err(RegionError::system(RegionFault::Open, path, errno)),
    };
    // The umask may have left less than that, and clients could not open it.
    let permissions = fs::Permissions::from_mode(mode.as_raw_mode());
    let restored = file.metadata().and_then(|found| {
        let missing = found.permissions().mode() & 0o777 != mode.as_raw_mode();
        if missing { file.set_permissions(permissions) } else { Ok(()) }
    });
    restored.map_err(|cause| RegionError::system(RegionFault::Open, path, cause))?;
    Ok(file)
}

/// Gives an empty file its size, and backs it.
pub(super) fn grow(file: &File, size: u64) -> io::Result<()> {
    // Above this limit the kernel would not only fail but also end the process with SIGXFSZ.
    if getrlimit(Resource::Fsize).current.is_some_and(|most| most < size) {
        return Err(Errno::FBIG.into());
    }
    allocate(file, size)
}

/// Backs the whole file with memory or space, so that no later write to it can fail.
pub(super) fn allocate(file: &File, size: u64) -> io::Result<()> {
    let size = libc::off_t::try_from(size).map_err(|_| Errno::FBIG)?;
    loop {
        // By its name in libc, so that a program linked with it can put its own in this place to
        // see what happens when memory is short.
        // SAFETY: it is given no pointers, and `file` is open.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, size) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn map(file: &File, path: &Path, size: u64) -> Result<Mapping, RegionError> {
    usize::try_from(size)
        .map_err(|_| Errno::NOMEM.into())
        .and_then(|size| Mapping::new(file.as_fd(), size))
        .map_err(|cause| RegionError::system(RegionFault::Map, path, cause))
}

/// Fills the header of a region whose bytes are all zero.
fn write_header(mapping: &Mapping, layout: RegionLayout, owner: i32, generation: u32) {
    let header = mapping.header();
    // Relaxed: published by the magic.
    header.version.store(VERSION, Relaxed);
    header.header_len.store(HEADER_LEN as u16, Relaxed);
    header.owner_pid.store(owner, Relaxed);
    header.owner_generation.store(generation, Relaxed);
    header.request_offset.store(layout.request.offset, Relaxed);
    header.request_capacity.store(layout.request.capacity, Relaxed);
    header.response_offset.store(layout.response.offset, Relaxed);
    header.response_capacity.store(layout.response.capacity, Relaxed);
    // Pairs with the Acquire in `read_header`: who sees the magic sees all the rest.
    header.magic.store(MAGIC, Release);
}

/// Checks the header of a file of `size` bytes. Each field is read once, and only what was read
/// counts from then on.
fn read_header(mapping: &Mapping, size: u64) -> Result<(RegionLayout, u32), RegionFault> {
    let header = mapping.header();
    // A2. Pairs with the Release in `write_header`.
    if header.magic.load(Acquire) != MAGIC {
        return Err(RegionFault::BadMagic);
    }
    // A3
    if header.version.load(Relaxed) != VERSION {
        return Err(RegionFault::BadVersion);
    }
    // A4
    if u32::from(header.header_len.load(Relaxed)) != HEADER_LEN {
        return Err(RegionFault::BadHeader);
    }
    let layout = RegionLayout {
        request: Area {
            offset: header.request_offset.load(Relaxed),
            capacity: header.request_capacity.load(Relaxed),
        },
        response: Area {
            offset: header.response_offset.load(Relaxed),
            capacity: header.response_capacity.load(Relaxed),
        },
    };
    layout.check(size)?;
    Ok((layout, header.owner_generation.load(Relaxed)))
}

/// A number that another life of this server hardly had, and never 0, which marks the dead.
fn new_generation() -> u32 {
    let now = clock_gettime(ClockId::Monotonic);
    let mixed = now.tv_sec ^ (now.tv_nsec >> 10);
    // The low half is meant.
    (mixed as u32).max(1)
}
