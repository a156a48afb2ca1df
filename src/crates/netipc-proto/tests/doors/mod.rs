//! What is done with bytes from outside, one function per door, with what must hold behind it.
//!
//! Tests and fuzz targets call these with bytes of any content: none may panic.
#![allow(dead_code, unreachable_pub, reason = "each test and fuzz target uses another part")]

mod probe;
pub mod wire;

use netipc_proto::{
    Agreement, Ceilings, Handler, Header, Hello, HelloAck, Items, Limits, Lookup, Role, Rule,
    Rules, Service, Shortfall, Status, Step, Stitch, Terms,
    kinds::{AppsLookup, CgroupsLookup},
    respond, respond_one,
};

pub use self::probe::{Look, Probe};

/// Reads a request, and answers it in every form it may have come in.
pub fn request<S: Probe>(payload: &[u8]) {
    if let Ok(asked) = S::read_request(payload) {
        let digest = Look::at(payload, |look| S::look_at_request(&asked, look));
        let again = S::request_again(&asked);
        let asked = S::read_request(&again).expect("what was read can be written");
        assert_eq!(digest, Look::at(&again, |look| S::look_at_request(&asked, look)));
    }
    for limit in [0, 100, 1000, 65536] {
        let (status, _) = serve::<S>(&Header::request(S::METHOD, 1, 0), payload, limit);
        let is_readable = S::read_request(payload).is_ok();
        assert_eq!(status != Status::BadEnvelope, is_readable || status == Status::LimitExceeded);
        let items = u32::from(payload.first().copied().unwrap_or(1) % 4);
        let batch =
            Header { flags: Header::BATCH, item_count: items, ..Header::request(S::METHOD, 1, 0) };
        serve::<S>(&batch, payload, limit);
    }
}

/// Answers a request within `limit` bytes; a client must be able to read the response, and none of
/// its bytes may be left over from what lay in the buffer before.
fn serve<S: Probe>(request: &Header, payload: &[u8], limit: usize) -> (Status, Vec<u8>) {
    let answer = |fill| {
        let mut out = vec![fill; limit];
        let response = respond::<S>(&S::answer, request, payload, &mut out);
        out.truncate(response.header.payload_len as usize);
        (response.header, out)
    };
    let (header, out) = answer(0xAA);
    assert_eq!((header, &out), (answer(0x55).0, &answer(0x55).1), "stale bytes in a response");
    assert_eq!((header.code, header.message_id), (request.code, request.message_id));
    let status = Status::from_code(header.transport_status).expect("a server sends known statuses");
    if status != Status::Ok {
        assert_eq!((header.flags, header.item_count, out.len()), (0, 1, 0));
    } else if header.is_batch() {
        let items = Items::read(&out, header.item_count, Rule::Free(0)).expect("a batch");
        items.iter().for_each(|item| readable::<S>(item));
    } else {
        readable::<S>(&out);
    }
    (status, out)
}

fn readable<S: Probe>(payload: &[u8]) {
    let view = S::read_reply(payload).expect("a client reads what a server writes");
    Look::at(payload, |look| S::look_at_reply(&view, look).expect("item by item as well"));
}

/// Reads a reply.
pub fn reply<S: Probe>(payload: &[u8]) {
    let Ok(view) = S::read_reply(payload) else { return };
    let look_at = |payload: &[u8], view: &S::ReplyView<'_>| {
        let mut read = Ok(());
        let digest = Look::at(payload, |look| read = S::look_at_reply(view, look));
        read.map(|()| digest)
    };
    let Ok(digest) = look_at(payload, &view) else { return };
    if let Some(again) = S::reply_again(&view) {
        let view = S::read_reply(&again).expect("what was read can be written");
        assert_eq!(look_at(&again, &view), Ok(digest), "written and read it is the same");
    }
}

