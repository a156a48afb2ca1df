//! The bytes of a region, mapped into this process.
//!
//! A peer may write any of them at any time, so no reference to bytes of an area is ever made;
//! they are copied through raw pointers. The memory itself stays as long as it is mapped.

use std::{
    fmt, io,
    mem::offset_of,
    os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle},
    ptr::NonNull,
    thread,
    time::Instant,
};

use windows_sys::Win32::{
    Foundation::{ERROR_ALREADY_EXISTS, INVALID_HANDLE_VALUE},
    System::{
        Memory::{
            CreateFileMappingW, FILE_MAP_ALL_ACCESS, MEMORY_BASIC_INFORMATION,
            MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, OpenFileMappingW, PAGE_READWRITE,
            UnmapViewOfFile, VirtualQuery,
        },
        Threading::{CreateEventW, EVENT_MODIFY_STATE, OpenEventW, SYNCHRONIZATION_SYNCHRONIZE},
    },
};

use super::super::{
    atomic::{Arc, AtomicU32, AtomicU64},
    lane::{Armed, Slot, Wakeup},
    layout::{Area, Direction},
};
use crate::sys::{Access, Signal, wait_for_any, wide};

/// The first bytes of a region (PROTOCOL.md, section 25.3). All fields may change at any time.
#[derive(Debug)]
#[repr(C)]
pub(super) struct RegionHeader {
    pub(super) magic: AtomicU32,
    pub(super) version: AtomicU32,
    pub(super) header_len: AtomicU32,
    pub(super) profile: AtomicU32,
    pub(super) request_offset: AtomicU32,
    pub(super) request_capacity: AtomicU32,
    pub(super) response_offset: AtomicU32,
    pub(super) response_capacity: AtomicU32,
    pub(super) spin_tries: AtomicU32,
    request_len: AtomicU32,
    response_len: AtomicU32,
    request_client_closed: AtomicU32,
    request_server_waiting: AtomicU32,
    response_server_closed: AtomicU32,
    response_client_waiting: AtomicU32,
    padding: AtomicU32,
    request_sequence: AtomicU64,
    response_sequence: AtomicU64,
    reserved: [AtomicU32; 12],
}

/// How many bytes the header takes.
pub(super) const HEADER_LEN: u32 = 128;

const _: () = assert!(size_of::<RegionHeader>() == HEADER_LEN as usize);
const _: () = assert!(offset_of!(RegionHeader, request_sequence) == 64);

/// Memory shared with the peer, until the last handle of it is gone.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
    object: OwnedHandle,
}

// SAFETY: the mapping belongs to no thread, and only `Drop` unmaps it.
unsafe impl Send for Mapping {}
// SAFETY: shared access is atomic (`header`) or by raw pointer, where `Slot` says who may.
unsafe impl Sync for Mapping {}

/// Why there is no mapping.
#[derive(Debug)]
pub(super) enum Refused {
    /// The name is taken.
    InUse,
    /// There is no such object, or it cannot be used, or no memory for one.
    Object(io::Error),
    /// It cannot be mapped.
    Map(io::Error),
}

impl Mapping {
    /// New memory of `size` bytes, all zero, under a name that nobody has.
    pub(super) fn create(name: &str, size: u64, access: &Access) -> Result<Self, Refused> {
        let (high, low) = ((size >> 32) as u32, size as u32);
        let (name, attributes) = (wide(name), access.attributes());
        // SAFETY: the name ends with a NUL, and like the attributes it outlives the call; without a
        // file the memory is the system's.
        let (object, cause) = unsafe {
            let file = INVALID_HANDLE_VALUE;
            let made =
                CreateFileMappingW(file, &attributes, PAGE_READWRITE, high, low, name.as_ptr());
            (owned(made), io::Error::last_os_error())
        };
        let object = object.map_err(Refused::Object)?;
        if cause.raw_os_error() == Some(ERROR_ALREADY_EXISTS.cast_signed()) {
            return Err(Refused::InUse);
        }
        Self::map(object)
    }

