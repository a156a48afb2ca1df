//! `netipc_protocol.h`: bytes to C structs and back.

mod apps_lookup;
mod batch;
mod cgroups_lookup;
mod envelope;
mod handshake;
mod image;
mod lookup;
mod samples;
mod snapshot;
