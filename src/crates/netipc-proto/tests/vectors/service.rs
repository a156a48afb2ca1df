//! A whole server without a carrier: packets in, packets out, and whether the session goes on.

use netipc_proto::{
    Agreement, Declined, Fault, Kind, Response, Role, Status,
    kinds::{Increment, increment::Number},
    respond,
};

use crate::{
    file::{Vector, hex, list, number, unhex},
    outcome::same,
    stream::{self, End},
    wire::{self, Broken},
};

/// What became of a session.
struct Served {
    replies: Vec<String>,
    is_open: bool,
    /// The class of what ended it without a reply.
    broken: Option<&'static str>,
}

pub(crate) fn increment(vector: &Vector) -> Result<(), String> {
    let session = vector.get("session");
    let items = number(&session["max_batch_items"]);
    let agreement = Agreement {
        agreed_max_request_payload_bytes: number(&session["max_request_payload_bytes"]),
        agreed_max_request_batch_items: items,
        agreed_max_response_payload_bytes: number(&session["max_response_payload_bytes"]),
        agreed_max_response_batch_items: items,
        ..wire::unlimited(number(&session["packet_size"]))
    };
    let served = serve(stream::end(Role::Server, &agreement, vector.get("packets")), &agreement);
    let replies: Vec<_> = list(vector.get("replies")).iter().map(|it| hex(&unhex(it))).collect();
    same("replies", served.replies, replies)?;
    same("open afterwards", served.is_open, vector.get("after") == "open")?;
    let error = (!vector.is_valid()).then(|| vector.error());
    same("class", served.broken, error)
}

fn serve(mut end: End, agreement: &Agreement) -> Served {
    let mut served = Served { replies: Vec::new(), is_open: true, broken: None };
    let mut out = vec![0xAA; agreement.agreed_max_response_payload_bytes as usize];
    while served.is_open && end.packets.len() > 0 {
        let response = match end.receive() {
            Ok((request, payload)) if request.kind == Kind::Request => {
                respond::<Increment>(&handler, &request, &payload, &mut out)
            }
            Ok(_) => {
                served.broken = Some("PROTOCOL");
                served.is_open = false;
                break;
            }
            Err(Broken::Fault(
                Some(request),
                Fault::TooLong { .. } | Fault::TooManyItems { .. },
            )) if request.kind == Kind::Request => {
                Response::without_payload(&request, Status::LimitExceeded)
            }
            Err(broken) => {
                served.broken = Some(stream::class(&broken));
                served.is_open = false;
                break;
            }
        };
        let payload = &out[..response.header.payload_len as usize];
        end.rules.send(&response.header).expect("a response keeps the rules");
        let packets = wire::cut(&response.header, payload, end.packet_size).expect("it fits");
        served.replies.extend(packets.iter().map(|packet| hex(packet)));
        served.is_open = !response.hang_up;
    }
    served
}

fn handler(asked: &u64, reply: &mut Number<'_>) -> Result<(), Declined> {
    match *asked {
        999 => Err(Declined::Failed),
        998 => Err(Declined::Full),
        number => {
            reply.value = number.wrapping_add(1);
            Ok(())
        }
    }
}
