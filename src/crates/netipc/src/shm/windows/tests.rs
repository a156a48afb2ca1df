//! Objects that are made, and objects that are found; then sessions over them.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use netipc_proto::handshake::profile;

use super::{
    super::{LaneError, Place, RegionFault, Shared, Taken},
    Region,
};
use crate::testing::{child, part, unhex, vectors};

const MOST: usize = 4096;
const DIR: &str = "tests of shared memory";
const PROFILES: [u32; 2] = [profile::SHM_HYBRID, profile::SHM_FUTEX];

/// A session that no other test and no other process has.
fn place(profile: u32) -> Place<'static> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let session_id = u64::from(std::process::id()) << 32 | NUMBER.fetch_add(1, Relaxed);
    Place { dir: Path::new(DIR), service: "x", session_id, profile, auth_token: 7 }
}

fn ends(place: &Place<'_>) -> (Shared, Shared) {
    (Shared::create(place, 1024, 4096).unwrap(), Shared::attach(place).unwrap())
}

fn fault<T>(made: Result<T, crate::RegionError>) -> RegionFault {
    made.map(drop).unwrap_err().fault()
}

/// The next message of `end`.
fn next(end: &mut Shared) -> Vec<u8> {
    let Ok(Taken::Message(length)) = end.take(MOST, None) else { panic!("a message") };
    let mut bytes = vec![0; length];
    end.copy(0, &mut bytes);
    bytes
}

/// Answers until it is asked nothing.
fn echo(mut server: Shared) {
    loop {
        let question = next(&mut server);
        server.publish(b"re: ", &question).unwrap();
        if question == b"last" {
            return;
        }
    }
}

fn converse(client: &mut Shared, rounds: u32) {
    for round in 0..rounds {
        let question = round.to_ne_bytes().repeat(1 + round as usize % 200);
        client.publish(&question[..4], &question[4..]).unwrap();
        assert_eq!(next(client), [b"re: ", &question[..]].concat());
    }
    client.publish(b"last", b"").unwrap();
    assert_eq!(next(client), b"re: last");
}

#[test]
fn threads_converse_over_both_profiles() {
    for profile in PROFILES {
        let (server, mut client) = ends(&place(profile));
        thread::scope(|scope| {
            scope.spawn(|| echo(server));
            converse(&mut client, 2000);
        });
        assert_eq!((client.incoming_sequence(), client.outgoing_sequence()), (2001, 2001));
    }
}

#[test]
fn processes_converse_over_both_profiles() {
    let described = |place: &Place<'_>| format!("{} {}", place.profile, place.session_id);
    if let Some(told) = part() {
        let (profile, session_id) = told.split_once(' ').unwrap();
        let (profile, session_id) = (profile.parse().unwrap(), session_id.parse().unwrap());
        let mut client = Shared::attach(&Place { session_id, ..place(profile) }).unwrap();
        converse(&mut client, 500);
        return;
    }
    for profile in PROFILES {
        let place = place(profile);
        let server = Shared::create(&place, 1024, 4096).unwrap();
        let test = concat!(module_path!(), "::processes_converse_over_both_profiles");
        let mut client = child(test, &described(&place)).spawn().unwrap();
        echo(server);
        assert!(client.wait().unwrap().success());
    }
}

#[test]
fn a_region_is_as_the_vectors_say() {
    for vector in vectors("derived.json", "windows_region") {
        let (input, output) = (&vector["input"], &vector["output"]);
        let number = |value: &serde_json::Value| value.as_u64().unwrap() as u32;
        let place = place(number(&input["profile"]));
        let capacity = |payload: &str| number(&input[payload]) + 32;
        let region =
            Region::create(&place, capacity("request_payload"), capacity("response_payload"))
                .unwrap();
        let layout = region.layout();
        assert_eq!(layout.request.offset, number(&output["request_offset"]));
        assert_eq!(layout.request.capacity, number(&output["request_capacity"]));
        assert_eq!(layout.response.offset, number(&output["response_offset"]));
        assert_eq!(layout.response.capacity, number(&output["response_capacity"]));
        let header = unhex(&output["initial_header"]);
        let mut found = vec![0; header.len()];
        for (at, byte) in found.iter_mut().enumerate() {
            // SAFETY: the header lies at the start of the region, which lives, and nobody writes it.
            *byte = unsafe { region.start().add(at).read() };
        }
        assert_eq!(found, header, "{}", vector["id"]);
    }
}

#[test]
fn a_name_that_is_taken_is_not_used_again_until_its_last_user_is_gone() {
    for profile in PROFILES {
        let place = place(profile);
        let (server, client) = ends(&place);
        assert_eq!(fault(Shared::create(&place, 64, 64)), RegionFault::InUse);
        drop(server);
        assert_eq!(fault(Shared::create(&place, 64, 64)), RegionFault::InUse);
        drop(client);
        Shared::create(&place, 64, 64).unwrap();
        assert_eq!(fault(Shared::attach(&place)), RegionFault::Open);
    }
}

