//! The provider of cgroups: what cgroups this machine has, what they are called and who runs them.
//!
//! [`discovery`] walks the tree ([`hierarchy`], [`walk`]), says of every directory what it is
//! (`identity`, `enabled`) and publishes the whole as one immutable [`table::Table`].

pub mod discovery;
mod enabled;
mod engine;
mod hex;
pub mod hierarchy;
pub mod identity;
pub mod names;
pub mod table;
pub mod walk;
mod watch;
