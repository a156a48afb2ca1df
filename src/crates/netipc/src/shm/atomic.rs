//! The atomics of a lane, from one place: its model check (`tests/loom.rs`) puts others here.

pub(super) use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering, fence},
};
