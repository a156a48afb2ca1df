//! How much a lookup may be: keys, bytes, requests, time.
#![cfg(any(target_os = "linux", windows))]
#![allow(clippy::unwrap_used)]

mod common;

use std::{cell::RefCell, ops::RangeInclusive, time::Duration};

use common::{
    Dir, Running, client,
    lookup::{Says, by_hand, lookup_server, reply, within},
    served, timed,
};
use netipc::{
    Ceilings, Client, ClientOptions, ClientState, Declined, ErrorKind, SessionOptions, Text, Wait,
    kinds::{AppsLookup, CgroupsLookup, apps_lookup::Process, cgroups_lookup::Cgroup},
    proto::{Item, Keys, Lookup, Malformed, Pen, Reader, Replies, Service, Shortfall, Unwritable},
};

fn paths(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|number| format!("/{number:x}").into_bytes()).collect()
}

/// Knows a short name of every cgroup, and nothing else.
fn know_little(
    asked: &Keys<'_, CgroupsLookup>,
    reply: &mut Replies<'_, CgroupsLookup>,
) -> Result<(), Declined> {
    let cgroup = Cgroup::Known {
        orchestrator: netipc::kinds::Orchestrator::DOCKER,
        name: Text::new(b"twelve bytes"),
        labels: netipc::Labels::NONE,
    };
    Ok(asked.iter().try_for_each(|_| reply.push(&cgroup))?)
}

#[test]
fn as_many_keys_as_a_lookup_may_have_fit_any_limit() {
    let paths = paths(65536);
    let keys: Vec<_> = paths.iter().map(Vec::as_slice).collect();
    for limit in [1024, 4096, 65536] {
        let session = within(limit);
        let dir = Dir::new();
        // A kibibyte holds few answers. With 18 bytes for path and name there are just enough.
        let _server = match limit {
            1024 => Running::start(&dir, "lookup", served(&session), know_little),
            _ => lookup_server(&dir, &session),
        };
        let mut client = client::<CgroupsLookup>(&dir, "lookup", &session);
        let found = client.lookup(&keys).unwrap();
        assert_eq!(found.len() as usize, keys.len(), "within {limit} bytes");
        assert!(found.iter().zip(&keys).all(|(item, key)| item.key == *key && item.value.is_ok()));
        let status = client.status();
        assert_eq!((status.error_count, status.reconnect_count), (0, 0));
    }
}

#[test]
fn answers_too_long_for_the_requests_a_lookup_may_take_are_refused_and_not_cut() {
    let paths = paths(65536);
    let keys: Vec<_> = paths.iter().map(Vec::as_slice).collect();
    let session = within(1024);
    let dir = Dir::new();
    let _server = lookup_server(&dir, &session);
    let mut client = client::<CgroupsLookup>(&dir, "lookup", &session);
    let error = client.lookup(&keys).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::LimitExceeded);
    assert!(error.to_string().contains("65536 keys within 4096 requests"), "{error}");
    let status = client.status();
    assert_eq!((status.state, status.reconnect_count), (ClientState::Ready, 0));
    assert_eq!((status.call_count, status.error_count), (4096, 1));

    // Who wants them all the same says so.
    let ceilings = Ceilings { subcalls: 65536, ..Ceilings::default() };
    let options = ClientOptions { session, ceilings, ..ClientOptions::default() };
    let mut client = Client::<CgroupsLookup>::with_options(&dir, "lookup", options);
    client.refresh();
    let found = client.lookup(&keys).unwrap();
    assert!(found.iter().zip(&keys).all(|(item, key)| item.key == *key && item.value.is_ok()));
}

