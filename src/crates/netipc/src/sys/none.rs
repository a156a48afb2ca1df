//! Systems without a carrier: everything compiles, and what would need one says so.
//!
//! Nothing here can be made, so nothing but the making has to be written.

use std::{convert::Infallible, io, path::Path, time::Instant};

use super::{Interest, Readiness};
use crate::{
    error::{Error, ErrorKind, Result},
    wait::Wait,
};

/// What an [`Abort`](crate::Abort) can watch.
pub(super) type Waitable = Infallible;

pub(super) fn is_signalled(watched: &Waitable) -> bool {
    match *watched {}
}

pub(crate) fn is_exhaustion(_cause: &io::Error) -> bool {
    false
}

/// Why there is nothing to connect to and nothing to listen at.
pub(crate) fn missing() -> Error {
    const WHAT: &str = "netipc has no carrier for this system: it uses packet sockets and epoll on \
                        Linux, and named pipes on Windows";
    Error::new(ErrorKind::System, WHAT)
}

fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, missing().to_string())
}

/// Who a peer is. There are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// Its process.
    pub pid: u32,
}

#[derive(Debug)]
pub(super) struct Signal(Infallible);

impl Signal {
    pub(super) fn new() -> io::Result<Self> {
        Err(unsupported())
    }

    pub(super) fn raise(&self) {
        match self.0 {}
    }

    pub(super) fn lower(&self) {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct Alarm(Infallible);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        Err(unsupported())
    }

    pub(crate) fn set(&self, _at: Option<Instant>) {
        match self.0 {}
    }

    pub(crate) fn wait(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn turn_off(&self) {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct Poller(Infallible);

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Err(unsupported())
    }

    pub(crate) fn for_one_thread() -> io::Result<Self> {
        Err(unsupported())
    }

    pub(crate) fn stays_armed(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn add<S>(&self, _: &S, _: u64, _: Interest) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn rearm<S>(&self, _: &S, _: u64, _: Interest) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn remove<S>(&self, _: &S) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn wait(&self, _: Option<Instant>) -> io::Result<Readiness> {
        match self.0 {}
    }

    pub(crate) fn is_ready(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn wake(&self) {
        match self.0 {}
    }
}

/// What `Socket::receive` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// How many bytes were stored; 0 if the peer hung up.
    pub(crate) len: usize,
    /// The packet was longer than there was room, and the rest of it is lost.
    pub(crate) truncated: bool,
}

#[derive(Debug)]
pub(crate) struct Socket(Infallible);

impl Socket {
    pub(crate) const BLOCKS: bool = false;

    pub(crate) fn connect(_path: &Path, _wait: Wait<'_>) -> Result<Self> {
        Err(missing())
    }

    pub(crate) fn send(&self, _head: &[u8], _body: &[u8]) -> io::Result<bool> {
        match self.0 {}
    }

    pub(crate) fn receive(&self, _: &mut [u8], _: &mut [u8]) -> io::Result<Option<Packet>> {
        match self.0 {}
    }

    pub(crate) fn receive_within(&self, _: &mut [u8], _: Wait<'_>, _: Instant) -> Result<Packet> {
        match self.0 {}
    }

    pub(crate) fn receive_beside(
        &self,
        _: &mut [u8],
        _: &mut [u8],
        _: Wait<'_>,
        _: Instant,
    ) -> Result<Packet> {
        match self.0 {}
    }

    pub(crate) fn wait_readable(&self, _wait: Wait<'_>) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn wait_writable(&self, _wait: Wait<'_>) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn peer_gone(&self) -> bool {
        match self.0 {}
    }

    pub(crate) fn shutdown(&self) {
        match self.0 {}
    }

    pub(crate) fn peer(&self) -> io::Result<PeerCredentials> {
        match self.0 {}
    }

    pub(crate) fn max_packet(&self) -> u32 {
        match self.0 {}
    }
}

#[derive(Debug)]
pub(crate) struct ListenSocket(Infallible);

impl ListenSocket {
    pub(crate) fn accept(&self) -> io::Result<Option<Socket>> {
        match self.0 {}
    }

    pub(crate) fn wait_readable(&self, _wait: Wait<'_>) -> Result<()> {
        match self.0 {}
    }
}