    /// The memory of that name.
    pub(super) fn open(name: &str) -> Result<Self, Refused> {
        // SAFETY: the name ends with a NUL and outlives the call.
        let object =
            unsafe { owned(OpenFileMappingW(FILE_MAP_ALL_ACCESS, 0, wide(name).as_ptr())) };
        Self::map(object.map_err(Refused::Object)?)
    }

    fn map(object: OwnedHandle) -> Result<Self, Refused> {
        let mut about = MEMORY_BASIC_INFORMATION::default();
        // SAFETY: the object is a mapping; all of it is mapped where nothing of ours lies. Then
        // there is room for what is asked about it.
        let (start, told) = unsafe {
            let view = MapViewOfFile(object.as_raw_handle(), FILE_MAP_ALL_ACCESS, 0, 0, 0);
            let told = match view.Value.is_null() {
                true => 0,
                false => VirtualQuery(view.Value, &mut about, size_of_val(&about)),
            };
            (view.Value, told)
        };
        let start = NonNull::new(start.cast::<u8>())
            .ok_or_else(|| Refused::Map(io::Error::last_os_error()))?;
        let mapping = Mapping { start, len: about.RegionSize, object };
        match told {
            0 => Err(Refused::Map(io::Error::last_os_error())),
            _ => Ok(mapping),
        }
    }

    pub(super) fn header(&self) -> &RegionHeader {
        // SAFETY: the mapping starts at a page, is at least a page, which holds a header, and lives
        // as long as `self`. Every field is atomic, so it may change under the reference, and any
        // bits are a value.
        unsafe { self.start.cast().as_ref() }
    }

    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The memory as an object of the system.
    pub(super) fn object(&self) -> BorrowedHandle<'_> {
        self.object.as_handle()
    }

    /// How many bytes are mapped: whole pages.
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: it was mapped there, and this is the last handle: every pointer into it came from
        // a borrow of `self`.
        let unmapped = unsafe {
            UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.start.as_ptr().cast() })
        };
        debug_assert_ne!(unmapped, 0);
    }
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("len", &self.len).finish()
    }
}

/// The event of one direction, on which its reader sleeps.
#[derive(Debug)]
pub(super) struct Event(Signal);

impl Event {
    /// A new event, under a name that nobody has.
    pub(super) fn create(name: &str, access: &Access) -> Result<Self, Refused> {
        let (name, attributes) = (wide(name), access.attributes());
        // SAFETY: the name ends with a NUL, and like the attributes it outlives the call.
        let (event, cause) = unsafe {
            let made = CreateEventW(&attributes, 0, 0, name.as_ptr());
            (owned(made), io::Error::last_os_error())
        };
        let event = event.map_err(Refused::Object)?;
        if cause.raw_os_error() == Some(ERROR_ALREADY_EXISTS.cast_signed()) {
            return Err(Refused::InUse);
        }
        Ok(Event(event.into()))
    }

    /// The event of that name.
    pub(super) fn open(name: &str) -> Result<Self, Refused> {
        let access = EVENT_MODIFY_STATE | SYNCHRONIZATION_SYNCHRONIZE;
        // SAFETY: the name ends with a NUL and outlives the call.
        let event = unsafe { owned(OpenEventW(access, 0, wide(name).as_ptr())) };
        Ok(Event(event.map_err(Refused::Object)?.into()))
    }
}

impl AsHandle for Event {
    fn as_handle(&self) -> BorrowedHandle<'_> {
        self.0.as_handle()
    }
}

/// Takes over a handle that was just made, or says why there is none.
///
/// # Safety
///
/// Nobody else has the handle.
unsafe fn owned(handle: *mut std::ffi::c_void) -> io::Result<OwnedHandle> {
    match handle.is_null() {
        true => Err(io::Error::last_os_error()),
        // SAFETY: as the caller says.
        false => Ok(unsafe { OwnedHandle::from_raw_handle(handle) }),
    }
}

