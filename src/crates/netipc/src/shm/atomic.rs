//! The atomics of lanes, rings, holds and permits, and the lock of the latter, from one place: their
//! model checks (`tests/loom.rs`) put others here.

pub(crate) use std::sync::{
    Arc, Condvar, Mutex,
    atomic::{AtomicU32, AtomicU64, Ordering, fence},
};
