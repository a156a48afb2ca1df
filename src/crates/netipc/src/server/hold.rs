//! Who has a client: one worker at a time, whatever events come, and none of them is lost.
//!
//! Some of what a client does is told to whichever worker waits, even while another has the client.
//! A worker that is told so tells the other and goes on; who lets go of a client learns of it.

use super::atomic::{
    AtomicU32,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

/// Whether a worker has a client, and whether something happened since.
#[derive(Debug)]
pub(super) struct Hold(AtomicU32);

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and something happened since.
const TOLD: u32 = 2;

impl Hold {
    pub(super) fn new() -> Self {
        Hold(AtomicU32::new(FREE))
    }

    /// Something happened. Whether who says so has the client from now on; if not, who has it knows.
    pub(super) fn claim(&self) -> bool {
        let told = |state| Some(if state == FREE { HELD } else { TOLD });
        // Pairs with `release`: who takes over sees what the last holder did, and who is told sees
        // what happened.
        self.0.fetch_update(AcqRel, Relaxed, told) == Ok(FREE)
    }

    /// Lets go of the client, unless something happened since it was claimed, or since this was last
    /// said. Whether it did; if not, everything is to be looked at again.
    #[must_use]
    pub(super) fn release(&self) -> bool {
        if self.0.compare_exchange(HELD, FREE, Release, Relaxed).is_ok() {
            return true;
        }
        self.0.swap(HELD, Acquire);
        false
    }
}
