//! The atomics of lanes and rings, from one place: their model checks (`tests/loom.rs`) put others
//! here.

pub(super) use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering, fence},
};
