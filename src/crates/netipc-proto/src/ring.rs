//! The memory of a session over rings: what it starts with (PROTOCOL.md, section 27.2).

layout! {
    /// How long the rings of both directions are.
    pub struct RingHeader: 24 {
        /// Slots for requests: a power of two.
        8  request_slots: u32,
        /// Bytes of bulk for requests: a power of two.
        12 request_bulk: u32,
        /// Slots for responses: a power of two.
        16 response_slots: u32,
        /// Bytes of bulk for responses: a power of two.
        20 response_bulk: u32,
    } fixed {
        0  magic:      u32 = 0x4E52_4E47, or BadMagic;
        4  version:    u16 = 1, or BadVersion;
        6  header_len: u16 = 24, or BadHeaderLen;
    }
}
