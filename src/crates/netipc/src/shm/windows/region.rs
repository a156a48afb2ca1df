//! The objects of one session: how a server makes them, and how a client checks them.

use std::{
    os::windows::io::{AsHandle, BorrowedHandle},
    path::Path,
    ptr::NonNull,
};

use netipc_proto::handshake::profile;

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
    mapping::{Bells, Event, HEADER_LEN, Mapped, Mapping, Refused},
};
use crate::{
    endpoint::region_prefix,
    sys::{Access, Signal},
};

/// What memory must start with to be a region.
const MAGIC: u32 = 0x4E53_5748;
const VERSION: u32 = 3;
/// How often a reader looks before it gives up its time slice, unless the server says less.
const USUAL_SPINS: u32 = 1024;

/// The shared memory of one session. The system removes it with the last handle of either side.
#[derive(Debug)]
pub(crate) struct Region {
    mapping: Arc<Mapping>,
    layout: RegionLayout,
    /// Of requests and of responses, where the profile has them.
    bells: Option<[Bells; 2]>,
    spins: u32,
    own: bool,
}

impl Region {
    /// Makes the region of one session; capacities are the longest messages, envelope included.
    /// Its objects are for processes of this user only.
    ///
    /// # Errors
    ///
    /// [`RegionFault::BadParam`], [`PathTooLong`](RegionFault::PathTooLong),
    /// [`Allocate`](RegionFault::Allocate), [`Map`](RegionFault::Map),
    /// [`InUse`](RegionFault::InUse). Nothing is left behind.
    pub(crate) fn create(
        place: &Place<'_>,
        request_capacity: u32,
        response_capacity: u32,
    ) -> Result<Self, RegionError> {
        let names = Names::of(place)?;
        let layout = RegionLayout::for_capacities(HEADER_LEN, request_capacity, response_capacity)
            .filter(|_| matches!(place.profile, profile::SHM_HYBRID | profile::SHM_FUTEX))
            .ok_or_else(|| names.error(RegionFault::BadParam))?;
        let failed = |refused| names.refused(refused, RegionFault::Allocate);
        let access = Access::new(false).map_err(Refused::Object).map_err(failed)?;
        let mapping = Mapping::create(&names.mapping, layout.size(), &access).map_err(failed)?;
        write_header(&mapping, layout, place.profile);
        let bells =
            bells(place.profile, &names, |name| Event::create(name, &access)).map_err(failed)?;
        Ok(Region { mapping: Arc::new(mapping), layout, bells, spins: USUAL_SPINS, own: true })
    }

    /// Opens the region that the server has made for this session, and checks it.
    ///
    /// # Errors
    ///
    /// [`RegionFault::BadParam`], [`PathTooLong`](RegionFault::PathTooLong),
    /// [`Open`](RegionFault::Open), [`Map`](RegionFault::Map), and what is wrong with it.
    pub(crate) fn attach(place: &Place<'_>) -> Result<Self, RegionError> {
        let names = Names::of(place)?;
        let failed = |refused| names.refused(refused, RegionFault::Open);
        let mapping = Mapping::open(&names.mapping).map_err(failed)?;
        let (layout, spins) =
            read_header(&mapping, place.profile).map_err(|fault| names.error(fault))?;
        let bells = bells(place.profile, &names, Event::open).map_err(failed)?;
        Ok(Region { mapping: Arc::new(mapping), layout, bells, spins, own: false })
    }

    /// Whether this is the server's end, which made it.
    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    /// The messages that go one way.
    pub(crate) fn lane(&self, direction: Direction) -> Mapped {
        let bells = self.bells.as_ref().map(|bells| bells[direction as usize].clone());
        Mapped::new(Arc::clone(&self.mapping), self.layout.area(direction), direction, bells)
    }

    /// How often a reader looks before it sleeps.
    pub(crate) fn spins(&self) -> u32 {
        match self.bells {
            // Who waits has looked as long as it paid.
            Some(_) => 0,
            None => self.spins,
        }
    }

    /// Where the areas lie.
    pub(crate) fn layout(&self) -> RegionLayout {
        self.layout
    }

