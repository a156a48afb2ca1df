//! Regions whose server has died: which they are, and how they go away.

#[cfg(test)]
mod tests;

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    mem::offset_of,
    os::unix::{ffi::OsStrExt, fs::FileExt},
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::{
    fs::{Mode, OFlags},
    io::{Errno, retry_on_intr},
    param::clock_ticks_per_second,
    process::{Pid, test_kill_process},
    time::{ClockId, clock_gettime},
};

use super::{
    mapping::{HEADER_LEN, RegionHeader},
    region::MAGIC,
};
use crate::sys::{FileId, is_exhaustion};

/// By how much a process may seem to have started after what it did.
const CLOCK_ERROR: Duration = Duration::from_secs(2);

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is none at this name now.
    Gone,
    /// A live server has it, or that cannot be told, or it cannot be removed.
    Kept,
}

/// Removes what dead servers of `service` left in `dir`. To be called by who has the endpoint:
/// its regions are the only live ones then.
///
/// # Errors
///
/// `dir` cannot be read. A file that cannot be removed is no error.
pub(crate) fn sweep(dir: &Path, service: &str) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if is_region_of(service, &entry.file_name()) {
            reclaim(&entry.path());
        }
    }
    Ok(())
}

/// Whether `name` is `{service}-{16 hexadecimal digits}.ipcshm`. Not less strict: the name of
/// another service may start with the name of this one and a dash.
fn is_region_of(service: &str, name: &OsStr) -> bool {
    let digits = name
        .as_bytes()
        .strip_prefix(service.as_bytes())
        .and_then(|rest| rest.strip_prefix(b"-"))
        .and_then(|rest| rest.strip_suffix(b".ipcshm"));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// Removes what is at `path`, unless it is the region of a live server.
pub(super) fn reclaim(path: &Path) -> Verdict {
    let found = match FileId::at(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Verdict::Gone,
        Err(_) => return Verdict::Kept,
    };
    if must_stay(path) {
        return Verdict::Kept;
    }
    match found.remove(path) {
        Ok(true) => Verdict::Gone,
        Ok(false) | Err(_) => Verdict::Kept,
    }
}

fn must_stay(path: &Path) -> bool {
    // Neither through a link nor stuck at a pipe.
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())) {
        // A file that cannot be looked at does not prove that nobody has it.
        Ok(fd) => is_live(&File::from(fd)).unwrap_or(true),
        Err(Errno::NOENT) => false,
        Err(errno) => is_exhaustion(&errno.into()),
    }
}

/// Whether it is a region and its owner lives.
fn is_live(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() < HEADER_LEN.into() {
        return Ok(false);
    }
    let word = |at: usize| {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, at as u64).map(|()| u32::from_ne_bytes(bytes))
    };
    if word(offset_of!(RegionHeader, magic))? != MAGIC {
        return Ok(false);
    }
    let generation = word(offset_of!(RegionHeader, owner_generation))?;
    let owner = word(offset_of!(RegionHeader, owner_pid))?.cast_signed();
    Ok(generation != 0 && is_alive(owner) && !started_after(owner, metadata.modified()?))
}

/// Whether there is a process `pid`, of whichever user.
pub(super) fn is_alive(pid: i32) -> bool {
    let pid = if pid > 0 { Pid::from_raw(pid) } else { None };
    pid.is_some_and(|pid| matches!(test_kill_process(pid), Ok(()) | Err(Errno::PERM)))
}

/// Whether process `pid` certainly began after `moment`: then it only has the number of the one
/// that lived at that moment.
fn started_after(pid: i32, moment: SystemTime) -> bool {
    let age = |moment: SystemTime| SystemTime::now().duration_since(moment).ok();
    match (process_age(pid), age(moment)) {
        (Some(process), Some(moment)) => process + CLOCK_ERROR < moment,
        _ => false,
    }
}

/// How long ago process `pid` began, if the system tells.
fn process_age(pid: i32) -> Option<Duration> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let ticks = start_ticks(&stat)?;
    let started = Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second()).ok()?;
    let now = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
    now.checked_sub(started)
}

/// When a process began, in clock ticks since the machine did: the 22nd field of its `stat`.
fn start_ticks(stat: &[u8]) -> Option<u64> {
    // The second field is a name in parentheses that may contain anything, parentheses included.
    let name_end = stat.iter().rposition(|&byte| byte == b')')?;
    let after_name = str::from_utf8(&stat[name_end + 1..]).ok()?;
    after_name.split_ascii_whitespace().nth(22 - 3)?.parse().ok()
}
