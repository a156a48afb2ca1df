//! Both sides of a handshake: a packet in, an answer or a session out.

use netipc_proto::{
    Agreement, Hello, Refusal, Terms,
    handshake::{defaults, profile},
};
use serde_json::{Value, json};

use crate::{
    file::{Vector, hex, number, unhex},
    outcome::{plain, same},
};

/// What a carrier reads of a handshake packet; the rest is cut off.
const READ: usize = 128;

pub(crate) fn server(vector: &Vector) -> Result<(), String> {
    let config = vector.get("config");
    let terms = Terms {
        supported_profiles: or(&config["supported_profiles"], profile::BASELINE),
        preferred_profiles: number(&config["preferred_profiles"]),
        max_request_payload_bytes: or(
            &config["max_request_payload_bytes"],
            defaults::REQUEST_BYTES,
        ),
        // The vectors come from a server whose replies are as short as requests by default.
        max_response_payload_bytes: or(
            &config["max_response_payload_bytes"],
            defaults::REQUEST_BYTES,
        ),
        max_response_ceiling: number(&config["max_response_payload_bytes"]),
        auth_token: number(&config["auth_token"]),
        packet_size: number(&config["packet_size"]),
    };
    let packet = vector.bytes("hex");
    let decided = Hello::from_packet(&packet[..packet.len().min(READ)])
        .and_then(|hello| terms.agree(&hello, number(&config["session_id"])));
    let reply = match &decided {
        Ok(agreement) => Some(agreement.packet()),
        Err(refusal) => refusal.packet(),
    };
    let expected = Some(vector.get("reply")).filter(|reply| !reply.is_null()).map(unhex);
    same("reply", reply.map(|reply| hex(&reply)), expected.map(|reply| hex(&reply)))?;
    decided_as(vector, decided)
}

pub(crate) fn client(vector: &Vector) -> Result<(), String> {
    let config = vector.get("config");
    let hello = Hello {
        flags: 0,
        supported_profiles: or(&config["supported_profiles"], profile::BASELINE),
        preferred_profiles: number(&config["preferred_profiles"]),
        max_request_payload_bytes: or(
            &config["max_request_payload_bytes"],
            defaults::REQUEST_BYTES,
        ),
        max_request_batch_items: or(&config["max_request_batch_items"], defaults::BATCH_ITEMS),
        max_response_payload_bytes: or(
            &config["max_response_payload_bytes"],
            defaults::REQUEST_BYTES,
        ),
        max_response_batch_items: or(&config["max_response_batch_items"], defaults::BATCH_ITEMS),
        auth_token: number(&config["auth_token"]),
        packet_size: number(&config["packet_size"]),
    };
    same("hello", hex(&hello.packet()), hex(&vector.bytes("sends")))?;
    let packet = vector.bytes("hex");
    decided_as(vector, hello.agreement(&packet[..packet.len().min(READ)]))
}

/// A configured number, where 0 stands for a default.
fn or(configured: &Value, default: u32) -> u32 {
    match number(configured) {
        0 => default,
        configured => configured,
    }
}

/// Complains unless the vector wants this session, or this refusal.
fn decided_as(vector: &Vector, decided: Result<Agreement, Refusal>) -> Result<(), String> {
    match (decided, vector.is_valid()) {
        (Ok(session), true) if vector.fields().is_null() => {
            // The reply was compared before, and says the same.
            same(
                "session id",
                session.session_id,
                vector.get("config")["session_id"].as_u64().unwrap_or_default(),
            )
        }
        (Ok(session), true) => same("session", fields(&session), plain(vector.fields())),
        (Ok(session), false) => Err(format!("agreed: {}", fields(&session))),
        (Err(why), true) => Err(format!("refused: {why}")),
        (Err(why), false) => same("class", class(&why), vector.error()),
    }
}

fn fields(session: &Agreement) -> Value {
    json!({
        "selected_profile": session.selected_profile,
        "max_request_payload_bytes": session.agreed_max_request_payload_bytes,
        "max_request_batch_items": session.agreed_max_request_batch_items,
        "max_response_payload_bytes": session.agreed_max_response_payload_bytes,
        "max_response_batch_items": session.agreed_max_response_batch_items,
        "packet_size": session.agreed_packet_size,
        "session_id": session.session_id,
    })
}

/// The class of PROTOCOL.md, section 3.
fn class(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed(_) | Refusal::BadHello(_) | Refusal::Unexpected => "PROTOCOL",
        Refusal::BadGrant(_) => "PROTOCOL",
        Refusal::Incompatible => "INCOMPATIBLE",
        Refusal::NoProfile => "NO_PROFILE",
        Refusal::AuthFailed => "AUTH_FAILED",
        Refusal::LimitExceeded => "LIMIT_EXCEEDED",
        Refusal::Other(_) => "HANDSHAKE",
    }
}
