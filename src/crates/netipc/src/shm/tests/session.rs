//! Sessions between threads and between processes.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use rustix::thread::futex;

use super::super::{LaneError, Place, Shared, Taken};
use crate::{
    Error, ErrorKind,
    testing::{child, part, scratch},
};

const MOST: usize = 4096;

fn ends(dir: &Path) -> (Shared, Shared) {
    let server = Shared::create(&Place::new(dir, "x", 1), 1024, 4096).unwrap();
    let client = Shared::attach(&Place::new(dir, "x", 1)).unwrap();
    (server, client)
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
fn threads_converse() {
    let dir = scratch();
    let (server, mut client) = ends(dir.path());
    thread::scope(|scope| {
        scope.spawn(|| echo(server));
        converse(&mut client, 20_000);
    });
    assert_eq!((client.incoming_sequence(), client.outgoing_sequence()), (20_001, 20_001));
}

#[test]
fn processes_converse() {
    if let Some(dir) = part() {
        // Without spins every message is slept for.
        let mut client = Shared::attach(&Place::new(Path::new(&dir), "x", 1)).unwrap();
        client.set_spins(0);
        assert!(client.region().owner_alive());
        converse(&mut client, 2000);
        return;
    }
    let dir = scratch();
    let mut server = Shared::create(&Place::new(dir.path(), "x", 1), 1024, 4096).unwrap();
    server.set_spins(0);
    let test = concat!(module_path!(), "::processes_converse");
    let mut client = child(test, dir.path().to_str().unwrap()).spawn().unwrap();
    echo(server);
    assert!(client.wait().unwrap().success());
}

#[test]
fn each_direction_has_its_own_capacity() {
    let dir = scratch();
    let (mut server, mut client) = ends(dir.path());
    client.publish(&[1; 1024], b"").unwrap();
    assert_eq!(next(&mut server), [1; 1024]);
    let error = client.publish(&[1; 1025], b"").unwrap_err();
    assert_eq!(error, LaneError::TooLarge { length: 1025, most: 1024 });
    server.publish(&[2; 96], &[3; 4000]).unwrap();
    assert_eq!(next(&mut client).len(), 4096);
    assert!(server.publish(&[2; 97], &[3; 4000]).is_err());
    assert_eq!(Error::from(error).kind(), ErrorKind::LimitExceeded);
}

#[test]
fn every_word_is_where_the_protocol_says() {
    let dir = scratch();
    let (mut server, mut client) = ends(dir.path());
    let file = File::open(server.region().path()).unwrap();
    let bytes = |at: u32, len: usize| {
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, at.into()).unwrap();
        bytes
    };
    let words = |sequence, length, signal| {
        let word = |at| u32::from_ne_bytes(bytes(at, 4).try_into().unwrap());
        let sequence = u64::from_ne_bytes(bytes(sequence, 8).try_into().unwrap());
        (sequence, word(length), word(signal))
    };
    let layout = server.region().layout();
    client.publish(b"ques", b"tion").unwrap();
    assert_eq!(words(32, 48, 56), (1, 8, 1));
    assert_eq!(words(40, 52, 60), (0, 0, 0));
    assert_eq!(bytes(layout.request.offset, 8), b"question");
    assert_eq!(next(&mut server), b"question");
    for sent in 1..=3 {
        server.publish(b"ans", b"wer").unwrap();
        assert_eq!(words(32, 48, 56), (1, 8, 1));
        assert_eq!(words(40, 52, 60), (sent, 6, sent as u32));
        assert_eq!(bytes(layout.response.offset, 6), b"answer");
    }
}

#[test]
fn a_wait_in_shared_memory_is_neither_shortened_nor_endless() {
    let dir = scratch();
    let (mut server, mut client) = ends(dir.path());
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

#[test]
fn a_bell_ends_a_sleep() {
    let dir = scratch();
    let (server, client) = ends(dir.path());
    for mut end in [server, client] {
        end.set_spins(0);
        let bell = end.bell();
        for _ in 0..1000 {
            thread::scope(|scope| {
                let waiting = scope.spawn(|| end.take(MOST, None));
                bell.ring();
                assert_eq!(waiting.join().unwrap(), Ok(Taken::Rung));
            });
        }
    }
}

/// Rings for a server that waits, again and again, while its client keeps doing `harm` to the word
/// the server sleeps on, with another word of the region at hand.
fn rings_are_heard_in_spite_of(harm: impl Fn(&AtomicU32, &AtomicU32) + Send) {
    let dir = scratch();
    let (mut server, client) = ends(dir.path());
    server.set_spins(0);
    let bell = server.bell();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let done = &done;
        scope.spawn(move || {
            let word = |at| {
                // SAFETY: both lie in the header, which is there as long as the client.
                unsafe { client.region().start().byte_add(at).cast::<AtomicU32>().as_ref() }
            };
            while !done.load(SeqCst) {
                harm(word(56), word(60));
            }
        });
        for _ in 0..1000 {
            thread::scope(|scope| {
                let waiting = scope.spawn(|| server.take(MOST, None));
                bell.ring();
                assert_eq!(waiting.join().unwrap(), Ok(Taken::Rung));
            });
        }
        done.store(true, SeqCst);
    });
}

#[test]
fn a_peer_that_turns_the_signal_back_cannot_keep_a_bell_from_being_heard() {
    rings_are_heard_in_spite_of(|signal, _| signal.store(0, SeqCst));
}

#[test]
fn a_peer_that_leads_sleepers_away_cannot_keep_a_bell_from_being_heard() {
    rings_are_heard_in_spite_of(|signal, other| {
        let all = i32::MAX.unsigned_abs();
        futex::requeue(signal, futex::Flags::empty(), 0, all, other).unwrap();
    });
}

#[test]
fn a_bell_outlives_its_session() {
    let dir = scratch();
    let (server, client) = ends(dir.path());
    let bell = server.bell();
    drop((server, client));
    bell.ring();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}
