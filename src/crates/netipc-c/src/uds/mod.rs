//! `netipc_uds.h`: messages over a socket, with the public structs as the state of a session.

mod listener;
mod session;

use std::ffi::c_char;

use netipc::{Error, ErrorKind, SessionOptions};
use netipc_proto::{Fault, handshake::defaults};

pub(crate) use self::{
    listener::{nipc_uds_listener_t, nipc_uds_server_config_t},
    session::nipc_uds_session_t,
};
use crate::{
    border::or_usual,
    errors::{error_codes, note, note_error},
};

pub(crate) type nipc_uds_error_t = u32;

error_codes! { nipc_uds_error_t, nipc_uds_error_name:
    NIPC_UDS_OK = 0 c"OK",
    NIPC_UDS_ERR_PATH_TOO_LONG = 1 c"PATH_TOO_LONG",
    NIPC_UDS_ERR_SOCKET = 2 c"SOCKET",
    NIPC_UDS_ERR_CONNECT = 3 c"CONNECT",
    NIPC_UDS_ERR_ACCEPT = 4 c"ACCEPT",
    NIPC_UDS_ERR_SEND = 5 c"SEND",
    NIPC_UDS_ERR_RECV = 6 c"RECV",
    NIPC_UDS_ERR_HANDSHAKE = 7 c"HANDSHAKE",
    NIPC_UDS_ERR_AUTH_FAILED = 8 c"AUTH_FAILED",
    NIPC_UDS_ERR_NO_PROFILE = 9 c"NO_PROFILE",
    NIPC_UDS_ERR_INCOMPATIBLE = 10 c"INCOMPATIBLE",
    NIPC_UDS_ERR_PROTOCOL = 11 c"PROTOCOL",
    NIPC_UDS_ERR_ADDR_IN_USE = 12 c"ADDR_IN_USE",
    NIPC_UDS_ERR_CHUNK = 13 c"CHUNK",
    NIPC_UDS_ERR_ALLOC = 14 c"ALLOC",
    NIPC_UDS_ERR_LIMIT_EXCEEDED = 15 c"LIMIT_EXCEEDED",
    NIPC_UDS_ERR_BAD_PARAM = 16 c"BAD_PARAM",
    NIPC_UDS_ERR_DUPLICATE_MSG_ID = 17 c"DUPLICATE_MSG_ID",
    NIPC_UDS_ERR_UNKNOWN_MSG_ID = 18 c"UNKNOWN_MSG_ID",
    NIPC_UDS_ERR_TIMEOUT = 19 c"TIMEOUT",
    NIPC_UDS_ERR_ABORTED = 20 c"ABORTED",
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct nipc_uds_client_config_t {
    pub(crate) supported_profiles: u32,
    pub(crate) preferred_profiles: u32,
    pub(crate) max_request_payload_bytes: u32,
    pub(crate) max_request_batch_items: u32,
    pub(crate) max_response_payload_bytes: u32,
    pub(crate) max_response_batch_items: u32,
    pub(crate) auth_token: u64,
    pub(crate) packet_size: u32,
}

impl nipc_uds_client_config_t {
    /// What it asks for. At this level 0 is the usual limit, which does not grow, and the usual
    /// response is no longer than the usual request.
    fn options(&self) -> SessionOptions {
        SessionOptions {
            supported_profiles: self.supported_profiles,
            preferred_profiles: self.preferred_profiles,
            max_request_payload_bytes: or_usual(
                self.max_request_payload_bytes,
                defaults::REQUEST_BYTES,
            ),
            max_request_batch_items: self.max_request_batch_items,
            max_response_payload_bytes: or_usual(
                self.max_response_payload_bytes,
                defaults::REQUEST_BYTES,
            ),
            auth_token: self.auth_token,
            packet_size: self.packet_size,
            ..SessionOptions::default()
        }
    }
}

/// The code of a failure to make a session. `otherwise` is that of what the system refused.
fn handshake_code(error: &Error, otherwise: nipc_uds_error_t) -> nipc_uds_error_t {
    note_error(error);
    match error.kind() {
        ErrorKind::InvalidInput => NIPC_UDS_ERR_BAD_PARAM,
        ErrorKind::NameTooLong => NIPC_UDS_ERR_PATH_TOO_LONG,
        ErrorKind::AddressInUse => NIPC_UDS_ERR_ADDR_IN_USE,
        ErrorKind::AuthenticationFailed => NIPC_UDS_ERR_AUTH_FAILED,
        ErrorKind::NoCommonProfile => NIPC_UDS_ERR_NO_PROFILE,
        ErrorKind::LimitExceeded => NIPC_UDS_ERR_LIMIT_EXCEEDED,
        ErrorKind::Rejected => NIPC_UDS_ERR_HANDSHAKE,
        ErrorKind::Protocol => NIPC_UDS_ERR_PROTOCOL,
        ErrorKind::Disconnected => NIPC_UDS_ERR_RECV,
        ErrorKind::TimedOut => NIPC_UDS_ERR_TIMEOUT,
        ErrorKind::Aborted => NIPC_UDS_ERR_ABORTED,
        // What the system says is of another type of socket, what the peer says of its version.
        ErrorKind::Incompatible if error.raw_os_error().is_none() => NIPC_UDS_ERR_INCOMPATIBLE,
        _ => otherwise,
    }
}

/// The code of a broken rule of a session.
fn fault_code(fault: Fault) -> nipc_uds_error_t {
    note(fault.to_string());
    match fault {
        Fault::Malformed(_) | Fault::Trailing | Fault::Length => NIPC_UDS_ERR_PROTOCOL,
        Fault::BadPart(_) | Fault::WrongPart => NIPC_UDS_ERR_CHUNK,
        Fault::PacketSize => NIPC_UDS_ERR_BAD_PARAM,
        Fault::TooLong { .. } | Fault::TooManyItems { .. } => NIPC_UDS_ERR_LIMIT_EXCEEDED,
        Fault::DuplicateId(_) => NIPC_UDS_ERR_DUPLICATE_MSG_ID,
        Fault::UnknownId(_) => NIPC_UDS_ERR_UNKNOWN_MSG_ID,
    }
}

/// What a function needs was NULL, or of no use.
fn bad_param(why: &str) -> nipc_uds_error_t {
    note(why);
    NIPC_UDS_ERR_BAD_PARAM
}
