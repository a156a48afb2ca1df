//! Messages cut into packets, and packets joined into messages.

use netipc_proto::{
    Agreement, Fault, Header, HelloAck, Kind, Limits, PartHeader, Role, Rules,
    parts::{Cut, Join},
    session::check_batch,
};
use serde_json::Value;

use crate::{
    envelope::header_fields,
    file::{Vector, hex, list, number, unhex},
    outcome::same,
};

/// One end of a session: its rules, and the packets that wait to be read.
pub(crate) struct End {
    pub(crate) rules: Rules,
    pub(crate) packet_size: u32,
    packets: std::vec::IntoIter<Vec<u8>>,
}

impl End {
    pub(crate) fn new(role: Role, agreement: &Agreement, packets: &Value) -> Self {
        let packets: Vec<_> = list(packets).iter().map(unhex).collect();
        let packet_size = agreement.agreed_packet_size;
        End { rules: Rules::new(role, agreement), packet_size, packets: packets.into_iter() }
    }

    /// Whether all packets are read.
    pub(crate) fn is_drained(&self) -> bool {
        self.packets.len() == 0
    }

    /// Reads one message, as far as the rules allow. The envelope of one that breaks them only in
    /// its length or its items comes with the fault, so that it can be answered.
    pub(crate) fn receive(&mut self) -> Result<(Header, Vec<u8>), (Option<Header>, Fault)> {
        let first = self.packets.next().expect("there is a packet left");
        let header = Header::read(&first).map_err(|why| (None, Fault::Malformed(why)))?;
        self.rules.receive(&header).map_err(|why| (Some(header), why))?;
        let payload = self.join(&header, &first[Header::LEN..]).map_err(|why| (None, why))?;
        check_batch(&header, &payload).map_err(|why| (None, why))?;
        Ok((header, payload))
    }

    fn join(&mut self, header: &Header, first: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut join = Join::start(header, first.len(), self.packet_size)?;
        let mut payload = first.to_vec();
        while !join.is_complete() {
            let packet = self.packets.next().expect("the message goes on");
            let (head, part) = packet.split_at(PartHeader::LEN.min(packet.len()));
            let place = join.next();
            join.push(head, part.len())?;
            assert_eq!(place.start, payload.len(), "parts follow one another");
            payload.extend_from_slice(part);
        }
        Ok(payload)
    }

    /// The packets of a message.
    pub(crate) fn send(&mut self, header: &Header, payload: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
        self.rules.send(header)?;
        let cut = Cut::new(header, self.packet_size)?;
        Ok(cut.map(|part| [&part.head, &payload[part.payload]].concat()).collect())
    }
}

pub(crate) fn receive(vector: &Vector) -> Result<(), String> {
    let session = vector.get("session");
    let role = match session["role"].as_str() {
        Some("client") => Role::Client,
        Some("server") => Role::Server,
        other => panic!("a session of unknown role {other:?}"),
    };
    let agreement = agreement(number(&session["packet_size"]));
    let mut end = End::new(role, &agreement, vector.get("packets"));
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
            same("all packets read", end.is_drained(), true)
        }
        (Ok((header, _)), false) => Err(format!("received {header:?}")),
        (Err((_, why)), true) => Err(format!("refused: {why}")),
        (Err((_, why)), false) => same("class", class(why), vector.error()),
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
    let agreement = agreement(number(&vector.get("session")["packet_size"]));
    let mut end = End::new(Role::Client, &agreement, &Value::Array(Vec::new()));
    let packets = end.send(&header, &unhex(&fields["payload"])).map_err(|why| why.to_string())?;
    let packets: Vec<_> = packets.iter().map(|packet| hex(packet)).collect();
    let expected = list(vector.get("packets"));
    same("packets", packets, expected.iter().map(|packet| hex(&unhex(packet))).collect::<Vec<_>>())
}

/// A session that limits nothing but its packets.
pub(crate) fn agreement(packet_size: u32) -> Agreement {
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

/// The class of PROTOCOL.md, section 3.
pub(crate) fn class(fault: Fault) -> &'static str {
    match fault {
        Fault::Malformed(_) | Fault::Trailing | Fault::Length => "PROTOCOL",
        Fault::BadPart(_) | Fault::WrongPart => "CHUNK",
        Fault::PacketSize => "BAD_PARAM",
        Fault::TooLong { .. } | Fault::TooManyItems { .. } => "LIMIT_EXCEEDED",
        Fault::DuplicateId(_) => "DUPLICATE_MSG_ID",
        Fault::UnknownId(_) => "UNKNOWN_MSG_ID",
    }
}
