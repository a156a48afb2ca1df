//! Messages over a session, with the public structs as its state: `netipc_uds.h` where sockets carry
//! them, `netipc_named_pipe.h` where pipes do.
//!
//! Both are one. Each system gives the structs and the functions their names.

mod listener;
mod message;
#[cfg(windows)]
mod named_pipe;
mod session;
#[cfg(target_os = "linux")]
mod uds;
#[cfg(windows)]
use named_pipe as imp;
#[cfg(target_os = "linux")]
use uds as imp;

use std::time::Duration;

use netipc::{Error, ErrorKind, SessionOptions, Spin};
use netipc_proto::{Fault, handshake::defaults};

use self::imp::{
    Code, ERR_ABORTED, ERR_ADDR_IN_USE, ERR_AUTH_FAILED, ERR_BAD_PARAM, ERR_CHUNK,
    ERR_DUPLICATE_MSG_ID, ERR_HANDSHAKE, ERR_INCOMPATIBLE, ERR_LIMIT_EXCEEDED, ERR_NAME_TOO_LONG,
    ERR_NO_PROFILE, ERR_PROTOCOL, ERR_RECV, ERR_TIMEOUT, ERR_UNKNOWN_MSG_ID,
};
pub(crate) use self::imp::{Listener, ServerConfig, Session};
use crate::{
    border::or_usual,
    errors::{note, note_error},
};

/// What a client asks for: `nipc_uds_client_config_t`, `nipc_np_client_config_t`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClientConfig {
    pub(crate) supported_profiles: u32,
    pub(crate) preferred_profiles: u32,
    pub(crate) max_request_payload_bytes: u32,
    pub(crate) max_request_batch_items: u32,
    pub(crate) max_response_payload_bytes: u32,
    pub(crate) max_response_batch_items: u32,
    pub(crate) auth_token: u64,
    pub(crate) packet_size: u32,
    pub(crate) spin_us: i32,
}

impl ClientConfig {
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
            spin: spin(self.spin_us),
            ..SessionOptions::default()
        }
    }
}

/// How to wait, as a configuration says it: for how many µs to look before a sleep, 0 as long as that
/// pays, less not at all.
pub(crate) fn spin(spin_us: i32) -> Spin {
    match u64::try_from(spin_us) {
        Ok(0) => Spin::Adaptive,
        Ok(micros) => Spin::AtMost(Duration::from_micros(micros)),
        Err(_) => Spin::Off,
    }
}

/// What a configuration says of it.
pub(crate) fn spin_us(spin: Spin) -> i32 {
    match spin {
        Spin::Adaptive => 0,
        Spin::AtMost(most) => i32::try_from(most.as_micros()).unwrap_or(i32::MAX).max(1),
        Spin::Off => -1,
    }
}

/// The code of a failure to make a session. `otherwise` is that of what the system refused.
fn handshake_code(error: &Error, otherwise: Code) -> Code {
    note_error(error);
    match error.kind() {
        ErrorKind::InvalidInput => ERR_BAD_PARAM,
        ErrorKind::NameTooLong => ERR_NAME_TOO_LONG,
        ErrorKind::AddressInUse => ERR_ADDR_IN_USE,
        ErrorKind::AuthenticationFailed => ERR_AUTH_FAILED,
        ErrorKind::NoCommonProfile => ERR_NO_PROFILE,
        ErrorKind::LimitExceeded => ERR_LIMIT_EXCEEDED,
        ErrorKind::Rejected => ERR_HANDSHAKE,
        ErrorKind::Protocol => ERR_PROTOCOL,
        ErrorKind::Disconnected => ERR_RECV,
        ErrorKind::TimedOut => ERR_TIMEOUT,
        ErrorKind::Aborted => ERR_ABORTED,
        // What the system says is of another type of endpoint, what the peer says of its version.
        ErrorKind::Incompatible if error.raw_os_error().is_none() => ERR_INCOMPATIBLE,
        _ => otherwise,
    }
}

/// The code of a broken rule of a session.
fn fault_code(fault: Fault) -> Code {
    note(fault.to_string());
    match fault {
        Fault::Malformed(_) | Fault::Trailing | Fault::Length => ERR_PROTOCOL,
        Fault::BadPart(_) | Fault::WrongPart => ERR_CHUNK,
        Fault::PacketSize => ERR_BAD_PARAM,
        Fault::TooLong { .. } | Fault::TooManyItems { .. } => ERR_LIMIT_EXCEEDED,
        Fault::DuplicateId(_) => ERR_DUPLICATE_MSG_ID,
        Fault::UnknownId(_) => ERR_UNKNOWN_MSG_ID,
    }
}

/// What a function needs was NULL, or of no use.
fn bad_param(why: &str) -> Code {
    note(why);
    ERR_BAD_PARAM
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_look_before_a_sleep_is_as_configured() {
        let micros = |most| Spin::AtMost(Duration::from_micros(most));
        for (spin_us, meant) in [
            (0, Spin::Adaptive),
            (-1, Spin::Off),
            (i32::MIN, Spin::Off),
            (1, micros(1)),
            (i32::MAX, micros(i32::MAX as u64)),
        ] {
            let client = ClientConfig { spin_us, ..ClientConfig::default() };
            assert_eq!(client.options().spin, meant);
            assert_eq!(ServerConfig::from(client).options().spin, meant);
            assert_eq!(spin(super::spin_us(meant)), meant);
        }
    }
}
