//! Messages over rings: cut into records, and joined from them (PROTOCOL.md, section 27.4).

use std::sync::Arc;

use netipc_proto::{Fault, Header, session::check_batch};

use super::{Link, Outgoing, RingEnd, Session, head_of};
use crate::{error::Result, sys::Socket, wait::Wait};

/// A message of which some records have come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partial {
    header: Header,
    /// So many of its bytes are there, the envelope included.
    done: usize,
}

fn len(header: &Header) -> usize {
    Header::LEN + header.payload_len as usize
}

impl Session {
    /// Sends what follows the first `done` bytes of a message, as far as there is room. Whether
    /// that was all.
    pub(super) fn send_records(
        &mut self,
        header: Header,
        payload: &[u8],
        mut done: usize,
    ) -> Result<bool> {
        let (ring, socket) = ring_of(&mut self.link, &self.socket);
        let sent = push(ring, socket, &header.to_bytes(), payload, &mut done);
        match sent {
            Ok(true) => {}
            Ok(false) => self.outgoing = Some(Outgoing::Records { header, done }),
            Err(_) => self.rules.unsend(&header),
        }
        sent
    }

    /// Takes the records that are there, until a message is whole.
    pub(super) fn take_records(&mut self) -> Result<Option<Header>> {
        let (ring, socket) = ring_of(&mut self.link, &self.socket);
        while let Some(length) = ring.open(socket)? {
            let message = match self.partial.take() {
                Some(Partial { header, done }) => {
                    ring.check_length(length, len(&header) - done)?;
                    ring.copy(0, &mut self.inbox[done..][..length]);
                    Partial { header, done: done + length }
                }
                None => {
                    self.payload_len = 0;
                    // RR3
                    if length < Header::LEN {
                        return Err(Fault::Length.into());
                    }
                    if self.inbox.len() < length {
                        self.inbox.resize(length, 0);
                    }
                    ring.copy(0, &mut self.inbox[..length]);
                    // RR4
                    let header =
                        Header::read(head_of(&mut self.inbox)).map_err(Fault::Malformed)?;
                    self.rules.receive(&header).inspect_err(|_| self.refused = Some(header))?;
                    ring.check_length(length, len(&header))?;
                    if self.inbox.len() < len(&header) {
                        self.inbox.resize(len(&header), 0);
                    }
                    Partial { header, done: length }
                }
            };
            ring.close(socket, length)?;
            if message.done == len(&message.header) {
                self.payload_len = message.header.payload_len as usize;
                // RR6
                check_batch(&message.header, self.payload())?;
                return Ok(Some(message.header));
            }
            self.partial = Some(message);
        }
        Ok(None)
    }

    /// As [`try_receive`](Session::try_receive): where there is none the descriptor will tell.
    pub(super) fn try_receive_records(&mut self) -> Result<Option<Header>> {
        let (ring, socket) = ring_of(&mut self.link, &self.socket);
        ring.rise(socket)?;
        loop {
            if let Some(header) = self.take_records()? {
                return Ok(Some(header));
            }
            let (ring, socket) = ring_of(&mut self.link, &self.socket);
            if ring.await_record(socket)? {
                return Ok(None);
            }
        }
    }

    /// As [`receive`](Session::receive).
    pub(super) fn receive_records(&mut self, wait: Wait<'_>) -> Result<Header> {
        wait.check_abort()?;
        if let Some(header) = self.look(|| true)? {
            return Ok(header);
        }
        loop {
            if self.lie_down()? {
                let (ring, socket) = ring_of(&mut self.link, &self.socket);
                ring.wait_in(socket, wait)?;
            }
            if let Some(header) = self.take_records()? {
                self.spinner.wake();
                return Ok(header);
            }
        }
    }
}

/// Sends what follows the first `done` bytes of a message, as far as there is room, and adds to them.
/// Whether that was all; if not, this end sleeps until there is more room.
///
/// # Errors
///
/// [`ErrorKind::Protocol`]; [`ErrorKind::Disconnected`]; what the system says.
pub(crate) fn push(
    ring: &mut RingEnd,
    socket: &Socket,
    head: &[u8; Header::LEN],
    payload: &[u8],
    done: &mut usize,
) -> Result<bool> {
    let length = head.len() + payload.len();
    loop {
        *done += ring.send(socket, head, payload, *done)?;
        if *done == length {
            return Ok(true);
        }
        if ring.await_room(socket, length - *done)? {
            return Ok(false);
        }
    }
}

fn ring_of<'a>(link: &'a mut Link, socket: &'a Arc<Socket>) -> (&'a mut RingEnd, &'a Arc<Socket>) {
    match link {
        Link::Ring(ring) => (ring, socket),
        _ => unreachable!("only called with rings"),
    }
}
