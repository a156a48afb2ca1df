//! Where the messages of a session lie in its region.

/// Which way the messages of a lane go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From client to server.
    Request,
    /// From server to client.
    Response,
}

/// Where the messages of one direction lie in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    /// From the start of the region, in bytes.
    pub(crate) offset: u32,
    /// In bytes.
    pub(crate) capacity: u32,
}

/// Where the two areas of a region lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegionLayout {
    pub(crate) request: Area,
    pub(crate) response: Area,
}

/// Areas start and end at multiples of it.
const ALIGNMENT: u32 = 64;
/// The largest area; a larger one would wrap when it is rounded up.
const LARGEST_AREA: u32 = u32::MAX - (ALIGNMENT - 1);

impl Area {
    /// Where it ends, from the start of the region.
    pub(super) fn end(self) -> u64 {
        u64::from(self.offset) + u64::from(self.capacity)
    }
}

impl RegionLayout {
    /// The smallest layout for messages up to these lengths, behind a header. `None` if there is
    /// none.
    pub(super) fn for_capacities(header_len: u32, request: u32, response: u32) -> Option<Self> {
        let capacity = |wanted: u32| {
            (1..=LARGEST_AREA).contains(&wanted).then(|| wanted.next_multiple_of(ALIGNMENT))
        };
        let request = Area { offset: header_len, capacity: capacity(request)? };
        let offset = request.offset.checked_add(request.capacity)?;
        let response = Area { offset, capacity: capacity(response)? };
        offset.checked_add(response.capacity)?;
        Some(RegionLayout { request, response })
    }

    /// How large a region of this layout is.
    pub(super) fn size(self) -> u64 {
        self.response.end()
    }

    /// The area of one direction.
    pub(super) fn area(self, direction: Direction) -> Area {
        match direction {
            Direction::Request => self.request,
            Direction::Response => self.response,
        }
    }

    /// Whether all fields are multiples of the alignment.
    pub(super) fn is_aligned(self) -> bool {
        let RegionLayout { request, response } = self;
        [request.offset, request.capacity, response.offset, response.capacity]
            .iter()
            .all(|field| field.is_multiple_of(ALIGNMENT))
    }
}
