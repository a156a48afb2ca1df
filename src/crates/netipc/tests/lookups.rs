//! Lookups of many keys: how they are cut into requests, and what the answers must be like.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::{
    Dir, Running, client,
    lookup::{Says, all_known, by_hand, by_hand_within, lookup_server, reply, serve, within},
    patient, served,
};
use netipc::{
    ClientState, Declined, ErrorKind, SessionOptions, Text,
    kinds::{AppsLookup, CgroupsLookup, apps_lookup, cgroups_lookup::Cgroup},
    proto::{Keys, Replies, Shortfall},
};

#[test]
fn keys_left_out_at_the_end_are_asked_for_again() {
    let (_dir, fake, mut client) = by_hand(|listener| {
        let peer = listener.session();
        let asked = serve(&peer, |keys| {
            reply(
                3,
                &[(keys[0], Says::Known), (keys[1], Says::Exceeded), (keys[2], Says::Exceeded)],
            )
        });
        assert_eq!(asked, 3);
        assert_eq!(serve(&peer, all_known(3)), 2);
    });
    let found = client.lookup(&[b"/a", b"/b", b"/c"]).unwrap();
    assert_eq!((found.generation, found.len()), (3, 3));
    let keys: Vec<_> = found.iter().map(|item| item.key).collect();
    assert_eq!(keys, [b"/a", b"/b", b"/c"]);
    assert!(found.iter().all(|item| item.value.is_ok()));
    // Each request counts as a call.
    assert_eq!(client.status().call_count, 2);
    fake.finish();
}

#[test]
fn answers_that_are_not_to_what_was_asked_fail_without_a_retry() {
    type Answer = fn(&[&[u8]]) -> Vec<u8>;
    let cases: [(Answer, ErrorKind); 4] = [
        (|keys| all_known(1)(&keys[..1]), ErrorKind::Protocol),
        (|keys| all_known(1)(&[keys[1], keys[0]]), ErrorKind::Protocol),
        // Left out, but not those behind it.
        (|keys| reply(1, &[(keys[0], Says::Known), (keys[1], Says::Known)]), ErrorKind::Protocol),
        (|_| reply(1, &[]), ErrorKind::Protocol),
    ];
    for (number, (answer, kind)) in cases.into_iter().enumerate() {
        let (_dir, fake, mut client) = by_hand(move |listener| {
            let peer = listener.session();
            serve(&peer, |keys| match number {
                2 => {
                    // The middle one of three.
                    let says = [Says::Known, Says::Exceeded, Says::Known];
                    let says: Vec<_> = keys.iter().copied().zip(says).collect();
                    reply(1, &says)
                }
                _ => answer(keys),
            });
            peer.await_hangup();
            assert!(!listener.is_called());
        });
        let error = client.lookup(&[b"/a", b"/b", b"/c"]).map(drop).unwrap_err();
        assert_eq!(error.kind(), kind, "case {number}: {error}");
        assert_eq!(client.status().state, ClientState::Ready, "case {number}");
        assert_eq!(client.status().reconnect_count, 0);
        client.close();
        fake.finish();
    }
}

#[test]
fn a_first_key_that_is_too_large_among_others_is_asked_alone_before_it_is_believed() {
    let (_dir, fake, mut client) = by_hand(|listener| {
        let peer = listener.session();
        let first_oversized = |keys: &[&[u8]]| {
            let mut says: Vec<_> = keys.iter().map(|&key| (key, Says::Known)).collect();
            says[0].1 = Says::Oversized;
            reply(1, &says)
        };
        assert_eq!(serve(&peer, first_oversized), 2);
        assert_eq!(serve(&peer, all_known(1)), 1);
        assert_eq!(serve(&peer, first_oversized), 1);
    });
    let found = client.lookup(&[b"/a", b"/b"]).unwrap();
    let values: Vec<_> = found.iter().map(|item| item.value.map(drop)).collect();
    assert_eq!(values, [Ok(()), Err(Shortfall::Oversized)]);
    fake.finish();
}

#[test]
fn a_provider_that_changes_meanwhile_is_asked_from_the_start_once() {
    let partly = |generation: u64| {
        move |keys: &[&[u8]]| {
            let mut says: Vec<_> = keys.iter().map(|&key| (key, Says::Exceeded)).collect();
            says[0].1 = Says::Known;
            reply(generation, &says)
        }
    };
    let (_dir, fake, mut client) = by_hand(move |listener| {
        let peer = listener.session();
        assert_eq!(serve(&peer, partly(1)), 2);
        assert_eq!(serve(&peer, all_known(2)), 1);
        assert_eq!(serve(&peer, all_known(2)), 2);
        // And the second lookup, whose provider never rests.
        assert_eq!(serve(&peer, partly(3)), 2);
        assert_eq!(serve(&peer, partly(4)), 1);
        assert_eq!(serve(&peer, partly(4)), 2);
        assert_eq!(serve(&peer, partly(5)), 1);
        peer.await_hangup();
    });
    let found = client.lookup(&[b"/a", b"/b"]).unwrap();
    assert_eq!((found.generation, found.len()), (2, 2));
    let error = client.lookup(&[b"/a", b"/b"]).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(client.ready());
    client.close();
    fake.finish();
}

