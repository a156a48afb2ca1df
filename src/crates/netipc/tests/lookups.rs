//! Lookups of many keys: how they are cut into requests, and what the answers must be like.
#![allow(clippy::unwrap_used)]

mod common;

use std::{path::Path, time::Duration};

use common::{
    Dir, Running, client, know_all, patient,
    peer::{Fake, Peer, RawListener},
    served, timed,
};
use netipc::{
    Ceilings, Client, ClientOptions, ClientState, Declined, ErrorKind, SessionOptions, Text,
    kinds::{AppsLookup, CgroupsLookup, apps_lookup, cgroups_lookup::Cgroup},
    proto::{
        ItemsWriter, Keys, LookupReplyHeader, Replies, Room, Service, Shortfall, Status, push_item,
    },
};

fn within(limit: u32) -> SessionOptions {
    SessionOptions {
        max_request_payload_bytes: limit,
        max_response_payload_bytes: limit,
        ..SessionOptions::default()
    }
}

fn lookup_server(dir: &Path, session: &SessionOptions) -> Running<CgroupsLookup> {
    Running::start(dir, "lookup", served(session), know_all)
}

#[test]
fn as_many_keys_as_a_lookup_may_have_fit_any_limit() {
    for limit in [1024, 4096, 65536] {
        let session = within(limit);
        let dir = Dir::new();
        let _server = lookup_server(&dir, &session);
        let mut client = client::<CgroupsLookup>(&dir, "lookup", &session);
        let paths: Vec<_> = (0..65536).map(|n| format!("/{n:x}").into_bytes()).collect();
        let keys: Vec<_> = paths.iter().map(Vec::as_slice).collect();
        // A kibibyte holds so few answers that more requests are needed than usually allowed.
        let keys = if limit == 1024 { &keys[..30_000] } else { &keys[..] };
        let found = client.lookup(keys).unwrap();
        assert_eq!(found.len() as usize, keys.len(), "within {limit} bytes");
        assert!(found.iter().zip(keys).all(|(item, key)| item.key == *key && item.value.is_ok()));
        assert_eq!(client.status().error_count, 0);
        assert_eq!(client.status().reconnect_count, 0);
    }
}

/// What a server by hand says of a key.
#[derive(Clone, Copy)]
enum Says {
    Known,
    /// Not in this message.
    Exceeded,
    /// In none; only for the first key.
    Oversized,
}

/// A reply of `generation` that says this of these keys.
fn reply(generation: u64, says: &[(&[u8], Says)]) -> Vec<u8> {
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
fn serve(peer: &Peer, answer: impl FnOnce(&[&[u8]]) -> Vec<u8>) -> usize {
    let (request, payload) = peer.receive_message().unwrap();
    let keys = CgroupsLookup::read_request(&payload).unwrap();
    let keys: Vec<_> = keys.iter().collect();
    peer.respond(&request, Status::Ok.code(), &answer(&keys));
    keys.len()
}

fn all_known(generation: u64) -> impl Fn(&[&[u8]]) -> Vec<u8> {
    move |keys| reply(generation, &keys.iter().map(|&key| (key, Says::Known)).collect::<Vec<_>>())
}

fn by_hand<T: Send + 'static>(
    script: impl FnOnce(RawListener) -> T + Send + 'static,
) -> (Dir, Fake<T>, Client<CgroupsLookup>) {
    let dir = Dir::new();
    let fake = Fake::start(&dir, "lookup", script);
    let session = SessionOptions::default();
    let mut client = patient(&dir, "lookup", &session, Duration::from_secs(30));
    client.refresh();
    assert!(client.ready());
    (dir, fake, client)
}

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
fn a_lookup_has_one_deadline_for_all_its_requests() {
    let (_dir, fake, mut client) = by_hand(|listener| {
        let peer = listener.session();
        loop {
            let Some((request, payload)) = peer.receive_message() else { return };
            let keys = CgroupsLookup::read_request(&payload).unwrap();
            // One more each time, each long before the deadline, for longer than it.
            let rest = netipc::Wait::at_most(Duration::from_millis(20));
            while rest.remaining().is_ok() {
                std::thread::yield_now();
            }
            let mut says: Vec<_> = keys.iter().map(|key| (key, Says::Exceeded)).collect();
            says[0].1 = Says::Known;
            let reply = reply(1, &says);
            let header = netipc::proto::Header { kind: netipc::proto::Kind::Response, ..request };
            if peer.try_send(&common::peer::message(&header, &reply)).is_err() {
                return;
            }
        }
    });
    let names: Vec<_> = (0..60).map(|n| format!("/{n}").into_bytes()).collect();
    let keys: Vec<_> = names.iter().map(Vec::as_slice).collect();
    let timeout = Duration::from_millis(200);
    let (ended, took) = timed(|| client.lookup_within(&keys, timeout).map(drop));
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(took >= timeout && took < Duration::from_secs(10), "{took:?}");
    assert!(client.status().call_count > 0);
    drop(client);
    fake.finish();
}

