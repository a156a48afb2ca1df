//! Messages over a socket: cut into packets, and joined from them (PROTOCOL.md, section 6).

use std::{mem, ops::Range, time::Instant};

use netipc_proto::{
    Fault, Header,
    parts::{Cut, Join},
    session::check_batch,
};

use super::{Outgoing, Session, head_of, message_limit};
use crate::{
    error::{Error, ErrorKind, Result},
    sys::Packet,
    wait::Wait,
};

impl Session {
    /// Sends the packets of `cut`, as far as there is room. Whether that was all of them.
    pub(super) fn send_packets(&mut self, mut cut: Cut, payload: &[u8]) -> Result<bool> {
        loop {
            let unsent = cut.clone();
            let Some(part) = cut.next() else { return Ok(true) };
            let rest = part.payload.end..payload.len();
            match self.socket.send(&part.head, &payload[part.payload]) {
                Ok(true) if rest.is_empty() => return Ok(true),
                Ok(true) => {}
                Ok(false) => {
                    self.outgoing = Some(Outgoing::Packets(unsent));
                    return Ok(false);
                }
                Err(cause) => {
                    self.rules.unsend(cut.header());
                    return Err(Error::system("send to the peer", cause));
                }
            }
        }
    }

    /// Receives from the socket until a message is whole. Blocks for it if there is a `wait`, which
    /// begins now.
    pub(super) fn receive_packets(
        &mut self,
        mut wait: Option<(Wait<'_>, Instant)>,
    ) -> Result<Option<Header>> {
        self.payload_len = 0;
        if self.incoming.is_none() {
            let Some(header) = self.receive_first(wait)? else { return Ok(None) };
            if self.incoming.is_none() {
                return self.complete(header).map(Some);
            }
            wait = wait.map(|(wait, _)| (wait, Instant::now()));
        }
        self.receive_parts(wait)
    }

    /// Receives the first packet of a message. If there is more of it, it is `incoming` then.
    fn receive_first(&mut self, wait: Option<(Wait<'_>, Instant)>) -> Result<Option<Header>> {
        let packet_size = self.agreement.agreed_packet_size;
        let room = message_limit(&self.rules).min(packet_size as usize);
        if self.inbox.len() < room {
            // Fresh zeroes cost no memory until they are used, and most messages are small.
            self.inbox = vec![0; room];
        }
        let Some(packet) = self.receive_packet(0..room, wait)? else { return Ok(None) };
        let head = &self.inbox[..packet.len.min(Header::LEN)];
        let header = Header::read(head).map_err(Fault::Malformed)?;
        self.rules.receive(&header).inspect_err(|_| self.refused = Some(header))?;
        if packet.truncated {
            return Err(Fault::Trailing.into());
        }
        let payload_len = packet.len - Header::LEN;
        if payload_len != header.payload_len as usize {
            self.incoming = Some(Join::start(&header, payload_len, packet_size)?);
        }
        Ok(Some(header))
    }

    /// Receives what is missing of the message that is `incoming`. Most are one packet.
    #[cold]
    fn receive_parts(&mut self, mut wait: Option<(Wait<'_>, Instant)>) -> Result<Option<Header>> {
        let mut join = self.incoming.expect("only called when there is one");
        loop {
            let Range { start, end } = join.next();
            let range = start..Header::LEN + end;
            if self.inbox.len() < range.end {
                self.inbox.resize(range.end, 0);
            }
            // The head of a part comes to lie on the end of the part before, which is put back.
            let overlaid = *head_of(&mut self.inbox[range.clone()]);
            let received = self.receive_packet(range.clone(), wait);
            let place = head_of(&mut self.inbox[range]);
            let head = mem::replace(place, overlaid);
            let Some(packet) = received? else { return Ok(None) };
            if packet.truncated {
                return Err(Fault::WrongPart.into());
            }
            let payload_len = packet.len.saturating_sub(Header::LEN);
            join.push(&head[..packet.len.min(Header::LEN)], payload_len)?;
            self.incoming = (!join.is_complete()).then_some(join);
            if self.incoming.is_none() {
                return self.complete(*join.header()).map(Some);
            }
            if let Some((_, now)) = &mut wait {
                *now = Instant::now();
            }
        }
    }

    /// Receives one packet into a range of the inbox. Blocks for it if there is a `wait`, which
    /// begins now.
    #[inline]
    fn receive_packet(
        &mut self,
        range: Range<usize>,
        wait: Option<(Wait<'_>, Instant)>,
    ) -> Result<Option<Packet>> {
        let room = &mut self.inbox[range];
        let packet = match wait {
            Some((wait, now)) => self.socket.receive_within(room, wait, now)?,
            None => match self.socket.receive(room, &mut []) {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(None),
                Err(cause) => {
                    let error = Error::system("receive from the peer", cause);
                    return Err(error.with_kind(ErrorKind::Disconnected));
                }
            },
        };
        if packet.len == 0 {
            return Err(Error::new(ErrorKind::Disconnected, "receive from the peer"));
        }
        Ok(Some(packet))
    }

    /// The payload of a message is there.
    #[inline]
    fn complete(&mut self, header: Header) -> Result<Header> {
        self.payload_len = header.payload_len as usize;
        check_batch(&header, self.payload())?;
        Ok(header)
    }
}