/// One direction of a region.
#[derive(Debug)]
pub(crate) struct Mapped {
    mapping: Arc<Mapping>,
    area: Area,
    direction: Direction,
    /// Without any a reader does not sleep.
    bells: Option<Bells>,
}

/// What ends the sleep of a reader.
#[derive(Clone, Debug)]
pub(super) struct Bells {
    /// Shared with the peer.
    pub(super) shared: Arc<Event>,
    /// Of this process alone, where the peer cannot reach it.
    pub(super) own: Arc<Signal>,
}

impl Mapped {
    /// The messages of `direction` in `area` of `mapping`, with what wakes their reader.
    pub(super) fn new(
        mapping: Arc<Mapping>,
        area: Area,
        direction: Direction,
        bells: Option<Bells>,
    ) -> Self {
        assert!(area.offset >= HEADER_LEN && area.end() <= mapping.len() as u64);
        Mapped { mapping, area, direction, bells }
    }

    /// Where `len` bytes lie from `at` on, which must be within the area.
    fn bytes(&self, at: usize, len: usize) -> *mut u8 {
        let end = at.checked_add(len).expect("a part of a message has an end");
        assert!(end <= self.capacity(), "{end} bytes are more than the area has");
        // SAFETY: the area lies within the mapping, as `new` made sure, and `at` within the area.
        unsafe { self.mapping.start().as_ptr().add(self.area.offset as usize + at) }
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
        let header = self.mapping.header();
        let (waiting, closed) = match self.direction {
            Direction::Request => (&header.request_server_waiting, &header.request_client_closed),
            Direction::Response => {
                (&header.response_client_waiting, &header.response_server_closed)
            }
        };
        Wakeup::Flags { waiting, closed }
    }

    fn capacity(&self) -> usize {
        self.area.capacity as usize
    }

    fn fill(&self, at: usize, from: &[u8]) {
        let to = self.bytes(at, from.len());
        // SAFETY: `to` has room for them within the mapping. `from` is memory of our own: nobody
        // has a reference into the mapping's areas.
        unsafe { to.copy_from_nonoverlapping(from.as_ptr(), from.len()) }
    }

    fn copy(&self, at: usize, into: &mut [u8]) {
        let from = self.bytes(at, into.len());
        // The peer has published these bytes and does not write them now, unless it breaks the
        // rules. Then the copy is a mixture, no worse than any other message it could send.
        // SAFETY: `from` has as many bytes within the mapping, which only memory of other processes
        // and `fill` alias, never a reference; any bits are a `u8`.
        unsafe { into.as_mut_ptr().copy_from_nonoverlapping(from, into.len()) }
    }

    fn sleep(&self, _rung: &AtomicU32, _armed: Armed, until: Option<Instant>) {
        let Some(bells) = &self.bells else {
            // This profile does not sleep, but others may have work to do.
            thread::yield_now();
            return;
        };
        // What happened since the last look has signalled one of them.
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let handles = [bells.shared.0.as_handle(), bells.own.as_handle()];
        if wait_for_any(&handles, left).is_err() {
            // The system has no memory for the call just now.
            thread::yield_now();
        }
    }

    fn wake_peer(&self) {
        if let Some(bells) = &self.bells {
            bells.shared.0.raise();
        }
    }

    fn wake_own(&self, _rung: &AtomicU32) {
        if let Some(bells) = &self.bells {
            bells.own.raise();
        }
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
        let (_, table) =
            protocol.split_once("### Layout: WindowsRegionHeader (128 bytes)").unwrap();
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
            profile,
            request_offset,
            request_capacity,
            response_offset,
            response_capacity,
            spin_tries,
            request_len,
            response_len,
            request_client_closed,
            request_server_waiting,
            response_server_closed,
            response_client_waiting,
            padding,
            request_sequence,
            response_sequence,
            reserved
        ];
        assert_eq!(rows, fields);
    }
}
