//! The packets of a session, without anything that carries them.
#![allow(dead_code, unreachable_pub, reason = "each test uses another part")]

use netipc_proto::{
    Agreement, Fault, Header, HelloAck, PartHeader, Rules,
    parts::{Cut, Join},
    session::check_batch,
};

/// One end of a session: its rules, and the packets that wait to be read.
pub struct End<P> {
    pub rules: Rules,
    pub packet_size: u32,
    pub packets: P,
}

/// Why there is no message.
#[derive(Debug)]
pub enum Broken {
    /// No packet is left.
    Ended,
    /// It breaks the rules. What can be answered comes with its envelope.
    Fault(Option<Header>, Fault),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Broken::Fault(None, fault)
    }
}

impl<P: Iterator<Item: AsRef<[u8]>>> End<P> {
    /// Reads one message.
    pub fn receive(&mut self) -> Result<(Header, Vec<u8>), Broken> {
        let first = self.packets.next().ok_or(Broken::Ended)?;
        let first = first.as_ref();
        let header = Header::read(first).map_err(Fault::Malformed)?;
        self.rules.receive(&header).map_err(|fault| Broken::Fault(Some(header), fault))?;
        let mut payload = first[Header::LEN..].to_vec();
        let mut join = Join::start(&header, payload.len(), self.packet_size)?;
        while !join.is_complete() {
            let packet = self.packets.next().ok_or(Broken::Ended)?;
            let packet = packet.as_ref();
            let (head, part) = packet.split_at(PartHeader::LEN.min(packet.len()));
            let place = join.next();
            join.push(head, part.len())?;
            assert_eq!(place.start, payload.len(), "parts follow one another");
            payload.extend_from_slice(part);
        }
        check_batch(&header, &payload)?;
        Ok((header, payload))
    }
}

/// The packets of a message.
pub fn cut(header: &Header, payload: &[u8], packet_size: u32) -> Result<Vec<Vec<u8>>, Fault> {
    let cut = Cut::new(header, packet_size)?;
    Ok(cut.map(|part| [&part.head, &payload[part.payload]].concat()).collect())
}

/// A session that limits nothing but its packets.
pub fn unlimited(packet_size: u32) -> Agreement {
    HelloAck {
        server_supported_profiles: 1,
        intersection_profiles: 1,
        selected_profile: 1,
        agreed_max_request_payload_bytes: u32::MAX,
        agreed_max_request_batch_items: u32::MAX,
        agreed_max_response_payload_bytes: u32::MAX,
        agreed_max_response_batch_items: u32::MAX,
        agreed_packet_size: packet_size,
        reserved: 0,
        session_id: 1,
    }
}

/// Pieces of bytes, each behind its length as two bytes. The last may be cut short.
pub fn split(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    core::iter::from_fn(move || {
        let (&length, rest) = bytes.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(length)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        bytes = rest;
        Some(piece)
    })
}
