//! Reading and answering allocate nothing: a message costs no more than its bytes.

mod doors;
mod random;
mod samples;

use allocation_counter::measure;
use doors::{Look, Probe};
use netipc_proto::{
    Header, Hello,
    kinds::{AppsLookup, CgroupsLookup, CgroupsSnapshot, Increment, StringReverse},
    respond,
};
use random::{Random, rounds};
use samples::*;

#[test]
fn reading_a_request_allocates_nothing() {
    rounds(50, |random| {
        request_is_read::<Increment>(&increment_request(random));
        request_is_read::<StringReverse>(&string_request(random));
        request_is_read::<CgroupsSnapshot>(&snapshot_request(random));
        request_is_read::<CgroupsLookup>(&cgroups_request(random));
        request_is_read::<AppsLookup>(&apps_request(random));
    });
}

fn request_is_read<S: Probe>(payload: &[u8]) {
    let allocations = measure(|| {
        let asked = S::read_request(payload).expect("it is valid");
        Look::at(payload, |look| S::look_at_request(&asked, look));
    });
    assert_eq!(allocations.count_total, 0, "{}", S::NAME);
}

#[test]
fn reading_a_reply_allocates_nothing() {
    rounds(50, |random| {
        reply_is_read::<Increment>(&reply::<Increment>(random, |_| vec![7; 8]));
        reply_is_read::<StringReverse>(&reply::<StringReverse>(random, string_request));
        reply_is_read::<CgroupsSnapshot>(&snapshot_reply(random));
        reply_is_read::<CgroupsLookup>(&reply::<CgroupsLookup>(random, cgroups_request));
        reply_is_read::<AppsLookup>(&reply::<AppsLookup>(random, apps_request));
    });
}

fn reply_is_read<S: Probe>(payload: &[u8]) {
    let allocations = measure(|| {
        let view = S::read_reply(payload).expect("it is valid");
        Look::at(payload, |look| S::look_at_reply(&view, look).expect("it is valid"));
    });
    assert_eq!(allocations.count_total, 0, "{}", S::NAME);
}

#[test]
fn answering_allocates_nothing() {
    rounds(50, |random| {
        request_is_answered::<Increment>(random, increment_request);
        request_is_answered::<StringReverse>(random, string_request);
        request_is_answered::<CgroupsSnapshot>(random, snapshot_request);
        request_is_answered::<CgroupsLookup>(random, cgroups_request);
        request_is_answered::<AppsLookup>(random, apps_request);
    });
}

fn request_is_answered<S: Probe>(random: &mut Random, request: fn(&mut Random) -> Vec<u8>) {
    let payload = request(random);
    let header = Header::request(S::METHOD, 1, payload.len() as u32);
    let mut out = vec![0; random.one_of(&[100, 1000, 65536])];
    let allocations = measure(|| {
        respond::<S>(&S::answer, &header, &payload, &mut out);
    });
    assert_eq!(allocations.count_total, 0, "{}", S::NAME);
}

#[test]
fn a_handshake_allocates_nothing() {
    rounds(50, |random| {
        let (hello, ack) = (hello(random), hello_ack(random));
        let allocations = measure(|| {
            assert_eq!(Hello::from_packet(&hello.packet()), Ok(hello));
            // Agreed or not, it is read.
            let _ = hello.agreement(&ack.packet());
        });
        assert_eq!(allocations.count_total, 0);
    });
}