#[test]
fn the_largest_lookup_of_processes_needs_more_than_the_smallest_limit() {
    let pids: Vec<u32> = (1..=65536).collect();
    for (limit, fits) in [(1024, false), (4096, true), (65536, true)] {
        let session = within(limit);
        let dir = Dir::new();
        let handler = |asked: &Keys<'_, AppsLookup>, reply: &mut Replies<'_, AppsLookup>| {
            asked.iter().try_for_each(|_| reply.push(&None))?;
            Ok::<(), Declined>(())
        };
        let _server = Running::<AppsLookup>::start(&dir, "apps", served(&session), handler);
        let mut client = client::<AppsLookup>(&dir, "apps", &session);
        match client.lookup(&pids) {
            Ok(found) => {
                assert!(fits, "within {limit} bytes");
                let answered = found.iter().map(|item| (item.key, item.value));
                assert!(answered.eq(pids.iter().map(|&pid| (pid, Ok(None)))));
            }
            Err(error) => {
                assert!(!fits, "within {limit} bytes: {error}");
                assert_eq!(error.kind(), ErrorKind::LimitExceeded);
                assert!(client.ready());
            }
        }
    }
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

/// Processes, whose answers run a hook of this thread when they are read.
struct Watched;

thread_local! {
    static ON_ANSWER: RefCell<Option<Box<dyn FnMut()>>> = const { RefCell::new(None) };
}

impl Lookup for Watched {
    const METHOD: u16 = <AppsLookup as Lookup>::METHOD;
    const NAME: &'static str = <AppsLookup as Lookup>::NAME;
    const KEY: RangeInclusive<usize> = AppsLookup::KEY;
    const ITEM: usize = AppsLookup::ITEM;

    type Key<'a> = u32;
    type Value<'a> = Option<Process<'a>>;

    fn key_len(pid: u32) -> usize {
        AppsLookup::key_len(pid)
    }

    fn bare_len(pid: u32) -> usize {
        AppsLookup::bare_len(pid)
    }

    fn outline(item: &[u8]) -> Result<(u32, Option<Shortfall>), Malformed> {
        AppsLookup::outline(item)
    }

    fn write_key(pid: u32, pen: &mut Pen<'_>) -> Result<(), Unwritable> {
        AppsLookup::write_key(pid, pen)
    }

    fn read_key(reader: Reader<'_>) -> Result<u32, Malformed> {
        AppsLookup::read_key(reader)
    }

    fn write(
        pid: u32,
        process: Result<&Option<Process<'_>>, Shortfall>,
        pen: &mut Pen<'_>,
    ) -> Result<(), Unwritable> {
        <AppsLookup as Lookup>::write(pid, process, pen)
    }

    fn read(reader: Reader<'_>) -> Result<Item<'_, Self>, Malformed> {
        if let Some(mut hook) = ON_ANSWER.take() {
            hook();
        }
        let Item { key, value } = AppsLookup::read(reader)?;
        Ok(Item { key, value })
    }
}

#[test]
fn a_lookup_that_is_over_between_two_requests_leaves_its_session_and_counts_no_error() {
    let session = within(1024);
    let dir = Dir::new();
    let handler = |asked: &Keys<'_, AppsLookup>, reply: &mut Replies<'_, AppsLookup>| {
        asked.iter().try_for_each(|_| reply.push(&None))?;
        Ok::<(), Declined>(())
    };
    let _server = Running::<AppsLookup>::start(&dir, "apps", served(&session), handler);
    let mut client = client::<Watched>(&dir, "apps", &session);
    let pids: Vec<u32> = (1..=100).collect();

    let abort = client.abort().clone();
    ON_ANSWER.set(Some(Box::new(move || abort.set())));
    let error = client.lookup(&pids).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Aborted);
    let status = client.status();
    assert_eq!((status.state, status.error_count), (ClientState::Ready, 0));
    assert_eq!(status.call_count, 1, "the answer to the first request came");
    assert!(client.last_error().is_some());
    client.abort().clear();

    let timeout = Duration::from_millis(500);
    ON_ANSWER.set(Some(Box::new(move || {
        let past = Wait::at_most(timeout);
        while past.remaining().is_ok() {
            std::thread::yield_now();
        }
    })));
    let error = client.lookup_within(&pids, timeout).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let status = client.status();
    assert_eq!((status.state, status.error_count), (ClientState::Ready, 0));

    // The last answer is not thrown away because it came late.
    ON_ANSWER.set(Some(Box::new(move || {
        let past = Wait::at_most(timeout);
        while past.remaining().is_ok() {
            std::thread::yield_now();
        }
    })));
    assert_eq!(client.lookup_within(&pids[..1], timeout).unwrap().len(), 1);
    assert_eq!(client.status().reconnect_count, 0);
}
