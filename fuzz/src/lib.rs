//! What the fuzz targets share: the doors, which are also those of the random tests.

#[path = "../../src/crates/netipc-proto/tests/doors/mod.rs"]
pub mod doors;
