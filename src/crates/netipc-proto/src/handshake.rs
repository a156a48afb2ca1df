//! One question, one answer: what both sides will use for a session (PROTOCOL.md, section 10).

use core::fmt;

use crate::{
    envelope::{Header, Kind, Status},
    layout::{Defect, Malformed},
};

/// The control code of the client's question.
pub const CODE_HELLO: u16 = 1;
/// The control code of the server's answer.
pub const CODE_HELLO_ACK: u16 = 2;

/// What carries the messages of a session: a set of profiles, or one of them.
pub mod profile {
    /// The socket or pipe that the session was made on.
    pub const BASELINE: u32 = 0x01;
    /// Shared memory: look for a while, then sleep.
    pub const SHM_HYBRID: u32 = 0x02;
    /// Shared memory; on Linux the same as [`SHM_HYBRID`], on Windows one that never sleeps.
    pub const SHM_FUTEX: u32 = 0x04;
    /// Reserved.
    pub const SHM_WAITADDR: u32 = 0x08;
    /// Rings in shared memory without a name, on Linux. Not of Netdata plugin-ipc.
    pub const RING: u32 = 0x10;
    /// All profiles that use the shared memory of Netdata plugin-ipc.
    pub const SHM: u32 = SHM_HYBRID | SHM_FUTEX;
}

/// Limits where nobody says otherwise (PROTOCOL.md, section 11).
pub mod defaults {
    /// The longest request payload, in bytes.
    pub const REQUEST_BYTES: u32 = 1024;
    /// The longest response payload, in bytes.
    pub const RESPONSE_BYTES: u32 = 65536;
    /// The most items in a batch.
    pub const BATCH_ITEMS: u32 = 1;
    /// How far limits grow by themselves, in bytes.
    pub const GROWTH_BYTES: u32 = 1 << 20;
    /// The longest packet, in bytes, where the carrier has no say.
    pub const PACKET_BYTES: u32 = 65536;
}

layout! {
    /// What a client offers.
    pub struct Hello: 44 {
        /// Flags without a meaning; 0.
        2  flags: u16,
        /// The profiles it can use.
        4  supported_profiles: u32,
        /// The profiles it would rather use.
        8  preferred_profiles: u32,
        /// The longest request payload it will send.
        12 max_request_payload_bytes: u32,
        /// The most items in a batch it will send.
        16 max_request_batch_items: u32,
        /// The longest response payload it would like to be able to get: a hint.
        20 max_response_payload_bytes: u32,
        /// As many items as it would like to be able to get in a batch: a hint.
        24 max_response_batch_items: u32,
        /// What the server must know as well.
        32 auth_token: u64,
        /// The longest packet it can send and receive.
        40 packet_size: u32,
    } fixed {
        0  layout_version: u16 = 1;
        28 reserved:       u32 = 0;
    }
}

layout! {
    /// What a server grants; both sides use exactly this.
    pub struct HelloAck: 48 {
        /// The profiles the server can use.
        4  server_supported_profiles: u32,
        /// The profiles both can use.
        8  intersection_profiles: u32,
        /// The profile of the session: exactly one.
        12 selected_profile: u32,
        /// The longest request payload.
        16 agreed_max_request_payload_bytes: u32,
        /// The most items in a batch of requests.
        20 agreed_max_request_batch_items: u32,
        /// The longest response payload.
        24 agreed_max_response_payload_bytes: u32,
        /// The most items in a batch of responses.
        28 agreed_max_response_batch_items: u32,
        /// The longest packet.
        32 agreed_packet_size: u32,
        /// Without a meaning; 0.
        36 reserved: u32,
        /// The number of the session at this server.
        40 session_id: u64,
    } fixed {
        0  layout_version: u16 = 1;
        2  flags:          u16 = 0;
    }
}

/// Where both layouts say which version they are of; another one is not broken, only not ours.
const LAYOUT_VERSION: usize = 0;

/// What was agreed: the answer that made a session.
pub type Agreement = HelloAck;

/// A HELLO as one packet.
pub const HELLO_PACKET: usize = Header::LEN + Hello::LEN;
/// A HELLO_ACK as one packet.
pub const ACK_PACKET: usize = Header::LEN + HelloAck::LEN;

/// Why there is no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// What came is no step of a handshake. A server does not answer it.
    Malformed(Malformed),
    /// What came is a HELLO that breaks its layout. A server says so.
    BadHello(Malformed),
    /// What came is a step of a handshake, but not the expected one. A server does not answer it.
    Unexpected,
    /// Another version of the protocol, or packets too small to carry anything.
    Incompatible,
    /// No profile that both can use.
    NoProfile,
    /// The tokens differ.
    AuthFailed,
    /// The client wants to send longer requests than the server takes.
    LimitExceeded,
    /// The server refused without a reason that is known here.
    Other(u16),
    /// The server granted what was not asked for.
    BadGrant(&'static str),
}

