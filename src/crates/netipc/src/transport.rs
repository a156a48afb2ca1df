//! Sessions, for those who run them in a loop of their own.

pub use crate::link::Session;
