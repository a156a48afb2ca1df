//! The C interface of netipc. The headers in `include/netipc` are its manual.
//!
//! This crate only translates: it checks pointers, turns C structs into the types of
//! [`netipc_proto`] and `netipc` and back, and keeps panics from crossing into C. Where C programs
//! read or set the members of a struct, the members are the state, and nothing is kept beside them.
#![allow(non_camel_case_types, reason = "the names are those of the C headers")]

#[macro_use]
mod border;
mod errors;
mod protocol;
mod service;
mod shm;
mod uds;
