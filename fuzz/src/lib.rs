//! What the fuzz targets share: the doors, which are also those of the random tests.

#[path = "../../src/crates/netipc-proto/tests/doors/mod.rs"]
pub mod doors;

#[cfg(target_os = "linux")]
#[path = "../../src/crates/netipc/tests/common/mod.rs"]
mod common;
#[cfg(target_os = "linux")]
#[path = "../../src/crates/netipc/tests/doors/mod.rs"]
pub mod rings;
