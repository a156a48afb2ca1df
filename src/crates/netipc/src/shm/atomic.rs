//! The atomics of lanes, rings and holds, from one place: their model checks (`tests/loom.rs`) put
//! others here.

pub(crate) use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, Ordering, fence},
};
