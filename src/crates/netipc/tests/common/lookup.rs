//! Servers of lookups: one that knows all, and one by hand that may break the rules.

use std::path::Path;

use netipc::{
    Client, SessionOptions, Text,
    kinds::{CgroupsLookup, cgroups_lookup::Cgroup},
    proto::{ItemsWriter, LookupReplyHeader, Room, Service, Status, push_item},
};

use super::{
    Dir, PATIENCE, Running, know_all, patient,
    peer::{Fake, Peer, RawListener},
    served,
};

pub fn within(limit: u32) -> SessionOptions {
    SessionOptions {
        max_request_payload_bytes: limit,
        max_response_payload_bytes: limit,
        ..SessionOptions::default()
    }
}

pub fn lookup_server(dir: &Path, session: &SessionOptions) -> Running<CgroupsLookup> {
    Running::start(dir, "lookup", served(session), know_all)
}

/// What a server by hand says of a key.
#[derive(Clone, Copy)]
pub enum Says {
    Known,
    /// Not in this message.
    Exceeded,
    /// In none; only for the first key.
    Oversized,
}

/// A reply of `generation` that says this of these keys.
pub fn reply(generation: u64, says: &[(&[u8], Says)]) -> Vec<u8> {
    let mut out = vec![0; 4096];
    let count = says.len() as u32;
    let mut items = ItemsWriter::new(&mut out, LookupReplyHeader::LEN, count).unwrap();
    for &(key, says) in says {
        let name = match says {
            Says::Oversized => vec![b'n'; 8192],
            Says::Known | Says::Exceeded => b"name".to_vec(),
        };
        let value = Cgroup::Known {
            orchestrator: netipc::kinds::Orchestrator::DOCKER,
            name: Text::new(&name),
            labels: netipc::Labels::new(&[]),
        };
        let room = Room { keys: count, behind: None };
        let mut full = matches!(says, Says::Exceeded);
        // What is not wanted in a message is said of any but the first key of it.
        push_item::<CgroupsLookup>(&mut items, key, Ok(&value), room, &mut full).unwrap();
    }
    let (out, len) = items.finish();
    LookupReplyHeader { item_count: count, generation }.write(out);
    out[..len].to_vec()
}

/// The keys of the next request, which is answered with what `answer` makes of them.
pub fn serve(peer: &Peer, answer: impl FnOnce(&[&[u8]]) -> Vec<u8>) -> usize {
    let (request, payload) = peer.receive_message().unwrap();
    let keys = CgroupsLookup::read_request(&payload).unwrap();
    let keys: Vec<_> = keys.iter().collect();
    peer.respond(&request, Status::Ok.code(), &answer(&keys));
    keys.len()
}

pub fn all_known(generation: u64) -> impl Fn(&[&[u8]]) -> Vec<u8> {
    move |keys| reply(generation, &keys.iter().map(|&key| (key, Says::Known)).collect::<Vec<_>>())
}

pub fn by_hand<T: Send + 'static>(
    script: impl FnOnce(RawListener) -> T + Send + 'static,
) -> (Dir, Fake<T>, Client<CgroupsLookup>) {
    by_hand_within(&SessionOptions::default(), script)
}

/// A server that does what `script` says, and a client that is connected to it.
pub fn by_hand_within<T: Send + 'static>(
    session: &SessionOptions,
    script: impl FnOnce(RawListener) -> T + Send + 'static,
) -> (Dir, Fake<T>, Client<CgroupsLookup>) {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "lookup", script);
    let mut client = patient(&dir, "lookup", session, PATIENCE);
    client.refresh();
    assert!(client.ready());
    (dir, fake, client)
}
