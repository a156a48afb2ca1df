//! The C interface of netipc. The headers in `include/netipc` are its manual.
//!
//! This crate only translates: it checks pointers, turns C structs into the types of
//! [`netipc_proto`] and `netipc` and back, and keeps panics from crossing into C. Where C programs
//! read or set the members of a struct, the members are the state, and nothing is kept beside them.
//! On other systems than Linux it is empty.
#![allow(non_camel_case_types, reason = "the names are those of the C headers")]

#[cfg(target_os = "linux")]
#[macro_use]
mod border;
#[cfg(target_os = "linux")]
mod errors;
#[cfg(target_os = "linux")]
mod protocol;
#[cfg(target_os = "linux")]
mod service;
#[cfg(target_os = "linux")]
mod shm;
#[cfg(target_os = "linux")]
mod uds;