#[test]
fn ceilings_end_a_lookup_and_leave_the_session() {
    let dir = Dir::new();
    let session = within(1024);
    let _server = lookup_server(&dir, &session);
    let names: Vec<_> = (0..200).map(|n| format!("/{n}").into_bytes()).collect();
    let keys: Vec<_> = names.iter().map(Vec::as_slice).collect();
    let usual = Ceilings::default();
    let ceilings = [
        (Ceilings { items: 199, ..usual }, 0),
        (Ceilings { subcalls: 3, ..usual }, 3),
        (Ceilings { response_bytes: 9000, ..usual }, 1),
    ];
    for (ceilings, least_calls) in ceilings {
        let options = ClientOptions { session: session.clone(), ceilings, ..Default::default() };
        let mut client = Client::<CgroupsLookup>::with_options(&*dir, "lookup", options);
        client.refresh();
        let error = client.lookup(&keys).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "{ceilings:?}");
        assert_eq!(client.status().state, ClientState::Ready, "{ceilings:?}");
        assert!(client.status().call_count >= least_calls, "{ceilings:?}");
        assert_eq!(client.status().call_count == 0, least_calls == 0, "{ceilings:?}");
        assert_eq!(client.lookup(&keys[..10]).unwrap().len(), 10);
    }
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
fn a_key_that_fits_no_request_is_answered_here_and_the_others_there() {
    let dir = Dir::new();
    let session = within(1024);
    let _server = lookup_server(&dir, &session);
    // It would grow up to what it may, which the server does not take.
    let mut client = client::<CgroupsLookup>(&dir, "lookup", &session);
    let long = vec![b'x'; 2 << 20];
    let found = client.lookup(&[b"/a", &long, b"/b"]).unwrap();
    let values: Vec<_> = found.iter().map(|item| item.value.map(drop)).collect();
    assert_eq!(values, [Ok(()), Err(Shortfall::Oversized), Ok(())]);
    assert_eq!(found.get(1).unwrap().key, long);
    // The generation comes from the server even if it is asked for nothing.
    let found = client.lookup(&[&long]).unwrap();
    assert_eq!((found.generation, found.len()), (7, 1));
    assert!(client.ready());
}

#[test]
fn a_key_longer_than_the_session_takes_makes_it_grow() {
    let dir = Dir::new();
    let _server = lookup_server(&dir, &SessionOptions::default());
    let mut client = client::<CgroupsLookup>(&dir, "lookup", &SessionOptions::default());
    let long = vec![b'x'; 5000];
    let found = client.lookup(&[b"/a", &long]).unwrap();
    assert!(found.iter().all(|item| item.value.is_ok()));
    assert_eq!(client.status().reconnect_count, 1);
}

#[test]
fn a_value_that_fits_no_response_is_oversized_and_others_are_not() {
    let dir = Dir::new();
    let session = within(1024);
    let handler = |asked: &Keys<'_, CgroupsLookup>, reply: &mut Replies<'_, CgroupsLookup>| {
        for path in asked.iter() {
            let name = if path == b"/big" { vec![b'n'; 5000] } else { b"small".to_vec() };
            reply.push(&Cgroup::Known {
                orchestrator: netipc::kinds::Orchestrator::DOCKER,
                name: Text::new(&name),
                labels: netipc::Labels::new(&[]),
            })?;
        }
        Ok::<(), Declined>(())
    };
    let _server = Running::<CgroupsLookup>::start(&dir, "lookup", served(&session), handler);
    let mut client = client::<CgroupsLookup>(&dir, "lookup", &session);
    for keys in [[&b"/big"[..], b"/a", b"/b"], [b"/a", b"/big", b"/b"], [b"/a", b"/b", b"/big"]] {
        let found = client.lookup(&keys).unwrap();
        for item in found.iter() {
            assert_eq!(item.value.is_err(), item.key == b"/big", "{item:?}");
        }
    }
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
