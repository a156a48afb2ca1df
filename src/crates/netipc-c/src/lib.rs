//! The C interface of netipc. The headers in `include/netipc` are its manual.
//!
//! This crate only translates: it checks pointers, turns C structs into the types of
//! [`netipc_proto`] and `netipc` and back, and keeps panics from crossing into C. Where C programs
//! read or set the members of a struct, the members are the state, and nothing is kept beside them.
//! On other systems than Linux and Windows it is empty.
#![allow(non_camel_case_types, reason = "the names are those of the C headers")]

#[cfg(any(target_os = "linux", windows))]
#[macro_use]
mod border;
#[cfg(any(target_os = "linux", windows))]
mod errors;
#[cfg(any(target_os = "linux", windows))]
mod os;
#[cfg(any(target_os = "linux", windows))]
mod protocol;
#[cfg(any(target_os = "linux", windows))]
mod region;
#[cfg(any(target_os = "linux", windows))]
mod service;
#[cfg(any(target_os = "linux", windows))]
mod transport;
