//! `netipc_service.h`: clients, servers and the cache.

mod cache;
mod caller;
mod client;
mod ctx;
mod gate;
mod open;
mod responder;
mod server;

pub(crate) use caller::region_of_client;
