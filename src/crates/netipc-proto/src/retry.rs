//! What follows a failed call (PROTOCOL.md, section 13).

use crate::handshake::defaults;

/// Why a call failed, as far as it matters for what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The session broke, or the peer's bytes did: another session may do better.
    Broken,
    /// A message was larger than the session allows: a session with larger limits may do better.
    Overflow,
    /// Nothing will do better: time is over, the call was called off, or the server refused.
    Final,
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Report it.
    GiveUp,
    /// Connect again and send the same request once more.
    Again,
    /// The same, with larger limits; pointless if none has grown.
    Grow,
}

/// What was tried for one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retry {
    resent: bool,
    grown: u8,
}

/// How often a call is sent again with larger limits.
const GROWTHS: u8 = 7;

impl Retry {
    /// What to do after `failure`.
    pub fn after(&mut self, failure: Failure) -> Next {
        match failure {
            Failure::Broken if !self.resent => {
                self.resent = true;
                Next::Again
            }
            Failure::Overflow if self.grown < GROWTHS => {
                self.grown += 1;
                Next::Grow
            }
            _ => Next::GiveUp,
        }
    }
}

/// A limit that learns from what was needed, and never falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    bytes: u32,
    ceiling: u32,
}

impl Capacity {
    /// What a configured number means: 0 is `default` and may grow, any other is meant as it is.
    pub fn configured(bytes: u32, default: u32) -> Self {
        match bytes {
            0 => Capacity::growing(default, defaults::GROWTH_BYTES),
            bytes => Capacity { bytes, ceiling: bytes },
        }
    }

    /// Starts at `bytes` and grows to `ceiling`.
    pub fn growing(bytes: u32, ceiling: u32) -> Self {
        Capacity { bytes, ceiling: ceiling.max(bytes) }
    }

    /// The limit now, in bytes.
    pub fn bytes(&self) -> u32 {
        self.bytes
    }

    /// How far it grows, in bytes.
    pub fn ceiling(&self) -> u32 {
        self.ceiling
    }

    /// Grows so that `needed` bytes fit, as far as it may. Whether it has grown.
    pub fn need(&mut self, needed: u64) -> bool {
        let wanted = next_power_of_two(needed).min(self.ceiling);
        let grows = wanted > self.bytes;
        if grows {
            self.bytes = wanted;
        }
        grows
    }
}

/// The smallest power of two that is not below `n`, at least 16 and at most 2³¹.
pub fn next_power_of_two(n: u64) -> u32 {
    n.clamp(16, 1 << 31).next_power_of_two() as u32
}
