//! The envelope in front of every message (PROTOCOL.md, sections 4 and 6).

use core::num::NonZeroU32;

codes! {
    /// What a message is.
    pub enum Kind: u16, or BadKind {
        /// From a client to a server.
        Request = 1,
        /// From a server to a client.
        Response = 2,
        /// Part of the handshake.
        Control = 3,
    }
}

codes! {
    /// How a request or a handshake went.
    pub enum Status: u16 {
        /// It succeeded.
        Ok = 0,
        /// The payload could not be read, or the answer could not be written.
        BadEnvelope = 1,
        /// The tokens differ.
        AuthFailed = 2,
        /// The peer speaks another version.
        Incompatible = 3,
        /// No common profile, or a method that is not served.
        Unsupported = 4,
        /// A message over a limit.
        LimitExceeded = 5,
        /// The handler failed.
        InternalError = 6,
    }
}

layout! {
    /// The first 32 bytes of every message.
    pub struct Header: 32 {
        /// What the message is.
        8  kind:        Kind,
        /// [`Header::BATCH`] or nothing; other bits have no meaning and are ignored.
        10 flags:       u16,
        /// The method of a request or response, or which step of the handshake.
        12 code:        u16,
        /// A [`Status`], as a number since a peer may send any.
        14 transport_status: u16,
        /// How many bytes follow.
        16 payload_len: u32,
        /// 1, or the number of items in a batch.
        20 item_count:  u32,
        /// Chosen by the client, repeated in the response.
        24 message_id:  u64,
    } fixed {
        0  magic:      u32 = 0x4e49_5043, or BadMagic;
        4  version:    u16 = 1, or BadVersion;
        6  header_len: u16 = 32, or BadHeaderLen;
    }
}

impl Header {
    /// The flag of a message with several items of one method.
    pub const BATCH: u16 = 1;

    /// The header of a request with one item, `payload_len` bytes long.
    pub const fn request(code: u16, message_id: u64, payload_len: u32) -> Self {
        Header {
            kind: Kind::Request,
            flags: 0,
            code,
            transport_status: 0,
            payload_len,
            item_count: 1,
            message_id,
        }
    }

    /// Whether the payload is a directory and its items rather than one item.
    pub const fn is_batch(&self) -> bool {
        self.flags & Header::BATCH != 0 && self.item_count > 0
    }

    /// The bytes on the wire.
    #[inline]
    pub fn to_bytes(&self) -> [u8; Header::LEN] {
        let mut bytes = [0; Header::LEN];
        self.write(&mut bytes);
        bytes
    }
}

layout! {
    /// The first 32 bytes of every packet but the first of a message in parts.
    pub struct PartHeader: 32 {
        /// As in the envelope.
        8  message_id:  u64,
        /// The length of the whole message, envelope included.
        16 total_message_len: u32,
        /// 1 for the first packet after the one with the envelope.
        20 chunk_index: u32,
        /// How many packets the message has, the one with the envelope included.
        24 chunk_count: u32,
        /// How many bytes of payload follow in this packet, never none.
        28 chunk_payload_len: NonZeroU32,
    } fixed {
        0  magic:   u32 = 0x4e43_484b, or BadMagic;
        4  version: u16 = 1, or BadVersion;
        6  flags:   u16 = 0;
    }
}
