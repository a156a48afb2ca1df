//! Messages that were valid until something happened to them.
//!
//! Each goes through the door it is meant for, and the door must hold (see `doors`).

mod doors;
mod random;
mod samples;

use doors::wire;
use netipc_proto::{
    Header,
    kinds::{AppsLookup, CgroupsLookup, CgroupsSnapshot, Increment, StringReverse},
};
use random::{Random, rounds};
use samples::*;

#[test]
fn requests_are_read_or_refused() {
    rounds(300, |random| {
        through(random, doors::request::<Increment>, increment_request);
        through(random, doors::request::<StringReverse>, string_request);
        through(random, doors::request::<CgroupsSnapshot>, snapshot_request);
        through(random, doors::request::<CgroupsLookup>, cgroups_request);
        through(random, doors::request::<AppsLookup>, apps_request);
    });
}

#[test]
fn replies_are_read_or_refused() {
    rounds(2000, |random| {
        through(random, doors::reply::<Increment>, |random| {
            reply::<Increment>(random, increment_request)
        });
        through(random, doors::reply::<StringReverse>, |random| {
            reply::<StringReverse>(random, string_request)
        });
        through(random, doors::reply::<CgroupsSnapshot>, snapshot_reply);
        through(random, doors::reply::<CgroupsLookup>, |random| {
            reply::<CgroupsLookup>(random, cgroups_request)
        });
        through(random, doors::reply::<AppsLookup>, |random| {
            reply::<AppsLookup>(random, apps_request)
        });
    });
}

#[test]
fn lookups_are_put_together_or_refused() {
    rounds(1000, |random| {
        through(random, doors::stitch_cgroups, |random| {
            let parts = replies::<CgroupsLookup>(random, cgroups_request);
            in_session(random.next() as u32, parts)
        });
        through(random, doors::stitch_apps, |random| {
            let parts = replies::<AppsLookup>(random, apps_request);
            in_session(random.next() as u32, parts)
        });
    });
}

#[test]
fn packets_are_joined_or_refused() {
    rounds(5000, |random| {
        through(random, doors::packets, |random| {
            let packet_size = 33 + random.below(200) as u32;
            let payload = random.text(1000);
            let header = Header {
                flags: random.below(2) as u16,
                item_count: random.below(20) as u32,
                ..Header::request(1, random.below(4) as u64, payload.len() as u32)
            };
            let packets = wire::cut(&header, &payload, packet_size).expect("it can be sent");
            in_session(packet_size | (random.next() as u32) << 16, packets)
        });
    });
}

#[test]
fn handshakes_are_agreed_or_refused() {
    rounds(5000, |random| {
        through(random, doors::hello, |random| hello(random).packet().to_vec());
        through(random, doors::hello_ack, |random| hello_ack(random).packet().to_vec());
    });
}

/// Sends a message through its door, as it is and damaged.
fn through(random: &mut Random, door: fn(&[u8]), message: fn(&mut Random) -> Vec<u8>) {
    let mut message = message(random);
    door(&message);
    for _ in 0..=random.below(4) {
        damage(random, &mut message);
    }
    // A message may start anywhere in memory.
    message.insert(0, 0xAA);
    door(&message[1..]);
}

fn damage(random: &mut Random, message: &mut Vec<u8>) {
    let at = random.below(message.len());
    let length = random.below(17).min(message.len() - at);
    match random.below(7) {
        0 => message.truncate(at),
        1 => message.extend(random.text(40)),
        2 => message.drain(at..at + length).for_each(drop),
        3 => {
            let from = random.below(message.len() - length + 1);
            message.copy_within(at..at + length, from);
        }
        4 => message.splice(at..at, random.text(20)).for_each(drop),
        5 if !message.is_empty() => message[at] ^= 1 << random.below(8),
        _ => {
            // A field that says something else.
            let size = random.one_of(&[2, 4, 8]);
            let at = at - at % size;
            let number = random.number().to_ne_bytes();
            if let Some(field) = message.get_mut(at..at + size) {
                field.copy_from_slice(&number[..size]);
            }
        }
    }
}