impl Refusal {
    /// What a server answers, if it answers at all.
    pub fn status(&self) -> Option<Status> {
        match self {
            Refusal::Malformed(_) | Refusal::Unexpected => None,
            Refusal::Other(_) | Refusal::BadGrant(_) => None,
            Refusal::BadHello(_) => Some(Status::BadEnvelope),
            Refusal::Incompatible => Some(Status::Incompatible),
            Refusal::NoProfile => Some(Status::Unsupported),
            Refusal::AuthFailed => Some(Status::AuthFailed),
            Refusal::LimitExceeded => Some(Status::LimitExceeded),
        }
    }

    /// The packet a server answers with, if it answers at all.
    pub fn packet(&self) -> Option<[u8; ACK_PACKET]> {
        let mut packet = [0; ACK_PACKET];
        control(CODE_HELLO_ACK, self.status()?, HelloAck::LEN).write(&mut packet);
        packet[Header::LEN] = 1u16.to_ne_bytes()[0];
        packet[Header::LEN + 1] = 1u16.to_ne_bytes()[1];
        Some(packet)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(malformed) | Refusal::BadHello(malformed) => {
                write!(f, "malformed handshake: {malformed}")
            }
            Refusal::Unexpected => f.write_str("not the expected step of a handshake"),
            Refusal::Incompatible => f.write_str("another version of the protocol"),
            Refusal::NoProfile => f.write_str("no profile in common"),
            Refusal::AuthFailed => f.write_str("the auth tokens differ"),
            Refusal::LimitExceeded => f.write_str("requests would be longer than the server takes"),
            Refusal::Other(status) => write!(f, "refused with status {status}"),
            Refusal::BadGrant(what) => write!(f, "the server granted {what}"),
        }
    }
}

impl core::error::Error for Refusal {}

impl Hello {
    /// The packet that asks for a session.
    pub fn packet(&self) -> [u8; HELLO_PACKET] {
        let mut packet = [0; HELLO_PACKET];
        control(CODE_HELLO, Status::Ok, Hello::LEN).write(&mut packet);
        self.write(&mut packet[Header::LEN..]);
        packet
    }

    /// Reads the packet of a client that asks for a session.
    ///
    /// # Errors
    ///
    /// Why there can be none, whatever the server's terms are.
    pub fn from_packet(packet: &[u8]) -> Result<Hello, Refusal> {
        let payload = payload(packet, CODE_HELLO)?.1;
        let hello = Hello::read(payload).map_err(|malformed| match malformed.defect {
            Defect::Truncated => Refusal::Malformed(malformed),
            _ if malformed.at == LAYOUT_VERSION => Refusal::Incompatible,
            _ => Refusal::BadHello(malformed),
        })?;
        if hello.flags != 0 {
            let why = "has flags without a meaning";
            return Err(Refusal::BadHello(Hello::LAYOUT.wrong("flags", Defect::BadLayout, why)));
        }
        Ok(hello)
    }

    /// Reads a server's answer to this offer.
    ///
    /// # Errors
    ///
    /// Why there is no session.
    pub fn agreement(&self, packet: &[u8]) -> Result<Agreement, Refusal> {
        let (header, payload) = payload(packet, CODE_HELLO_ACK)?;
        match Status::from_code(header.transport_status) {
            Some(Status::Ok) => {}
            Some(Status::AuthFailed) => return Err(Refusal::AuthFailed),
            Some(Status::Incompatible) => return Err(Refusal::Incompatible),
            Some(Status::Unsupported) => return Err(Refusal::NoProfile),
            Some(Status::LimitExceeded) => return Err(Refusal::LimitExceeded),
            _ => return Err(Refusal::Other(header.transport_status)),
        }
        let ack = HelloAck::read(payload).map_err(|malformed| match malformed.defect {
            Defect::BadLayout if malformed.at == LAYOUT_VERSION => Refusal::Incompatible,
            _ => Refusal::Malformed(malformed),
        })?;
        let packet_size = Header::LEN as u32 + 1..=self.packet_size;
        if !packet_size.contains(&ack.agreed_packet_size) {
            return Err(Refusal::BadGrant("packets of an impossible size"));
        }
        if !ack.selected_profile.is_power_of_two()
            || ack.selected_profile & self.supported_profiles == 0
        {
            return Err(Refusal::BadGrant("a profile that was not offered"));
        }
        if ack.agreed_max_request_payload_bytes > self.max_request_payload_bytes
            || ack.agreed_max_request_batch_items > self.max_request_batch_items
        {
            return Err(Refusal::BadGrant("longer requests than were asked for"));
        }
        Ok(ack)
    }
}