    /// Where it is mapped, for as long as this region lives. The peer may write there at any time.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.mapping.start()
    }

    /// Whether its readers sleep.
    pub(crate) fn profile(&self) -> u32 {
        match self.bells {
            Some(_) => profile::SHM_HYBRID,
            None => profile::SHM_FUTEX,
        }
    }

    /// The memory, as an object of the system.
    pub(crate) fn object(&self) -> BorrowedHandle<'_> {
        self.mapping.object()
    }

    /// The events on which the readers of requests and of responses sleep. None if they do not.
    pub(crate) fn events(&self) -> Option<[BorrowedHandle<'_>; 2]> {
        self.bells.as_ref().map(|bells| bells.each_ref().map(|bells| bells.shared.as_handle()))
    }

    /// How many bytes it takes. What is mapped is whole pages.
    pub(crate) fn size(&self) -> usize {
        self.layout.size() as usize
    }
}

/// What the objects of a region are called.
struct Names {
    mapping: String,
    /// Of requests and of responses.
    events: [String; 2],
}

impl Names {
    fn of(place: &Place<'_>) -> Result<Self, RegionError> {
        let prefix = region_prefix(place).map_err(|error| RegionError::unnamed(&error))?;
        Ok(Names {
            mapping: format!("{prefix}mapping"),
            events: ["req", "resp"].map(|lane| format!("{prefix}{lane}_event")),
        })
    }

    fn error(&self, fault: RegionFault) -> RegionError {
        RegionError::new(fault, Path::new(&self.mapping))
    }

    fn refused(&self, refused: Refused, object: RegionFault) -> RegionError {
        let name = Path::new(&self.mapping);
        match refused {
            Refused::InUse => RegionError::new(RegionFault::InUse, name),
            Refused::Object(cause) => RegionError::system(object, name, cause),
            Refused::Map(cause) => RegionError::system(RegionFault::Map, name, cause),
        }
    }
}

/// What wakes the readers of both directions, if the profile ever lets them sleep.
fn bells(
    profile: u32,
    names: &Names,
    event: impl Fn(&str) -> Result<Event, Refused>,
) -> Result<Option<[Bells; 2]>, Refused> {
    if profile != profile::SHM_HYBRID {
        return Ok(None);
    }
    // Each end has one reader, so one signal of its own is enough.
    let own = Arc::new(Signal::for_one_wait().map_err(Refused::Object)?);
    let [request, response] = &names.events;
    let bells =
        |name| event(name).map(|shared| Bells { shared: Arc::new(shared), own: Arc::clone(&own) });
    Ok(Some([bells(request)?, bells(response)?]))
}

/// Fills the header of a region whose bytes are all zero.
fn write_header(mapping: &Mapping, layout: RegionLayout, profile: u32) {
    let header = mapping.header();
    // Relaxed: published by the magic.
    header.version.store(VERSION, Relaxed);
    header.header_len.store(HEADER_LEN, Relaxed);
    header.profile.store(profile, Relaxed);
    header.request_offset.store(layout.request.offset, Relaxed);
    header.request_capacity.store(layout.request.capacity, Relaxed);
    header.response_offset.store(layout.response.offset, Relaxed);
    header.response_capacity.store(layout.response.capacity, Relaxed);
    header.spin_tries.store(USUAL_SPINS, Relaxed);
    // Pairs with the Acquire in `read_header`: who sees the magic sees all the rest.
    header.magic.store(MAGIC, Release);
}

/// Checks the header of a region that should be of `profile`. Each field is read once, and only
/// what was read counts from then on.
fn read_header(mapping: &Mapping, profile: u32) -> Result<(RegionLayout, u32), RegionFault> {
    let header = mapping.header();
    // Pairs with the Release in `write_header`.
    if header.magic.load(Acquire) != MAGIC {
        return Err(RegionFault::BadMagic);
    }
    if header.version.load(Relaxed) != VERSION {
        return Err(RegionFault::BadVersion);
    }
    if header.header_len.load(Relaxed) != HEADER_LEN {
        return Err(RegionFault::BadHeader);
    }
    if header.profile.load(Relaxed) != profile {
        return Err(RegionFault::BadProfile);
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
    check(layout, mapping.len() as u64)?;
    Ok((layout, header.spin_tries.load(Relaxed).min(USUAL_SPINS)))
}

/// Refuses a layout that memory of `size` bytes cannot have.
fn check(layout: RegionLayout, size: u64) -> Result<(), RegionFault> {
    let RegionLayout { request, response } = layout;
    let holds = request.offset >= HEADER_LEN
        && response.offset >= HEADER_LEN
        && request.capacity != 0
        && response.capacity != 0
        && layout.is_aligned()
        && request.end() <= u32::MAX.into()
        && response.end() <= u32::MAX.into()
        && u64::from(response.offset) >= request.end();
    match holds {
        false => Err(RegionFault::BadHeader),
        true if response.end() > size => Err(RegionFault::BadSize),
        true => Ok(()),
    }
}
