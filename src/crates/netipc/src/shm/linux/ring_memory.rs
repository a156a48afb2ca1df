//! The memory of a session over rings: nameless, of fixed size, and given away as a descriptor
//! (PROTOCOL.md, section 27).
//!
//! Unlike a region's file it cannot be cut short by a peer: its size is sealed. It was backed with
//! real memory before it was used. A peer may still punch holes into it, which costs the peer's own
//! messages and is filled with zeroes by the kernel at the next access. That fails, with a SIGBUS, only
//! where the kernel commits no more memory than there is and none is left.

use std::{
    fs::File,
    io,
    ops::{Range, RangeInclusive},
    os::fd::{AsFd, OwnedFd},
    ptr::{self, NonNull},
    slice,
};

use netipc_proto::RingHeader;
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstatfs, memfd_create},
    io::Errno,
    mm::{MapFlags, ProtFlags, mmap, munmap},
};

use super::{
    super::{
        atomic::{Arc, AtomicU64},
        layout::Direction,
        ring::{Place, Track},
        words,
    },
    region::{allocate, grow},
    stream,
};
use crate::error::{Error, ErrorKind, Result};

/// How long each direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    request: Length,
    response: Length,
}

/// How long one direction is. Both are powers of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Length {
    slots: u32,
    bulk: u32,
}

/// Where the words of both sides lie, far enough from each other that no two share a cache line
/// or the one that is fetched along with it. In bytes, as everything here.
const CLIENT_SLEEPS: usize = 128;
const SERVER_SLEEPS: usize = 256;
const REQUESTS_TAKEN: usize = 384;
const RESPONSES_TAKEN: usize = 512;
/// Where the slots begin.
const SLOTS_AT: usize = 1024;

/// A slot is one cache line; its first word announces it.
const SLOT: usize = 64;
const WORD: usize = size_of::<u64>();

/// Enough for 64 requests in flight while up to a quarter is not settled.
const SLOTS: u32 = 128;
/// So many of the longest messages are in flight at once, unless that takes too much memory. Longer
/// messages pass in parts.
const LONGEST_IN_FLIGHT: u32 = 16;
const BULK: RangeInclusive<u32> = 4096..=32768;
/// Where messages are far longer, this share of the longest, so that who writes it seldom waits for
/// who reads it; unless that takes too much memory.
const SHARE: u32 = 4;
const MOST_OWN_BULK: u32 = 262_144;

/// A record as long as this is a part of a longer message, most likely.
const PART: usize = 8192;

/// What a client takes from a server.
const MOST_SLOTS: u32 = 1 << 16;
const MOST_BULK: u32 = 1 << 26;
const LEAST_BULK: u32 = 256;

impl Length {
    /// For messages with up to so many bytes of payload.
    fn for_payload(limit: u32) -> Self {
        let many = limit.saturating_mul(LONGEST_IN_FLIGHT).clamp(*BULK.start(), *BULK.end());
        let bulk = many.max((limit / SHARE).min(MOST_OWN_BULK));
        Length { slots: SLOTS, bulk: bulk.next_power_of_two() }
    }

    fn is_possible(self) -> bool {
        self.slots.is_power_of_two()
            && (4..=MOST_SLOTS).contains(&self.slots)
            && self.bulk.is_power_of_two()
            && (LEAST_BULK..=MOST_BULK).contains(&self.bulk)
    }

    fn slots_size(self) -> usize {
        self.slots as usize * SLOT
    }
}

impl Lengths {
    /// What a header says. `None` if no memory can be so.
    fn from_header(header: &RingHeader) -> Option<Self> {
        let lengths = Lengths {
            request: Length { slots: header.request_slots, bulk: header.request_bulk },
            response: Length { slots: header.response_slots, bulk: header.response_bulk },
        };
        (lengths.request.is_possible() && lengths.response.is_possible()).then_some(lengths)
    }

    fn header(self) -> RingHeader {
        RingHeader {
            request_slots: self.request.slots,
            request_bulk: self.request.bulk,
            response_slots: self.response.slots,
            response_bulk: self.response.bulk,
        }
    }

