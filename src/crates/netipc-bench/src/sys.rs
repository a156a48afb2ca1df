//! The only unsafe code of the driver: memory shared by two processes, and another process's CPU clock.

use std::{
    fs::File,
    io,
    mem::MaybeUninit,
    ops::Deref,
    path::Path,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, AtomicU64},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// One cache line: a sequence number that publishes, a word for a waiter, and a 40-byte message.
#[repr(C, align(64))]
pub(crate) struct Line {
    pub(crate) sequence: AtomicU32,
    pub(crate) waiter: AtomicU32,
    pub(crate) message: [AtomicU64; 5],
    _rest: [AtomicU64; 2],
}

const _: () = assert!(size_of::<Line>() == 64);

/// Cache lines shared with every process that maps the same file.
pub(crate) struct SharedLines {
    first: NonNull<Line>,
    count: usize,
}

impl SharedLines {
    /// Makes the file at `path` with `count` zeroed lines and maps it.
    pub(crate) fn create(path: &Path, count: usize) -> Result<Self> {
        let file = File::options().read(true).write(true).create_new(true).open(path);
        let file = file.with_context(|| format!("create {}", path.display()))?;
        file.set_len((count * size_of::<Line>()) as u64)
            .with_context(|| format!("size {}", path.display()))?;
        Self::map(&file, count).with_context(|| format!("map {}", path.display()))
    }

    /// Maps the `count` lines that another process made at `path`.
    pub(crate) fn open(path: &Path, count: usize) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path);
        let file = file.with_context(|| format!("open {}", path.display()))?;
        let len = file.metadata()?.len();
        ensure!(len == (count * size_of::<Line>()) as u64, "{}: {len} bytes", path.display());
        Self::map(&file, count).with_context(|| format!("map {}", path.display()))
    }

    fn map(file: &File, count: usize) -> Result<Self> {
        let len = count * size_of::<Line>();
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address, so no mapping of ours is replaced.
        let base = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, 0) }?;
        let first = NonNull::new(base.cast()).context("mapped at address 0")?;
        Ok(SharedLines { first, count })
    }
}

impl Deref for SharedLines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        // SAFETY: the mapping is page aligned, `count` lines long and lives as long as `self`; the
        // file is never cut, and a line is all atomics, which other processes may change.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl Drop for SharedLines {
    fn drop(&mut self) {
        // SAFETY: `map` made this mapping with this length, and nobody borrows it any more.
        let unmapped =
            unsafe { munmap(self.first.as_ptr().cast(), self.count * size_of::<Line>()) };
        debug_assert!(unmapped.is_ok(), "a mapping of ours can be unmapped");
    }
}

// SAFETY: the lines are all atomics, and the mapping is not bound to a thread.
unsafe impl Send for SharedLines {}
// SAFETY: as above; `Deref` hands out shared references only.
unsafe impl Sync for SharedLines {}

/// How much CPU time, user and system, all threads of process `pid` have used so far.
///
/// Precise to the nanosecond, and of one kind for every peer in every language: the peer takes no part.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration> {
    let pid = libc::pid_t::try_from(pid).context("process id out of range")?;
    let mut clock = 0;
    // SAFETY: `clock` is a valid place for the result.
    let failed = unsafe { libc::clock_getcpuclockid(pid, &mut clock) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed))
            .with_context(|| format!("find the CPU clock of process {pid}"));
    }
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `time` is a valid place for the result.
    if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error())
            .with_context(|| format!("read the CPU clock of process {pid}"));
    }
    // SAFETY: the call succeeded, so it filled the value.
    let time = unsafe { time.assume_init() };
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn both_mappings_of_a_file_see_the_same_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lines");
        let ours = SharedLines::create(&path, 2).unwrap();
        let theirs = SharedLines::open(&path, 2).unwrap();
        ours[1].message[4].store(7, Relaxed);
        assert_eq!(theirs[1].message[4].load(Relaxed), 7);
        assert_eq!(theirs[0].message[4].load(Relaxed), 0);
        assert!(SharedLines::open(&path, 3).is_err());
    }

    #[test]
    fn the_cpu_clock_of_a_process_advances_while_it_works() {
        let before = cpu_time(std::process::id()).unwrap();
        let mut sum = 0u64;
        while cpu_time(std::process::id()).unwrap() == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_time(std::process::id()).unwrap() > before);
    }
}