/// The header of a handshake packet that must have this code, and what follows it.
fn payload(packet: &[u8], code: u16) -> Result<(Header, &[u8]), Refusal> {
    let header = Header::read(packet).map_err(|malformed| match malformed.defect {
        // What else the header says of itself must hold, or it is no header of any version.
        Defect::BadVersion if is_control(packet, code) => Refusal::Incompatible,
        _ => Refusal::Malformed(malformed),
    })?;
    match header.kind == Kind::Control && header.code == code {
        true => Ok((header, &packet[Header::LEN..])),
        false => Err(Refusal::Unexpected),
    }
}

/// Whether a packet of another version is this step of a handshake all the same.
fn is_control(packet: &[u8], code: u16) -> bool {
    let mut packet = *packet.first_chunk::<{ Header::LEN }>().expect("its version was read");
    packet[4..6].copy_from_slice(&1u16.to_ne_bytes());
    match Header::read(&packet) {
        // A client takes any answer of another version for one; a server only a HELLO.
        Ok(header) => code == CODE_HELLO_ACK || (header.kind, header.code) == (Kind::Control, code),
        Err(_) => code == CODE_HELLO_ACK,
    }
}

/// What a server offers to everyone who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The profiles it can use.
    pub supported_profiles: u32,
    /// The profiles it would rather use.
    pub preferred_profiles: u32,
    /// The longest request payload it takes.
    pub max_request_payload_bytes: u32,
    /// The longest response payload it grants to those who ask for none in particular.
    pub max_response_payload_bytes: u32,
    /// The longest response payload it grants to those who ask for it.
    pub max_response_ceiling: u32,
    /// What the client must know as well.
    pub auth_token: u64,
    /// The longest packet it can send and receive.
    pub packet_size: u32,
}

impl Terms {
    /// Decides on a client's offer.
    ///
    /// # Errors
    ///
    /// Why there is no session.
    pub fn agree(&self, offer: &Hello, session_id: u64) -> Result<Agreement, Refusal> {
        // Before anything else is revealed. Compared in constant time: no early exit on a byte.
        if (offer.auth_token ^ self.auth_token) != 0 {
            return Err(Refusal::AuthFailed);
        }
        let shared = offer.supported_profiles & self.supported_profiles;
        let liked = shared & offer.preferred_profiles & self.preferred_profiles;
        let highest = |set: u32| set.checked_ilog2().map(|bit| 1 << bit);
        let selected = highest(liked).or(highest(shared)).ok_or(Refusal::NoProfile)?;

        let or_default = |asked, default| if asked == 0 { default } else { asked };
        let default_request = defaults::REQUEST_BYTES.min(self.max_request_payload_bytes);
        let max_request = or_default(offer.max_request_payload_bytes, default_request);
        if max_request > self.max_request_payload_bytes {
            return Err(Refusal::LimitExceeded);
        }
        let packet_size = offer.packet_size.min(self.packet_size);
        if packet_size <= Header::LEN as u32 {
            return Err(Refusal::Incompatible);
        }
        let hint = offer.max_response_payload_bytes.min(self.max_response_ceiling);
        let items = or_default(offer.max_request_batch_items, defaults::BATCH_ITEMS);
        Ok(HelloAck {
            server_supported_profiles: self.supported_profiles,
            intersection_profiles: shared,
            selected_profile: selected,
            agreed_max_request_payload_bytes: max_request,
            agreed_max_request_batch_items: items,
            agreed_max_response_payload_bytes: self.max_response_payload_bytes.max(hint),
            agreed_max_response_batch_items: items,
            agreed_packet_size: packet_size,
            reserved: 0,
            session_id,
        })
    }
}

impl HelloAck {
    /// The packet that makes a session.
    pub fn packet(&self) -> [u8; ACK_PACKET] {
        let mut packet = [0; ACK_PACKET];
        control(CODE_HELLO_ACK, Status::Ok, HelloAck::LEN).write(&mut packet);
        self.write(&mut packet[Header::LEN..]);
        packet
    }

    /// Whether the session uses rings.
    pub fn uses_rings(&self) -> bool {
        self.selected_profile & profile::RING != 0
    }

    /// Whether the session uses the shared memory of Netdata plugin-ipc.
    pub fn uses_shared_memory(&self) -> bool {
        self.selected_profile & profile::SHM != 0
    }
}

fn control(code: u16, status: Status, len: usize) -> Header {
    Header {
        kind: Kind::Control,
        flags: 0,
        code,
        transport_status: status.code(),
        payload_len: len as u32,
        item_count: 1,
        message_id: 0,
    }
}
