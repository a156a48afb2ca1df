//! How sessions are made: what clients ask for and servers grant.

use netipc_proto::{
    Hello, Terms,
    handshake::{defaults, profile},
    retry::Capacity,
};

use crate::{
    shm::{RING_PROFILE, USUAL_PROFILES},
    spin::Spin,
};

/// What a client asks for when it makes a session, or a server grants at most.
///
/// Zero stands for the usual value everywhere (PROTOCOL.md, section 11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// What may carry messages: bits of [`profile`](crate::protocol). 0 is the socket alone.
    pub supported_profiles: u32,
    /// What would rather carry them.
    pub preferred_profiles: u32,
    /// The longest request payload in bytes. 0: 1,024.
    pub max_request_payload_bytes: u32,
    /// The most requests in a batch. 0: 1.
    pub max_request_batch_items: u32,
    /// The longest response payload in bytes; for a client a wish. 0: 65,536.
    pub max_response_payload_bytes: u32,
    /// How far the limit of responses may grow when larger ones are needed, in bytes. 0: 1 MiB, and
    /// for a server with a configured limit not at all.
    pub response_growth_bytes: u32,
    /// What client and server must both know.
    pub auth_token: u64,
    /// The longest packet on the socket in bytes. 0: 65,536, or less if the system takes less.
    pub packet_size: u32,
    /// How messages are waited for. The peer is not told, and may wait otherwise.
    pub spin: Spin,
}

impl Default for SessionOptions {
    fn default() -> Self {
        SessionOptions {
            supported_profiles: profile::BASELINE,
            preferred_profiles: 0,
            max_request_payload_bytes: 0,
            max_request_batch_items: 0,
            max_response_payload_bytes: 0,
            response_growth_bytes: 0,
            auth_token: 0,
            packet_size: 0,
            spin: Spin::default(),
        }
    }
}

impl SessionOptions {
    /// The usual options, with the best shared memory that both sides have: rings, else that of
    /// Netdata plugin-ipc, and else the socket or pipe. Of the profiles of Windows it takes the one
    /// that sleeps when it has to wait.
    pub fn shared_memory() -> Self {
        let published = Self::published_shared_memory();
        SessionOptions {
            supported_profiles: published.supported_profiles | RING_PROFILE,
            preferred_profiles: published.preferred_profiles | RING_PROFILE,
            ..published
        }
    }

    /// As [`shared_memory`](Self::shared_memory), but only what Netdata plugin-ipc has as well: no
    /// rings.
    pub fn published_shared_memory() -> Self {
        SessionOptions {
            supported_profiles: profile::BASELINE | USUAL_PROFILES,
            preferred_profiles: USUAL_PROFILES,
            ..Self::default()
        }
    }

    /// What a server takes: it grows by itself only if it is not configured.
    pub(crate) fn request_limit(&self) -> Capacity {
        Capacity::configured(self.max_request_payload_bytes, defaults::REQUEST_BYTES)
    }

    /// What a server grants: it grows by itself only if it is not configured.
    pub(crate) fn response_limit(&self) -> Capacity {
        let limit = Capacity::configured(self.max_response_payload_bytes, defaults::RESPONSE_BYTES);
        match self.response_growth_bytes {
            0 => limit,
            growth => Capacity::growing(limit.bytes(), growth),
        }
    }

    /// What a client asks for: it grows by itself from what is configured.
    pub(crate) fn request_wish(&self) -> Capacity {
        let bytes = or_usual(self.max_request_payload_bytes, defaults::REQUEST_BYTES);
        Capacity::growing(bytes, defaults::GROWTH_BYTES)
    }

    /// What a client asks for: it grows by itself from what is configured.
    pub(crate) fn response_wish(&self) -> Capacity {
        let bytes = or_usual(self.max_response_payload_bytes, defaults::RESPONSE_BYTES);
        Capacity::growing(bytes, or_usual(self.response_growth_bytes, defaults::GROWTH_BYTES))
    }

    /// The profiles, of which there is always one.
    fn supported(&self) -> u32 {
        // Whoever asks for rings where there are none gets what else is supported.
        or_usual(self.supported_profiles, profile::BASELINE) & !(profile::RING & !RING_PROFILE)
    }

    fn packet_size(&self, most: u32) -> u32 {
        or_usual(self.packet_size, defaults::PACKET_BYTES).min(most)
    }

    /// What a client offers on a socket that takes packets of `max_packet` bytes.
    pub(crate) fn offer(&self, max_packet: u32) -> Hello {
        let items = self.max_request_batch_items.max(defaults::BATCH_ITEMS);
        Hello {
            flags: 0,
            supported_profiles: self.supported(),
            preferred_profiles: self.preferred_profiles,
            max_request_payload_bytes: self.request_wish().bytes(),
            max_request_batch_items: items,
            max_response_payload_bytes: self.response_wish().bytes(),
            max_response_batch_items: items,
            auth_token: self.auth_token,
            packet_size: self.packet_size(max_packet),
        }
    }

    /// What a server grants on a socket that takes packets of `max_packet` bytes.
    pub(crate) fn terms(&self, max_packet: u32) -> Terms {
        let response = self.response_limit();
        Terms {
            supported_profiles: self.supported(),
            preferred_profiles: self.preferred_profiles,
            // A client says how much it will send, so what it may grow to is granted at once.
            max_request_payload_bytes: self.request_limit().ceiling(),
            max_response_payload_bytes: response.bytes(),
            max_response_ceiling: response.ceiling(),
            auth_token: self.auth_token,
            packet_size: self.packet_size(max_packet),
        }
    }
}

fn or_usual(configured: u32, usual: u32) -> u32 {
    if configured == 0 { usual } else { configured }
}