    /// For messages with up to so many bytes of payload.
    pub(crate) fn for_payloads(request: u32, response: u32) -> Self {
        Lengths { request: Length::for_payload(request), response: Length::for_payload(response) }
    }

    /// Where the bulk of requests begins, then that of responses, then where the memory ends.
    fn bounds(self) -> [usize; 3] {
        let requests = SLOTS_AT + self.request.slots_size() + self.response.slots_size();
        let responses = requests + self.request.bulk as usize;
        [requests, responses, responses + self.response.bulk as usize]
    }

    /// How many bytes all of it takes.
    pub(crate) fn size(self) -> usize {
        self.bounds()[2]
    }
}

/// The memory of one session, mapped into this process.
#[derive(Debug)]
pub(crate) struct RingMemory {
    mapping: Arc<Mapping>,
    lengths: Lengths,
}

impl RingMemory {
    /// New memory, all of it there, and the descriptor to hand over.
    ///
    /// # Errors
    ///
    /// What the system says: most likely that there is no memory or no descriptor left.
    pub(crate) fn create(lengths: Lengths) -> Result<(Self, OwnedFd)> {
        let context = "make the memory of a session";
        let made = create_file(lengths.size()).and_then(|file| {
            let mapping = Mapping::new(file.as_fd(), lengths.size())?;
            Ok((mapping, file))
        });
        let (mapping, file) = made.map_err(|cause| Error::system(context, cause))?;
        let mut header = [0; RingHeader::LEN];
        lengths.header().write(&mut header);
        // The client reads it after the packet that brings it the descriptor.
        words::fill(mapping.words(), 0, &header);
        Ok((RingMemory { mapping: Arc::new(mapping), lengths }, file.into()))
    }

    /// The memory that a server handed over.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`] if it is none, or may change its size; what the system says.
    pub(crate) fn attach(fd: OwnedFd) -> Result<Self> {
        let context = || "map the memory of a session";
        let system = |cause: io::Error| Error::system(context(), cause);
        let refuse = |why: &str| {
            let context = format!("{}: {why}", context());
            Error::new(ErrorKind::Protocol, context)
        };
        let file = File::from(fd);
        // RM1, first of all: it is not asked of the file system, which may be one that never answers.
        let sealed = SealFlags::SHRINK | SealFlags::GROW;
        if !fcntl_get_seals(&file).is_ok_and(|seals| seals.contains(sealed)) {
            return Err(refuse("its size is not sealed"));
        }
        // RM2: a file of another kind may lack what it takes to back a page when it is touched.
        const TMPFS: i64 = 0x0102_1994;
        if fstatfs(&file).map_err(|errno| system(errno.into()))?.f_type as i64 != TMPFS {
            return Err(refuse("it is no anonymous memory"));
        }
        let size = usize::try_from(file.metadata().map_err(system)?.len()).unwrap_or(usize::MAX);
        // RM3
        if size < SLOTS_AT {
            return Err(refuse("it is too small"));
        }
        let mut header = [0; RingHeader::LEN];
        let start = Mapping::new(file.as_fd(), SLOTS_AT).map_err(system)?;
        words::copy(start.words(), 0, &mut header);
        // RM4
        let header =
            RingHeader::read(&header).map_err(|malformed| refuse(&malformed.to_string()))?;
        // RM5
        let lengths =
            Lengths::from_header(&header).ok_or_else(|| refuse("its lengths cannot be"))?;
        // RM6
        if lengths.size() != size {
            return Err(refuse("it is not as long as its header says"));
        }
        allocate(&file, size as u64).map_err(system)?;
        let mapping = Mapping::new(file.as_fd(), size).map_err(system)?;
        Ok(RingMemory { mapping: Arc::new(mapping), lengths })
    }

