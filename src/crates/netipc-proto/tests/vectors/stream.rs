//! Messages cut into packets, and packets joined into messages.

use netipc_proto::{Agreement, Fault, Header, Kind, Limits, Role, Rules};
use serde_json::Value;

use crate::{
    envelope::header_fields,
    file::{Vector, hex, list, number, unhex},
    outcome::same,
    wire::{self, Broken},
};

pub(crate) type End = wire::End<std::vec::IntoIter<Vec<u8>>>;

/// One end of a session, and what it will receive.
pub(crate) fn end(role: Role, agreement: &Agreement, packets: &Value) -> End {
    let packets: Vec<_> = list(packets).iter().map(unhex).collect();
    End {
        rules: Rules::new(role, agreement),
        packet_size: agreement.agreed_packet_size,
        packets: packets.into_iter(),
    }
}

pub(crate) fn receive(vector: &Vector) -> Result<(), String> {
    let session = vector.get("session");
    let role = match session["role"].as_str() {
        Some("client") => Role::Client,
        Some("server") => Role::Server,
        other => panic!("a session of unknown role {other:?}"),
    };
    let agreement = wire::unlimited(number(&session["packet_size"]));
    let mut end = end(role, &agreement, vector.get("packets"));
    for id in session["in_flight"].as_array().into_iter().flatten().map(number) {
        end.rules.send(&Header::request(1, id, 0)).expect("an id comes once");
    }
    end.rules.incoming = Limits {
        payload_bytes: number(&session["max_payload_bytes"]),
        items: number(&session["max_batch_items"]),
    };
    let waiting = end.rules.in_flight();
    match (end.receive(), vector.is_valid()) {
        (Ok((header, payload)), true) => {
            let mut fields = header_fields(&header);
            fields["payload"] = hex(&payload).into();
            same("message", &fields, vector.fields())?;
            let answers = role == Role::Client && header.kind == Kind::Response;
            same("ids in flight", end.rules.in_flight(), waiting - usize::from(answers))?;
            same("packets left", end.packets.len(), 0)
        }
        (Ok((header, _)), false) => Err(format!("received {header:?}")),
        (Err(broken), true) => Err(format!("refused: {broken:?}")),
        (Err(broken), false) => same("class", class(&broken), vector.error()),
    }
}

pub(crate) fn send(vector: &Vector) -> Result<(), String> {
    let fields = vector.fields();
    let header = Header {
        kind: Kind::from_code(number(&fields["kind"])).expect("a kind"),
        flags: number(&fields["flags"]),
        code: number(&fields["code"]),
        transport_status: number(&fields["transport_status"]),
        payload_len: number(&fields["payload_len"]),
        item_count: number(&fields["item_count"]),
        message_id: number(&fields["message_id"]),
    };
    let packet_size = number(&vector.get("session")["packet_size"]);
    let packets = wire::cut(&header, &unhex(&fields["payload"]), packet_size);
    let packets = packets.map_err(|why| why.to_string())?;
    let packets: Vec<_> = packets.iter().map(|packet| hex(packet)).collect();
    let expected = list(vector.get("packets"));
    same("packets", packets, expected.iter().map(|packet| hex(&unhex(packet))).collect::<Vec<_>>())
}

/// The class of PROTOCOL.md, section 3.
pub(crate) fn class(broken: &Broken) -> &'static str {
    let Broken::Fault(_, fault) = broken else { return "RECV" };
    match fault {
        Fault::Malformed(_) | Fault::Trailing | Fault::Length => "PROTOCOL",
        Fault::BadPart(_) | Fault::WrongPart => "CHUNK",
        Fault::PacketSize => "BAD_PARAM",
        Fault::TooLong { .. } | Fault::TooManyItems { .. } => "LIMIT_EXCEEDED",
        Fault::DuplicateId(_) => "DUPLICATE_MSG_ID",
        Fault::UnknownId(_) => "UNKNOWN_MSG_ID",
    }
}
