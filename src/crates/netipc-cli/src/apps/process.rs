//! One process, as `/proc` shows it.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use netipc::kinds::apps_lookup::COMM_MAX;
use rustix::{
    fs::{CWD, Mode, OFlags, fstat, openat},
    io::Errno,
};

/// What `/proc` tells of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its parent.
    pub ppid: u32,
    /// Its real user, if that is known.
    pub uid: Option<u32>,
    /// When it began, in clock ticks since boot.
    pub starttime: u64,
    /// Its name: 1 to [`COMM_MAX`] bytes of any kind.
    pub comm: Vec<u8>,
    /// Its cgroup; empty if that is not known.
    pub cgroup: Vec<u8>,
}

/// Reads the process with its directory at `dir`, such as `/proc/42`.
///
/// # Errors
///
/// Whatever the system reports, among it that the process is gone (see [`is_gone`]), and
/// [`io::ErrorKind::InvalidData`] for a `stat` that cannot be understood.
pub fn read(dir: &Path, buffer: &mut Vec<u8>) -> io::Result<Process> {
    // All files are read of one process: the descriptor stays with it when its PID is used again.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(CWD, dir, flags, Mode::empty())?;
    slurp(&dir, "stat", buffer)?;
    let stat = parse_stat(buffer).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "stat is no list of a process")
    })?;
    let uid = match slurp(&dir, "status", buffer) {
        Ok(()) => parse_uid(buffer),
        Err(why) if is_gone(&why) && why.kind() != io::ErrorKind::NotFound => return Err(why),
        Err(_) => None,
    };
    // The owner of the directory is root for processes that may not be dumped: second best.
    let uid = uid.or_else(|| fstat(&dir).ok().map(|found| found.st_uid));
    let cgroup = match slurp(&dir, "cgroup", buffer) {
        Ok(()) => parse_cgroup(buffer),
        Err(why) if why.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => return Err(why),
        Err(_) => Vec::new(),
    };
    Ok(Process { ppid: stat.ppid, uid, starttime: stat.starttime, comm: stat.comm, cgroup })
}

/// Whether a failure to read a process says that it has ended.
pub fn is_gone(why: &io::Error) -> bool {
    why.kind() == io::ErrorKind::NotFound || why.raw_os_error() == Some(Errno::SRCH.raw_os_error())
}

/// Reads a whole file of a process.
fn slurp(dir: &OwnedFd, file: &str, buffer: &mut Vec<u8>) -> io::Result<()> {
    /// No file read here comes near this.
    const LIMIT: usize = 1 << 20;
    let file = openat(dir.as_fd(), file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    buffer.clear();
    buffer.reserve(4096);
    loop {
        match rustix::io::read(&file, rustix::buffer::spare_capacity(buffer)) {
            Ok(0) => return Ok(()),
            Ok(_) if buffer.len() > LIMIT => return Err(io::ErrorKind::FileTooLarge.into()),
            Ok(_) if buffer.capacity() == buffer.len() => buffer.reserve(buffer.len()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(why) => return Err(why.into()),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Stat {
    comm: Vec<u8>,
    ppid: u32,
    starttime: u64,
}

/// Reads `PID (COMM) STATE PPID …`, where COMM may hold anything, parentheses among it.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let name = text.get(open + 1..close)?;
    let mut fields = text[close + 1..].split(|&byte| byte == b' ').skip(1).map(number);
    // Counted from the state, which is field 3 of proc(5).
    let ppid = u32::try_from(fields.nth(1)??).ok()?;
    let starttime = fields.nth(17)??;
    Some(Stat { comm: comm(name), ppid, starttime })
}

/// A name as the wire can carry it: cut to its longest, never empty.
fn comm(name: &[u8]) -> Vec<u8> {
    let name = &name[..name.len().min(COMM_MAX)];
    // Only a file that is not the kernel's holds a zero, and the wire ends a name with one.
    let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
    if end == 0 { b"-".to_vec() } else { name[..end].to_vec() }
}

/// The real user in a `status` file.
fn parse_uid(text: &[u8]) -> Option<u32> {
    let line = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    let mut fields =
        line.split(|byte| byte.is_ascii_whitespace()).filter(|field| !field.is_empty());
    u32::try_from(number(fields.next()?)?).ok()
}

/// The most telling cgroup in a `cgroup` file; empty if it names none.
///
/// The unified one, unless that is the root and a controller of version 1 tells more.
fn parse_cgroup(text: &[u8]) -> Vec<u8> {
    const TELLING: [&[u8]; 4] = [b"cpuacct", b"blkio", b"memory", b"name=systemd"];
    let lines = || {
        text.split(|&byte| byte == b'\n').filter_map(|line| {
            let mut fields = line.splitn(3, |&byte| byte == b':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            // The kernel marks a cgroup that was removed under its last processes so.
            Some((controllers, path.strip_suffix(b" (deleted)").unwrap_or(path)))
        })
    };
    let of = |controller: &[u8]| {
        let has = |list: &[u8]| list.split(|&byte| byte == b',').any(|name| name == controller);
        lines().find(|(controllers, _)| has(controllers)).map(|(_, path)| path)
    };
    let candidates = [of(b"")].into_iter().chain(TELLING.map(of)).flatten();
    let others = lines().map(|(_, path)| path);
    let mut all = candidates.chain(others).filter(|path| path.starts_with(b"/"));
    let Some(first) = all.next() else { return Vec::new() };
    let best = if first == b"/" { all.find(|path| *path != b"/").unwrap_or(first) } else { first };
    best.to_vec()
}

fn number(field: &[u8]) -> Option<u64> {
    std::str::from_utf8(field).ok()?.trim_ascii_end().parse().ok()
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