    /// The ring of one direction.
    pub(crate) fn track(&self, direction: Direction) -> Mapped {
        let Lengths { request, response } = self.lengths;
        let [request_bulk, response_bulk, end] = self.lengths.bounds();
        let (length, slots, bulk, bulk_end, taken) = match direction {
            Direction::Request => (request, SLOTS_AT, request_bulk, response_bulk, REQUESTS_TAKEN),
            Direction::Response => {
                let slots = SLOTS_AT + request.slots_size();
                (response, slots, response_bulk, end, RESPONSES_TAKEN)
            }
        };
        let words = |from: usize, to: usize| from / WORD..to / WORD;
        Mapped {
            mapping: Arc::clone(&self.mapping),
            slots: words(slots, slots + length.slots_size()),
            bulk: words(bulk, bulk_end),
            taken: taken / WORD,
        }
    }

    /// Says what the side that sends in `direction` sleeps for.
    pub(crate) fn sleeps(&self, direction: Direction) -> &AtomicU64 {
        let at = match direction {
            Direction::Request => CLIENT_SLEEPS,
            Direction::Response => SERVER_SLEEPS,
        };
        &self.mapping.words()[at / WORD]
    }
}

/// Sealed memory of `size` bytes.
fn create_file(size: usize) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let created = match memfd_create(c"netipc-ring", flags | MemfdFlags::NOEXEC_SEAL) {
        // Kernels before 6.3 do not know the last flag.
        Err(Errno::INVAL) => memfd_create(c"netipc-ring", flags),
        created => created,
    };
    let file = File::from(created?);
    grow(&file, size as u64)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    Ok(file)
}

/// The bytes, for as long as the last handle lives.
#[derive(Debug)]
struct Mapping {
    start: NonNull<AtomicU64>,
    words: usize,
}

// SAFETY: the mapping belongs to no thread, and only `Drop` unmaps it.
unsafe impl Send for Mapping {}
// SAFETY: it is only ever seen as atomic words.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `size` bytes of `file`, a multiple of 8 and not 0.
    fn new(file: impl AsFd, size: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses an address where nothing of ours lies.
        let start = unsafe { mmap(ptr::null_mut(), size, access, MapFlags::SHARED, file, 0)? };
        let start = NonNull::new(start.cast()).expect("mmap never returns null on success");
        Ok(Mapping { start, words: size / WORD })
    }

    fn words(&self) -> &[AtomicU64] {
        // SAFETY: the mapping starts at a page, has so many words and lives as long as `self`. They
        // are atomic, so they may change under the reference, and any bits are a value.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.words) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and this is the last handle: every reference
        // into it came from a borrow of `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.words * WORD) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// One direction in the memory of a session. All numbers are our own, in words.
#[derive(Debug)]
pub(crate) struct Mapped {
    mapping: Arc<Mapping>,
    slots: Range<usize>,
    bulk: Range<usize>,
    taken: usize,
}

impl Mapped {
    fn slot(&self, slot: usize) -> &[AtomicU64] {
        &self.mapping.words()[self.slots.clone()][slot * SLOT / WORD..][..SLOT / WORD]
    }

    fn place(&self, place: Place) -> &[AtomicU64] {
        match place {
            Place::Slot(slot) => &self.slot(slot)[1..],
            Place::Bulk => &self.mapping.words()[self.bulk.clone()],
        }
    }
}

impl Track for Mapped {
    fn slots(&self) -> u64 {
        (self.slots.len() * WORD / SLOT) as u64
    }

    fn bulk(&self) -> u64 {
        (self.bulk.len() * WORD) as u64
    }

    fn announcement(&self, slot: usize) -> &AtomicU64 {
        &self.slot(slot)[0]
    }

    fn taken(&self) -> &AtomicU64 {
        &self.mapping.words()[self.taken]
    }

    fn fill(&self, place: Place, at: usize, from: &[u8]) {
        let words = self.place(place);
        if from.len() < PART {
            return words::fill(words, at, from);
        }
        let to = &words[at / WORD..][..from.len().div_ceil(WORD)];
        // SAFETY: these words have room for it, and may be written to through a shared reference.
        // `from` is memory of our own.
        unsafe { stream::copy(to.as_ptr().cast_mut().cast(), from) }
    }

    fn copy(&self, place: Place, at: usize, into: &mut [u8]) {
        words::copy(self.place(place), at, into);
    }
}

#[cfg(test)]
mod tests;
