//! Sockets, aborts and pollers, with real descriptors.

mod abort;
mod poller;
mod socket;

use std::{fs::File, os::fd::AsRawFd};

use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, socketpair},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use super::Socket;
use crate::sys::tests::{LONG, SHORT, receive, short};

/// Both ends of a connection.
pub(in crate::sys) fn pair() -> (Socket, Socket) {
    let flags = SocketFlags::CLOEXEC;
    let (a, b) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    (Socket::from(a), Socket::from(b))
}

/// Does `work` while the process can open no more descriptors. For a process of its own only.
fn without_descriptors<T>(work: impl FnOnce() -> T) -> T {
    let next = File::open("/").unwrap().as_raw_fd() as u64;
    let before = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(next), ..before }).unwrap();
    let done = work();
    setrlimit(Resource::Nofile, before).unwrap();
    done
}
