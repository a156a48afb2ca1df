//! Messages larger than a packet: cut on the way out, joined on the way in (PROTOCOL.md, section 6).
//!
//! Neither side of this touches payload bytes: it says which of them go where, so that they can
//! move between a socket and their place in one step.

use core::{num::NonZeroU32, ops::Range};

use crate::{
    envelope::{Header, PartHeader},
    session::Fault,
};

/// One packet: a head of 32 bytes, and the bytes of the payload that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The envelope, or what continues it.
    pub head: [u8; 32],
    /// Which bytes of the payload follow.
    pub payload: Range<usize>,
}

/// The packets of one message, in order.
#[derive(Clone, Debug)]
pub struct Cut {
    header: Header,
    room: usize,
    next: usize,
    index: u32,
}

impl Cut {
    /// Cuts a message into packets of at most `packet_size` bytes.
    ///
    /// # Errors
    ///
    /// The message needs several packets and they are too small for that.
    #[inline]
    pub fn new(header: &Header, packet_size: u32) -> Result<Self, Fault> {
        let room = (packet_size as usize).saturating_sub(Header::LEN);
        if room == 0 && header.payload_len > 0 {
            return Err(Fault::PacketSize);
        }
        Ok(Cut { header: *header, room, next: 0, index: 0 })
    }

    /// The envelope of the message.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

impl Iterator for Cut {
    type Item = Part;

    #[inline]
    fn next(&mut self) -> Option<Part> {
        let total = self.header.payload_len as usize;
        let payload = self.next..total.min(self.next.saturating_add(self.room));
        let head = match (self.index, NonZeroU32::new(payload.len() as u32)) {
            (0, _) => self.header.to_bytes(),
            (_, None) => return None,
            (_, Some(chunk_payload_len)) => self.part(chunk_payload_len),
        };
        self.next = payload.end;
        self.index += 1;
        Some(Part { head, payload })
    }
}

impl Cut {
    /// The head of the next packet, if it is not the first.
    fn part(&self, chunk_payload_len: NonZeroU32) -> [u8; PartHeader::LEN] {
        let mut head = [0; PartHeader::LEN];
        PartHeader {
            message_id: self.header.message_id,
            total_message_len: Header::LEN as u32 + self.header.payload_len,
            chunk_index: self.index,
            chunk_count: count(self.header.payload_len as usize, self.room, self.room),
            chunk_payload_len,
        }
        .write(&mut head);
        head
    }
}

/// How many packets a message takes of which `first` bytes came in the first and `room` fit in each.
fn count(total: usize, first: usize, room: usize) -> u32 {
    let rest = total.saturating_sub(first);
    // Without any room nothing can follow, and nothing is expected to.
    if room == 0 { 1 } else { 1 + rest.div_ceil(room) as u32 }
}

/// A message being joined from packets.
#[derive(Clone, Copy, Debug)]
pub struct Join {
    header: Header,
    room: usize,
    filled: usize,
    index: u32,
    count: u32,
}

impl Join {
    /// Starts with the first packet, of which `payload_len` bytes followed the envelope.
    ///
    /// # Errors
    ///
    /// More bytes than the message has.
    pub fn start(header: &Header, payload_len: usize, packet_size: u32) -> Result<Self, Fault> {
        let total = header.payload_len as usize;
        if payload_len > total {
            return Err(Fault::Trailing);
        }
        let room = (packet_size as usize).saturating_sub(PartHeader::LEN);
        let count = count(total, payload_len, room);
        Ok(Join { header: *header, room, filled: payload_len, index: 1, count })
    }

    /// The envelope of the message.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether all bytes are there.
    pub fn is_complete(&self) -> bool {
        self.filled == self.header.payload_len as usize
    }

    /// Where in the payload the bytes of the next packet go. It has no more than these.
    pub fn next(&self) -> Range<usize> {
        let total = self.header.payload_len as usize;
        self.filled..total.min(self.filled.saturating_add(self.room))
    }

    /// Takes the next packet: its head, and how many bytes of payload followed it.
    ///
    /// # Errors
    ///
    /// It does not continue this message.
    pub fn push(&mut self, head: &[u8], payload_len: usize) -> Result<(), Fault> {
        let part = PartHeader::read(head).map_err(Fault::BadPart)?;
        let chunk_payload_len = NonZeroU32::new(payload_len as u32).ok_or(Fault::WrongPart)?;
        let expected = PartHeader {
            message_id: self.header.message_id,
            total_message_len: Header::LEN as u32 + self.header.payload_len,
            chunk_index: self.index,
            chunk_count: self.count,
            chunk_payload_len,
        };
        if part != expected || payload_len > self.missing() {
            return Err(Fault::WrongPart);
        }
        self.filled += payload_len;
        self.index += 1;
        Ok(())
    }

    fn missing(&self) -> usize {
        self.header.payload_len as usize - self.filled
    }
}
