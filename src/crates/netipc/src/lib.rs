//! Local inter-process communication: typed services over sockets and shared memory.
//!
//! Programs on one host ask each other typed questions. A client names a *service* (a directory and
//! a name), never a process. The service may not exist yet, may die, may come back: the caller goes
//! on working. Four layers, each usable alone:
//!
//! - **Codec** ([`proto`]): bytes to typed views and back, without I/O.
//! - **Transport** ([`transport`]): sessions that carry whole messages.
//! - **Typed calls**: [`Client`] and [`Server`], written once for every kind of service ([`kinds`]).
//! - **Snapshot cache** ([`Cache`]): the latest snapshot kept locally, looked up without I/O.
//!
//! The wire is described in PROTOCOL.md at the root of the repository.
#![deny(unsafe_op_in_unsafe_fn)]
// Without a carrier much of it has nothing to do.
#![cfg_attr(not(any(target_os = "linux", windows)), allow(dead_code))]

mod batch;
mod cache;
mod client;
mod endpoint;
mod error;
mod greeting;
mod link;
mod options;
pub mod protocol;
#[doc(hidden)]
pub mod raw;
mod server;
pub mod service;
mod shm;
mod spin;
mod sys;
mod table;
#[cfg(test)]
mod testing;
mod wait;

pub mod transport;

pub use netipc_proto as proto;
pub use netipc_proto::{Ceilings, Declined, Found, Handler, Labels, Text, kinds};

pub use crate::{
    batch::Answers,
    cache::{Cache, CacheReader, CacheStatus, Snapshot},
    client::{Client, ClientOptions, ClientState, ClientStatus, DEFAULT_TIMEOUT},
    error::{Error, ErrorKind, Result},
    options::SessionOptions,
    server::{AllowRule, Respond, Server, ServerOptions},
    shm::{RegionError, RegionFault},
    spin::Spin,
    sys::{Abort, PeerCredentials},
    table::CgroupsTable,
    wait::Wait,
};