/// Receives packets: the first four bytes say how large they may be, and which side receives.
pub fn packets(bytes: &[u8]) {
    let Some((&[low, high, role, items], bytes)) = bytes.split_first_chunk() else { return };
    let packet_size = u32::from(u16::from_le_bytes([low, high]));
    let role = if role & 1 == 0 { Role::Client } else { Role::Server };
    let incoming = Limits { payload_bytes: 1 << 16, items: u32::from(items) };
    let mut rules = Rules::new(role, &wire::unlimited(packet_size));
    rules.incoming = incoming;
    let mut end = wire::End { rules, packet_size, packets: wire::split(bytes) };
    for id in 0..4 {
        end.rules.send(&Header::request(1, id, 0)).expect("an id comes once");
    }
    while let Ok((header, payload)) = end.receive() {
        assert_eq!(payload.len(), header.payload_len as usize);
        if header.is_batch() && header.item_count > 1 {
            let items = Items::read(&payload, header.item_count, Rule::Free(0));
            let items = items.expect("a batch is checked when it is received");
            assert_eq!(items.iter().count(), header.item_count as usize);
        }
        again(&header, &payload, packet_size);
    }
}

/// Sends a message and receives it again.
fn again(header: &Header, payload: &[u8], packet_size: u32) {
    let rules = Rules::new(Role::Server, &wire::unlimited(packet_size));
    let Ok(sent) = wire::cut(header, payload, packet_size) else {
        assert!(packet_size <= 32 && !payload.is_empty(), "anything else can be sent");
        return;
    };
    let packets = sent.iter().map(Vec::as_slice);
    let received = wire::End { rules, packet_size, packets }.receive();
    assert_eq!(received.expect("it was sent"), (*header, payload.to_vec()));
}

/// Receives a HELLO, as a server.
pub fn hello(packet: &[u8]) {
    let terms = Terms {
        supported_profiles: 7,
        preferred_profiles: 4,
        max_request_payload_bytes: 1 << 16,
        max_response_payload_bytes: 1 << 16,
        max_response_ceiling: 1 << 20,
        auth_token: 0,
        packet_size: 1 << 16,
    };
    let Ok(hello) = Hello::from_packet(packet) else { return };
    assert_eq!(Hello::from_packet(&hello.packet()), Ok(hello));
    // Whoever knows the token gets this far.
    let hello = Hello { auth_token: terms.auth_token, ..hello };
    let Ok(agreement) = terms.agree(&hello, 7) else { return };
    // A client that proposes nothing in particular is given something, and others what they asked.
    let asked = Hello {
        max_request_payload_bytes: agreement.agreed_max_request_payload_bytes,
        max_request_batch_items: agreement.agreed_max_request_batch_items,
        ..hello
    };
    assert_eq!(asked.agreement(&agreement.packet()), Ok(agreement));
}

/// Receives a HELLO_ACK, as a client.
pub fn hello_ack(packet: &[u8]) {
    let hello = Hello {
        flags: 0,
        supported_profiles: 7,
        preferred_profiles: 4,
        max_request_payload_bytes: 1 << 16,
        max_request_batch_items: 16,
        max_response_payload_bytes: 1 << 16,
        max_response_batch_items: 16,
        auth_token: 7,
        packet_size: 1 << 16,
    };
    let Ok(agreement) = hello.agreement(packet) else { return };
    assert!(agreement.selected_profile.is_power_of_two());
    assert_ne!(agreement.selected_profile & hello.supported_profiles, 0);
    assert!(agreement.agreed_max_request_payload_bytes <= hello.max_request_payload_bytes);
    assert!(agreement.agreed_max_request_batch_items <= hello.max_request_batch_items);
    assert!((33..=hello.packet_size).contains(&agreement.agreed_packet_size));
    assert_eq!(hello.agreement(&agreement.packet()), Ok(agreement));
}

