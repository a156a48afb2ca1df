//! What every system must do alike, with real sockets or pipes.

mod abort;
mod alarm;
mod poller;
mod socket;

use std::time::Duration;

use super::imp::{Packet, Socket, tests::pair};
use crate::Wait;

/// Longer than anything takes that does not hang.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// A time that is over before something happens that does not happen.
pub(super) const SHORT: Duration = Duration::from_millis(20);

pub(super) fn short() -> Wait<'static> {
    Wait::at_most(SHORT)
}

pub(super) fn receive(socket: &Socket, room: usize) -> (Packet, Vec<u8>) {
    let (mut head, mut body) = ([0; 32], vec![0; room]);
    let packet = socket.receive(&mut head, &mut body).unwrap().expect("a packet is there");
    let mut bytes = [&head[..], &body].concat();
    bytes.truncate(packet.len);
    (packet, bytes)
}