#[test]
fn only_who_knows_the_token_and_the_profile_finds_a_region() {
    let place = place(profile::SHM_HYBRID);
    let _server = Shared::create(&place, 64, 64).unwrap();
    let others = [
        Place { auth_token: 8, ..place },
        Place { profile: profile::SHM_FUTEX, ..place },
        Place { service: "y", ..place },
        Place { dir: Path::new("elsewhere"), ..place },
    ];
    for other in others {
        assert_eq!(fault(Shared::attach(&other)), RegionFault::Open, "{other:?}");
    }
    for profile in [0, 1, 3, 8] {
        let other = Place { profile, ..place };
        assert_eq!(fault(Shared::create(&other, 64, 64)), RegionFault::BadParam);
    }
    assert_eq!(
        fault(Shared::create(&Place { session_id: 0, ..place }, 0, 64)),
        RegionFault::BadParam
    );
}

#[test]
fn a_header_that_cannot_be_is_refused() {
    // Offset and value of one field, and what is wrong with it. Of each, what stands there is
    // 128, 64, 192 and 64 from offset 16 on.
    let cases: [(usize, u32, RegionFault); 16] = [
        (0, 0x4E53_484D, RegionFault::BadMagic),
        (0, 0, RegionFault::BadMagic),
        (4, 2, RegionFault::BadVersion),
        (8, 64, RegionFault::BadHeader),
        (12, 4, RegionFault::BadProfile),
        (16, 64, RegionFault::BadHeader),
        (16, 130, RegionFault::BadHeader),
        (20, 0, RegionFault::BadHeader),
        (20, 65, RegionFault::BadHeader),
        (20, 128, RegionFault::BadHeader),
        (20, 0xFFFF_FFC0, RegionFault::BadHeader),
        (24, 64, RegionFault::BadHeader),
        (24, 128, RegionFault::BadHeader),
        (28, 0, RegionFault::BadHeader),
        (28, 0xFFFF_FFC0, RegionFault::BadHeader),
        (28, 1 << 20, RegionFault::BadSize),
    ];
    for (at, value, expected) in cases {
        let place = place(profile::SHM_HYBRID);
        let server = Region::create(&place, 64, 64).unwrap();
        // SAFETY: the field lies in the header, which lives, and nobody reads it meanwhile.
        unsafe { server.start().add(at).cast::<u32>().write(value) };
        assert_eq!(fault(Region::attach(&place)), expected, "{value:#x} at {at}");
    }
}

#[test]
fn each_direction_has_its_own_capacity() {
    let (mut server, mut client) = ends(&place(profile::SHM_HYBRID));
    client.publish(&[1; 1024], b"").unwrap();
    assert_eq!(next(&mut server), [1; 1024]);
    let error = client.publish(&[1; 1025], b"").unwrap_err();
    assert_eq!(error, LaneError::TooLarge { length: 1025, most: 1024 });
    server.publish(&[2; 96], &[3; 4000]).unwrap();
    assert_eq!(next(&mut client).len(), 4096);
}

#[test]
fn a_message_sent_before_leaving_is_taken_first() {
    for profile in PROFILES {
        let (mut server, mut client) = ends(&place(profile));
        server.publish(b"last words", b"").unwrap();
        drop(server);
        assert_eq!(next(&mut client), b"last words");
        assert_eq!(client.take(MOST, None), Ok(Taken::Closed));
    }
}

#[test]
fn who_waits_notices_that_the_peer_leaves() {
    for profile in PROFILES {
        let (mut server, client) = ends(&place(profile));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| server.take(MOST, None));
            drop(client);
            assert_eq!(waiting.join().unwrap(), Ok(Taken::Closed));
        });
    }
}

#[test]
fn a_wait_is_neither_shortened_nor_endless() {
    for profile in PROFILES {
        let (mut server, mut client) = ends(&place(profile));
        for end in [&mut server, &mut client] {
            let until = Instant::now() + Duration::from_millis(20);
            assert_eq!(end.take(MOST, Some(until)), Ok(Taken::TimedOut));
            assert!(Instant::now() >= until);
        }
        // A time that is over, and one that no clock will see.
        assert_eq!(server.take(MOST, Some(Instant::now())), Ok(Taken::TimedOut));
        let never = Instant::now().checked_add(Duration::from_secs(1 << 40));
        client.publish(b"x", b"").unwrap();
        assert_eq!(server.take(MOST, never), Ok(Taken::Message(1)));
    }
}

#[test]
fn a_bell_ends_a_wait_and_outlives_the_session() {
    for profile in PROFILES {
        let (mut server, client) = ends(&place(profile));
        let bell = server.bell();
        for _ in 0..200 {
            thread::scope(|scope| {
                let waiting = scope.spawn(|| server.take(MOST, None));
                bell.ring();
                assert_eq!(waiting.join().unwrap(), Ok(Taken::Rung));
            });
        }
        drop((server, client));
        bell.ring();
    }
}

#[test]
fn a_peer_that_keeps_clearing_flags_cannot_keep_a_bell_from_being_heard() {
    let (mut server, client) = ends(&place(profile::SHM_HYBRID));
    let bell = server.bell();
    let done = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            while !done.load(Relaxed) {
                // SAFETY: the reader's flag lies in the header, which is there as long as the
                // client; it is only touched by atomics.
                let waiting = unsafe {
                    client.region().start().add(48).cast::<std::sync::atomic::AtomicU32>().as_ref()
                };
                waiting.store(0, Relaxed);
            }
        });
        for _ in 0..200 {
            thread::scope(|scope| {
                let waiting = scope.spawn(|| server.take(MOST, None));
                bell.ring();
                assert_eq!(waiting.join().unwrap(), Ok(Taken::Rung));
            });
        }
        done.store(true, Relaxed);
    });
}
