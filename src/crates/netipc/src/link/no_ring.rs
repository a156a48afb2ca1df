//! Systems without rings: none is ever made, so nothing is ever done with one.

use std::{convert::Infallible, io, sync::Arc};

use netipc_proto::Agreement;

use super::Awaited;
use crate::{
    error::{Error, ErrorKind, Result},
    spin::Spin,
    sys::{Interest, Packet, Poller, Socket},
    wait::Wait,
};

/// What came along with a HELLO_ACK: nothing.
pub(crate) type Handed = Vec<Infallible>;

/// What a server hands over to its client with the HELLO_ACK.
pub(crate) type Handover = Infallible;

/// One end of a session over rings.
#[derive(Debug)]
pub(crate) struct RingEnd(Infallible);

pub(crate) fn grant(_: &Socket, _: &[u8], handover: &Handover) -> io::Result<bool> {
    match *handover {}
}

pub(crate) fn receive_grant(
    socket: &Socket,
    buffer: &mut [u8],
    _: &mut Handed,
) -> io::Result<Option<Packet>> {
    socket.receive(buffer, &mut [])
}

fn unsupported() -> Error {
    Error::new(ErrorKind::Unsupported, "rings on this system")
}

impl RingEnd {
    pub(crate) fn create(_: &Socket, _: &Agreement, _: Awaited) -> Result<(Self, Handover)> {
        Err(unsupported())
    }

    pub(crate) fn join(_: &Socket, _: Handed) -> Result<Self> {
        Err(unsupported())
    }

    pub(crate) fn set_spin(&mut self, _: Spin) {
        match self.0 {}
    }

    pub(crate) fn rearm(&mut self, _: &Socket, _: &Poller, _: u64, _: Interest) -> io::Result<()> {
        match self.0 {}
    }

    pub(crate) fn ring_own_bell(&self) {
        match self.0 {}
    }

    pub(crate) fn leave(&self, _: &Poller) {
        match self.0 {}
    }

    pub(crate) fn send(&mut self, _: &Socket, _: &[u8], _: &[u8], _: usize) -> Result<usize> {
        match self.0 {}
    }

    pub(crate) fn open(&mut self, _: &Socket) -> Result<Option<usize>> {
        match self.0 {}
    }

    pub(crate) fn check_length(&self, _: usize, _: usize) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn copy(&self, _: usize, _: &mut [u8]) {
        match self.0 {}
    }

    pub(crate) fn close(&mut self, _: &Socket, _: usize) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn await_record(&mut self, _: &Socket) -> Result<bool> {
        match self.0 {}
    }

    pub(crate) fn await_room(&mut self, _: &Socket, _: usize) -> Result<bool> {
        match self.0 {}
    }

    pub(crate) fn wait(&mut self, _: &Socket, _: Wait<'_>) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn wait_in(&mut self, _: &Arc<Socket>, _: Wait<'_>) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn rise(&mut self, _: &Socket) -> Result<()> {
        match self.0 {}
    }

    pub(crate) fn hear_of_end(&mut self) {
        match self.0 {}
    }

    pub(crate) fn has_hung_up(&mut self, _: &Socket) -> bool {
        match self.0 {}
    }
}