/// Puts a lookup of cgroups together from replies of any content.
pub fn stitch_cgroups(bytes: &[u8]) {
    let Some((limits, replies)) = stitch_input(bytes) else { return };
    let asked = replies.clone().next().and_then(|first| CgroupsLookup::read_reply(first).ok());
    let keys: Vec<&[u8]> = match &asked {
        Some(found) => found.iter().map(|item| item.key).collect(),
        None => vec![b"/a", b"/b", b"/c"],
    };
    stitch::<CgroupsLookup>(&keys, &limits, replies, CgroupsLookup::answer);
}

/// Puts a lookup of processes together from replies of any content.
pub fn stitch_apps(bytes: &[u8]) {
    let Some((limits, replies)) = stitch_input(bytes) else { return };
    let asked = replies.clone().next().and_then(|first| AppsLookup::read_reply(first).ok());
    let keys: Vec<u32> = match &asked {
        Some(found) => found.iter().map(|item| item.key).collect(),
        None => vec![1, 2, 3],
    };
    stitch::<AppsLookup>(&keys, &limits, replies, AppsLookup::answer);
}

/// The limits of a session, and the replies that come.
fn stitch_input(bytes: &[u8]) -> Option<(Agreement, impl Iterator<Item = &[u8]> + Clone)> {
    let (&[low, high, more_low, more_high], bytes) = bytes.split_first_chunk()?;
    let agreement = HelloAck {
        // Enough for the head of a request.
        agreed_max_request_payload_bytes: u16::from_le_bytes([low, high]).max(16).into(),
        agreed_max_response_payload_bytes: u16::from_le_bytes([more_low, more_high]).into(),
        ..wire::unlimited(65536)
    };
    Some((agreement, wire::split(bytes)))
}

/// Looks up `keys`. After `replies` comes what a server answers that is as it should be.
///
/// Returns the reply, or nothing if the lookup failed.
pub fn stitch<'k, L: Lookup>(
    keys: &'k [L::Key<'k>],
    limits: &Agreement,
    mut replies: impl Iterator<Item = impl AsRef<[u8]>>,
    server: impl Handler<L>,
) -> Option<Vec<u8>> {
    let ceilings = Ceilings { subcalls: 200, ..Ceilings::default() };
    let mut out = Vec::new();
    let mut stitch = Stitch::<L>::new(keys, ceilings, &mut out).ok()?;
    let mut request = Vec::new();
    loop {
        match stitch.next(limits).ok()? {
            Step::Done => break,
            Step::Grow(_) => {
                stitch.no_larger_request();
                continue;
            }
            Step::Ask => {}
        }
        request.resize(stitch.request_len(), 0xAA);
        assert!(request.len() <= limits.agreed_max_request_payload_bytes as usize);
        assert_eq!(stitch.write(&mut request), Ok(request.len()));
        let reply = match replies.next() {
            Some(reply) => reply.as_ref().to_vec(),
            None => {
                let mut reply = vec![0xAA; limits.agreed_max_response_payload_bytes as usize];
                match respond_one::<L>(&server, &request, &mut reply) {
                    Ok(length) => reply.truncate(length),
                    Err(Status::LimitExceeded) if stitch.halve() => continue,
                    Err(_) => return None,
                }
                reply
            }
        };
        if stitch.take(L::read_reply(&reply).ok()?).ok()? {
            stitched::<L>(keys, &reply);
            return Some(reply);
        }
    }
    stitch.finish();
    stitched::<L>(keys, &out);
    Some(out)
}

/// Checks that a reply has an answer for each key, in order.
fn stitched<'k, L: Lookup>(keys: &'k [L::Key<'k>], reply: &[u8]) {
    let found = L::read_reply(reply).expect("stitched replies read like others");
    assert_eq!(found.len() as usize, keys.len());
    for (&key, item) in keys.iter().zip(found.iter()) {
        assert!(key == item.key, "an answer to another key");
        assert!(!matches!(item.value, Err(Shortfall::PayloadExceeded)), "a key without an answer");
    }
}
