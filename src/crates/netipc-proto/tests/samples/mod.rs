//! Valid messages of every kind, as random as they may be.
#![allow(dead_code, unreachable_pub, reason = "each test uses another part")]

use netipc_proto::{
    Hello, HelloAck, Service, Text,
    kinds::{AppsLookup, CgroupsLookup, CgroupsSnapshot, StringReverse, cgroups_snapshot},
    respond_one,
};

use crate::{doors::Probe, random::Random};

pub fn increment_request(random: &mut Random) -> Vec<u8> {
    random.number().to_ne_bytes().to_vec()
}

pub fn string_request(random: &mut Random) -> Vec<u8> {
    let text = random.text(200);
    let mut out = vec![0; StringReverse::encoded_len(text.len())];
    StringReverse::write_request(&text, &mut out).expect("there is room");
    out
}

pub fn snapshot_request(_: &mut Random) -> Vec<u8> {
    let mut out = vec![0; 4];
    CgroupsSnapshot::write_request((), &mut out).expect("there is room");
    out
}

pub fn snapshot_reply(random: &mut Random) -> Vec<u8> {
    let mut out = vec![0xAA; 8192];
    let mut reply = cgroups_snapshot::Builder::new(&mut out).expect("there is room");
    (reply.systemd_enabled, reply.generation) = (1, random.number());
    for _ in 0..random.below(30) {
        let (name, path) = (random.text(20), random.text(80));
        let (name, path) = (Text::new(&name), Text::new(&path));
        let hash = random.next() as u32;
        reply
            .push(&cgroups_snapshot::Cgroup { hash, options: 0, enabled: 1, name, path })
            .expect("there is room");
    }
    let length = CgroupsSnapshot::finish_reply(reply).expect("there is room");
    out.truncate(length);
    out
}

pub fn cgroups_request(random: &mut Random) -> Vec<u8> {
    let paths: Vec<_> =
        (0..random.below(12)).map(|_| [b"/", &random.text(40)[..]].concat()).collect();
    let paths: Vec<_> = paths.iter().map(Vec::as_slice).collect();
    let mut out = vec![0; CgroupsLookup::request_len(&paths)];
    CgroupsLookup::write_request(&paths, &mut out).expect("there is room");
    out
}

pub fn apps_request(random: &mut Random) -> Vec<u8> {
    let pids: Vec<_> = (0..random.below(12)).map(|_| random.number() as u32).collect();
    let mut out = vec![0; AppsLookup::request_len(&pids)];
    AppsLookup::write_request(&pids, &mut out).expect("there is room");
    out
}

/// A reply, sometimes one with little room.
pub fn reply<S: Probe>(random: &mut Random, request: fn(&mut Random) -> Vec<u8>) -> Vec<u8> {
    let request = request(random);
    let mut out = vec![0xAA; random.one_of(&[65536, 65536, 4000, 2000])];
    let length = respond_one::<S>(&S::answer, &request, &mut out).unwrap_or(0);
    out.truncate(length);
    out
}

pub fn replies<S: Probe>(random: &mut Random, request: fn(&mut Random) -> Vec<u8>) -> Vec<Vec<u8>> {
    (0..random.below(4)).map(|_| reply::<S>(random, request)).collect()
}

/// Messages of one session, as a door takes them.
pub fn in_session(limits: u32, messages: Vec<Vec<u8>>) -> Vec<u8> {
    let mut bytes = limits.to_le_bytes().to_vec();
    for message in messages {
        bytes.extend((message.len() as u16).to_le_bytes());
        bytes.extend(message);
    }
    bytes
}

pub fn hello(random: &mut Random) -> Hello {
    Hello {
        flags: 0,
        supported_profiles: random.below(16) as u32,
        preferred_profiles: random.below(16) as u32,
        max_request_payload_bytes: random.below(1 << 17) as u32,
        max_request_batch_items: random.number() as u32,
        max_response_payload_bytes: random.number() as u32,
        max_response_batch_items: random.number() as u32,
        auth_token: random.number(),
        packet_size: random.number() as u32,
    }
}

pub fn hello_ack(random: &mut Random) -> HelloAck {
    HelloAck {
        server_supported_profiles: 7,
        intersection_profiles: random.below(16) as u32,
        selected_profile: 1 << random.below(4),
        agreed_max_request_payload_bytes: random.below(1 << 17) as u32,
        agreed_max_request_batch_items: random.below(20) as u32,
        agreed_max_response_payload_bytes: random.number() as u32,
        agreed_max_response_batch_items: random.number() as u32,
        agreed_packet_size: random.number() as u32,
        reserved: random.number() as u32,
        session_id: random.number(),
    }
}
