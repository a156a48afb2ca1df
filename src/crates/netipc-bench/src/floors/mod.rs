//! What the machine itself costs: small, honest programs that know nothing of netipc.

pub(crate) mod copy;
pub(crate) mod line;
pub(crate) mod lookup;
pub(crate) mod pacing;
pub(crate) mod probe;
pub(crate) mod snapshot;
pub(crate) mod socket;

/// A small call on the wire: 32 bytes of header and 8 of payload.
pub(crate) const MESSAGE: usize = 40;
