//! Messages over a socket: cut into packets, and joined from them (PROTOCOL.md, section 6).

use std::time::Instant;

use netipc_proto::{
    Fault, Header,
    parts::{Cut, Join, Part},
    session::check_batch,
};

use super::{Outgoing, Session, head_of, message_limit};
use crate::{
    error::{Error, ErrorKind, Result},
    wait::Wait,
};

impl Session {
    pub(super) fn send_packets(
        &mut self,
        header: Header,
        mut cut: Cut,
        mut next: Part,
        payload: &[u8],
    ) -> Result<bool> {
        loop {
            match self.socket.send(&next.head, &payload[next.payload.clone()]) {
                Ok(true) => match cut.next() {
                    Some(following) => next = following,
                    None => return Ok(true),
                },
                Ok(false) => {
                    self.outgoing = Some(Outgoing::Packets { header, cut, next });
                    return Ok(false);
                }
                Err(cause) => {
                    self.rules.unsend(&header);
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
        let packet_size = self.agreement.agreed_packet_size;
        loop {
            let range = match &self.incoming {
                Some(join) => join.next(),
                None => 0..message_limit(&self.rules).min(packet_size as usize) - Header::LEN,
            };
            let end = Header::LEN + range.end;
            if self.inbox.len() < end {
                match self.incoming {
                    // Fresh zeroes cost no memory until they are used, and most messages are small.
                    None => self.inbox = vec![0; end],
                    Some(_) => self.inbox.resize(end, 0),
                }
            }
            // The head of a part comes to lie on the end of the part before, which is put back.
            let packet_room = &mut self.inbox[range.start..end];
            let overlaid = *head_of(packet_room);
            let packet = match wait {
                Some((wait, now)) => self.socket.receive_within(packet_room, wait, now)?,
                None => match self.socket.receive(packet_room, &mut []) {
                    Ok(Some(packet)) => packet,
                    Ok(None) => return Ok(None),
                    Err(cause) => {
                        let error = Error::system("receive from the peer", cause);
                        return Err(error.with_kind(ErrorKind::Disconnected));
                    }
                },
            };
            let head = *head_of(packet_room);
            if self.incoming.is_some() {
                *head_of(packet_room) = overlaid;
            }
            if packet.len == 0 {
                return Err(Error::new(ErrorKind::Disconnected, "receive from the peer"));
            }
            let payload_len = packet.len.saturating_sub(Header::LEN);
            let head = &head[..packet.len.min(Header::LEN)];
            let join = match &mut self.incoming {
                Some(join) => {
                    if packet.truncated {
                        return Err(Fault::WrongPart.into());
                    }
                    join.push(head, payload_len)?;
                    join
                }
                none => {
                    let header = Header::read(head).map_err(Fault::Malformed)?;
                    self.rules.receive(&header).inspect_err(|_| self.refused = Some(header))?;
                    if packet.truncated {
                        return Err(Fault::Trailing.into());
                    }
                    none.insert(Join::start(&header, payload_len, packet_size)?)
                }
            };
            if join.is_complete() {
                let header = *join.header();
                self.incoming = None;
                self.payload_len = header.payload_len as usize;
                check_batch(&header, self.payload())?;
                return Ok(Some(header));
            }
            if let Some((_, now)) = &mut wait {
                *now = Instant::now();
            }
        }
    }
}