#[test]
fn a_session_that_breaks_in_the_middle_costs_one_request_not_all() {
    let (_dir, fake, mut client) = by_hand(|listener| {
        let peer = listener.session();
        serve(&peer, |keys| reply(1, &[(keys[0], Says::Known), (keys[1], Says::Exceeded)]));
        peer.receive_message().unwrap();
        drop(peer);
        let peer = listener.session();
        // Only the one that was not answered yet.
        assert_eq!(serve(&peer, all_known(1)), 1);
    });
    assert_eq!(client.lookup(&[b"/a", b"/b"]).unwrap().len(), 2);
    let status = client.status();
    assert_eq!((status.reconnect_count, status.call_count, status.error_count), (1, 2, 0));
    fake.finish();
}

#[test]
fn a_lookup_goes_on_over_another_carrier() {
    let (dir, fake, mut client) =
        by_hand_within(&SessionOptions::published_shared_memory(), |listener| {
            let peer = listener.session();
            serve(&peer, |keys| reply(7, &[(keys[0], Says::Known), (keys[1], Says::Exceeded)]));
            peer.receive_message().unwrap();
            // Its successor is there before it hangs up.
            let dir = listener.dir();
            drop(listener);
            let successor = lookup_server(&dir, &SessionOptions::published_shared_memory());
            drop(peer);
            successor
        });
    assert!(!client.session().unwrap().is_shared_memory());
    let found = client.lookup(&[b"/a", b"/b"]).unwrap();
    let keys: Vec<_> = found.iter().map(|item| (item.key, item.value.is_ok())).collect();
    assert_eq!(keys, [(&b"/a"[..], true), (b"/b", true)]);
    assert!(client.session().unwrap().is_shared_memory());
    assert_eq!(client.status().reconnect_count, 1);
    drop((fake.finish(), dir));
}

#[test]
fn a_reconnect_for_a_longer_key_that_fails_is_no_answer() {
    let (_dir, fake, mut client) = by_hand(|listener| {
        let first = listener.session();
        let second = listener.accept();
        assert!(second.hello().max_request_payload_bytes > 5000);
        first.await_hangup();
        second.await_hangup();
        assert!(!listener.is_called());
    });
    let long = vec![b'x'; 5000];
    let timeout = Duration::from_millis(200);
    let error = client.lookup_within(&[&long, b"/a"], timeout).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let status = client.status();
    assert_eq!((status.state, status.error_count), (ClientState::Broken, 1));
    fake.finish();
}

#[test]
fn a_client_without_a_session_answers_no_key_itself() {
    let dir = Dir::new();
    let session = within(1024);
    let mut client = patient::<CgroupsLookup>(&dir, "lookup", &session, Duration::ZERO);
    let long = vec![b'x'; 2 << 20];
    let error = client.lookup(&[&long]).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotReady);
    assert_eq!(client.status().error_count, 1);
}

#[test]
fn no_keys_are_asked_for_all_the_same() {
    let (_dir, fake, mut client) = by_hand(|listener| {
        assert_eq!(serve(&listener.session(), all_known(9)), 0);
    });
    let found = client.lookup(&[]).unwrap();
    assert_eq!((found.generation, found.len()), (9, 0));
    fake.finish();
}

#[test]
fn a_handler_that_answers_too_few_keys_is_no_answer() {
    let dir = Dir::new();
    let handler = |asked: &Keys<'_, CgroupsLookup>, reply: &mut Replies<'_, CgroupsLookup>| {
        for _ in 1..asked.len() {
            reply.push(&Cgroup::Unknown)?;
        }
        Ok::<(), Declined>(())
    };
    let session = SessionOptions::default();
    let _server = Running::<CgroupsLookup>::start(&dir, "lookup", served(&session), handler);
    let mut client = client::<CgroupsLookup>(&dir, "lookup", &session);
    let error = client.lookup(&[b"/a", b"/b"]).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);
}

#[test]
fn processes_are_looked_up_alike() {
    let dir = Dir::new();
    let session = within(4096);
    let handler = |asked: &Keys<'_, AppsLookup>, reply: &mut Replies<'_, AppsLookup>| {
        reply.generation = 3;
        for pid in asked.iter() {
            let comm = format!("p{pid}");
            // Of every third one nothing is known.
            reply.push(&(pid % 3 != 0).then(|| apps_lookup::Process {
                ppid: 1,
                uid: Some(pid),
                starttime: u64::from(pid) * 10,
                comm: Text::from(&*comm),
                cgroup: apps_lookup::Cgroup::HostRoot,
            }))?;
        }
        Ok::<(), Declined>(())
    };
    let _server = Running::<AppsLookup>::start(&dir, "apps", served(&session), handler);
    let mut client = client::<AppsLookup>(&dir, "apps", &session);
    let pids: Vec<u32> = (1..=2000).collect();
    let found = client.lookup(&pids).unwrap();
    assert_eq!((found.generation, found.len()), (3, 2000));
    for (item, pid) in found.iter().zip(1..) {
        let process = item.value.unwrap();
        assert_eq!((item.key, process.is_some()), (pid, pid % 3 != 0));
        let comm = process.map(|process| process.comm.to_string());
        assert_eq!(comm, (pid % 3 != 0).then(|| format!("p{pid}")));
    }
    assert!(client.status().call_count > 1);
}
