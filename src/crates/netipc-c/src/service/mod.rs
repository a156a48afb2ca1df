//! `netipc_service.h`: clients, servers and the cache.

mod cache;
mod caller;
mod client;
mod ctx;
mod gate;
mod open;
mod responder;
mod server;
#[cfg(target_os = "linux")]
mod unix;
#[cfg(windows)]
mod windows;
#[cfg(target_os = "linux")]
use unix as imp;
#[cfg(windows)]
use windows as imp;

pub(crate) use caller::region_of_client;
#[cfg(windows)]
pub(crate) use imp::{hang_up, socket_of_client};
