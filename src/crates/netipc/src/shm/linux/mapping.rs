//! The bytes of a region, mapped into this process.
//!
//! A peer may write any of them at any time, so no reference to bytes of an area is ever made;
//! they are copied through raw pointers. A peer that may write the file may also cut it short,
//! and the next access to what is missing kills this process with SIGBUS. That is not defended
//! against: looking at the size first would be too early however late it is done, and a library
//! must not install signal handlers. The file's mode, 0600, keeps it to processes of the same user,
//! which could as well kill each other.

use std::{
    fmt, io,
    mem::offset_of,
    os::fd::BorrowedFd,
    ptr::{self, NonNull},
    sync::atomic::{AtomicI32, AtomicU16},
    time::Instant,
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use super::{
    super::{
        atomic::{Arc, AtomicU32, AtomicU64},
        lane::{Armed, Slot, Wakeup},
        layout::{Area, Direction},
    },
    futex, stream,
};

/// The first bytes of a region (PROTOCOL.md, section 24.2). All fields may change at any time.
#[derive(Debug)]
#[repr(C)]
pub(super) struct RegionHeader {
    pub(super) magic: AtomicU32,
    pub(super) version: AtomicU16,
    pub(super) header_len: AtomicU16,
    pub(super) owner_pid: AtomicI32,
    pub(super) owner_generation: AtomicU32,
    pub(super) request_offset: AtomicU32,
    pub(super) request_capacity: AtomicU32,
    pub(super) response_offset: AtomicU32,
    pub(super) response_capacity: AtomicU32,
    request_sequence: AtomicU64,
    response_sequence: AtomicU64,
    request_len: AtomicU32,
    response_len: AtomicU32,
    request_signal: AtomicU32,
    response_signal: AtomicU32,
}

/// How many bytes the header takes.
pub(super) const HEADER_LEN: u32 = 64;

const _: () = assert!(size_of::<RegionHeader>() == HEADER_LEN as usize);
const _: () = assert!(offset_of!(RegionHeader, request_sequence) == 32);
const _: () = assert!(offset_of!(RegionHeader, response_signal) == 60);

/// Memory shared with the peer, until the last handle of it is gone.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to no thread, and only `Drop` unmaps it.
unsafe impl Send for Mapping {}
// SAFETY: shared access is atomic (`header`) or by raw pointer, where `Slot` says who may.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `len` bytes of `file`, which must be at least the header.
    pub(super) fn new(file: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        assert!(len >= HEADER_LEN as usize, "a region has a header");
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses an address where nothing of ours lies.
        let start = unsafe { mmap(ptr::null_mut(), len, access, MapFlags::SHARED, file, 0)? };
        let start = NonNull::new(start.cast()).expect("mmap never returns null on success");
        Ok(Mapping { start, len })
    }

    pub(super) fn header(&self) -> &RegionHeader {
        // SAFETY: the mapping starts at a page, holds a header, and lives as long as `self`. Every
        // field is atomic, so it may change under the reference, and any bits are a value.
        unsafe { self.start.cast().as_ref() }
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and this is the last handle: every pointer into
        // it came from a borrow of `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("len", &self.len).finish()
    }
}

/// One direction of a region.
#[derive(Clone, Debug)]
pub(crate) struct Mapped {
    mapping: Arc<Mapping>,
    area: Area,
    direction: Direction,
}

impl Mapped {
    /// The messages of `direction` in `area` of `mapping`.
    pub(super) fn new(mapping: Arc<Mapping>, area: Area, direction: Direction) -> Self {
        assert!(area.offset >= HEADER_LEN && area.end() <= mapping.len() as u64);
        Mapped { mapping, area, direction }
    }

    /// Where `len` bytes lie from `at` on, which must be within the area.
    fn bytes(&self, at: usize, len: usize) -> *mut u8 {
        let end = at.checked_add(len).expect("a part of a message has an end");
        assert!(end <= self.capacity(), "{end} bytes are more than the area has");
        // SAFETY: the area lies within the mapping, as `new` made sure, and `at` within the area.
        unsafe { self.mapping.start().as_ptr().add(self.area.offset as usize + at) }
    }

    /// Counts rings; readers sleep on it.
    fn signal(&self) -> &AtomicU32 {
        let header = self.mapping.header();
        match self.direction {
            Direction::Request => &header.request_signal,
            Direction::Response => &header.response_signal,
        }
    }
}

impl Slot for Mapped {
    fn sequence(&self) -> &AtomicU64 {
        let header = self.mapping.header();
        match self.direction {
            Direction::Request => &header.request_sequence,
            Direction::Response => &header.response_sequence,
        }
    }

    fn length(&self) -> &AtomicU32 {
        let header = self.mapping.header();
        match self.direction {
            Direction::Request => &header.request_len,
            Direction::Response => &header.response_len,
        }
    }

    fn wakeup(&self) -> Wakeup<'_> {
        Wakeup::Signal(self.signal())
    }

    fn capacity(&self) -> usize {
        self.area.capacity as usize
    }

    fn fill(&self, at: usize, from: &[u8]) {
        let to = self.bytes(at, from.len());
        // SAFETY: `to` has room for them within the mapping. `from` is memory of our own: nobody
        // has a reference into the mapping's areas.
        unsafe {
            match from.len() {
                stream::LEAST.. => stream::copy(to, from),
                _ => to.copy_from_nonoverlapping(from.as_ptr(), from.len()),
            }
        }
    }

    fn copy(&self, at: usize, into: &mut [u8]) {
        let from = self.bytes(at, into.len());
        // The peer has published these bytes and does not write them now, unless it breaks the
        // rules. Then the copy is a mixture, no worse than any other message it could send.
        // SAFETY: `from` has as many bytes within the mapping, which only memory of other processes
        // and `fill` alias, never a reference; any bits are a `u8`.
        unsafe { into.as_mut_ptr().copy_from_nonoverlapping(from, into.len()) }
    }

    fn sleep(&self, rung: &AtomicU32, armed: Armed, until: Option<Instant>) {
        futex::sleep(self.signal(), rung, armed, until);
    }

    fn wake_peer(&self) {
        futex::wake_one(self.signal());
    }

    fn wake_own(&self, rung: &AtomicU32) {
        futex::wake_own(self.signal(), rung);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offset, size and name of fields.
    macro_rules! fields {
        ($($name:ident),*) => {
            [$((offset_of!(RegionHeader, $name), size(|header| &header.$name), stringify!($name))),*]
        };
    }

    fn size<T>(_: impl Fn(&RegionHeader) -> &T) -> usize {
        size_of::<T>()
    }

    #[test]
    fn the_header_is_laid_out_as_the_protocol_says() {
        let protocol = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../PROTOCOL.md"));
        let (_, table) = protocol.split_once("### Layout: RegionHeader (64 bytes)").unwrap();
        let rows = table.lines().skip_while(|line| !line.starts_with("| 0 |"));
        let rows: Vec<(usize, usize, &str)> = rows
            .take_while(|line| line.starts_with('|'))
            .map(|line| {
                let cells: Vec<_> = line.split('|').map(str::trim).collect();
                (cells[1].parse().unwrap(), cells[2].parse().unwrap(), cells[3])
            })
            .collect();
        let fields = fields![
            magic,
            version,
            header_len,
            owner_pid,
            owner_generation,
            request_offset,
            request_capacity,
            response_offset,
            response_capacity,
            request_sequence,
            response_sequence,
            request_len,
            response_len,
            request_signal,
            response_signal
        ];
        assert_eq!(rows, fields);
    }
}
