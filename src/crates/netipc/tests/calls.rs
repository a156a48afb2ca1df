//! Calls over both carriers, of any size.

mod common;

use common::{
    Dir, Running, carriers, client, increment_server, is_over, know_all, served, snapshot_of,
};
use netipc::{
    ErrorKind, ServerOptions, SessionOptions,
    kinds::{CgroupsLookup, CgroupsSnapshot, Increment, cgroups_lookup},
};

#[test]
fn answers_many_calls_of_one_client() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let _server = increment_server(&dir, served(&session));
        let mut client = client::<Increment>(&dir, "increment", &session);
        assert!(is_over(&client, carrier));
        for number in 0..2000 {
            assert_eq!(client.call(number).unwrap(), number + 1, "over {carrier}");
        }
        assert_eq!(client.status().call_count, 2000);
        assert_eq!(client.status().error_count, 0);
    }
}

#[test]
fn serves_a_snapshot_of_any_size_whole() {
    for (carrier, session) in carriers() {
        for count in [0, 1, 297, 1000, 4749] {
            let dir = Dir::new();
            let _server =
                Running::start(&dir, "cgroups-snapshot", served(&session), snapshot_of(count));
            let mut client = client::<CgroupsSnapshot>(&dir, "cgroups-snapshot", &session);
            let view = client.call(()).unwrap();
            assert_eq!(view.item_count, count, "over {carrier}");
            let names: Vec<_> = view.iter().map(|item| item.unwrap().name.to_string()).collect();
            assert_eq!(names.last().cloned(), count.checked_sub(1).map(|n| format!("cgroup_{n}")));
        }
    }
}

#[test]
fn serves_a_snapshot_above_a_mebibyte_where_it_may_grow_so_far() {
    for (carrier, session) in carriers() {
        let session = SessionOptions { response_growth_bytes: 16 << 20, ..session };
        let dir = Dir::new();
        let _server =
            Running::start(&dir, "cgroups-snapshot", served(&session), snapshot_of(20_000));
        let mut client = client::<CgroupsSnapshot>(&dir, "cgroups-snapshot", &session);
        assert_eq!(client.call(()).unwrap().item_count, 20_000, "over {carrier}");
    }
}

#[test]
fn refuses_a_snapshot_that_fits_no_response_and_says_so() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let _server =
            Running::start(&dir, "cgroups-snapshot", served(&session), snapshot_of(20_000));
        let mut client = client::<CgroupsSnapshot>(&dir, "cgroups-snapshot", &session);
        let error = client.call(()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "over {carrier}");
    }
}

#[test]
fn looks_up_more_keys_than_fit_a_message() {
    for (carrier, session) in carriers() {
        for limit in [1024, 4096, 65536] {
            for count in [0, 1, 16, 2000] {
                let session = SessionOptions {
                    max_request_payload_bytes: limit,
                    max_response_payload_bytes: limit,
                    ..session.clone()
                };
                let dir = Dir::new();
                let _server = Running::<CgroupsLookup>::start(
                    &dir,
                    "cgroups-lookup",
                    served(&session),
                    know_all,
                );
                let mut client = client::<CgroupsLookup>(&dir, "cgroups-lookup", &session);
                let paths: Vec<_> = (0..count).map(|n| format!("/{n}").into_bytes()).collect();
                let keys: Vec<_> = paths.iter().map(Vec::as_slice).collect();
                let found = client.lookup(&keys).unwrap();
                assert_eq!(found.generation, 7);
                assert_eq!(found.len(), count, "over {carrier} within {limit} bytes");
                for (item, key) in found.iter().zip(&keys) {
                    assert_eq!(item.key, *key);
                    let Ok(cgroups_lookup::Cgroup::Known { name, labels, .. }) = item.value else {
                        panic!("{item:?}");
                    };
                    assert_eq!(name.as_bytes(), [b"name of ", *key].concat());
                    assert_eq!(labels.len(), 1);
                }
            }
        }
    }
}

#[test]
fn a_failing_handler_is_reported_as_such_and_called_once() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let _server = increment_server(&dir, served(&session));
        let mut client = client::<Increment>(&dir, "increment", &session);
        let error = client.call(u64::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HandlerFailed, "over {carrier}");
        client.refresh();
        assert_eq!(client.call(1).unwrap(), 2);
        assert_eq!(client.status().reconnect_count, 1);
    }
}

#[test]
fn a_panicking_handler_costs_only_its_own_session() {
    for (carrier, session) in carriers() {
        let dir = Dir::new();
        let handler = |asked: &u64, reply: &mut netipc::kinds::increment::Number<'_>| {
            assert_ne!(*asked, 13, "a bug in the handler");
            common::add_one(asked, reply)
        };
        let _server = Running::<Increment>::start(&dir, "increment", served(&session), handler);
        let mut unlucky = client::<Increment>(&dir, "increment", &session);
        let mut other = client::<Increment>(&dir, "increment", &session);
        assert_eq!(unlucky.call(13).unwrap_err().kind(), ErrorKind::HandlerFailed, "{carrier}");
        assert_eq!(other.call(1).unwrap(), 2);
        assert_eq!(other.status().reconnect_count, 0);
    }
}

#[test]
fn a_thousand_clients_are_served_by_four_workers() {
    let dir = Dir::new();
    let session = SessionOptions::default();
    let options = ServerOptions { workers: 4, backlog: 128, ..served(&session) };
    let server = increment_server(&dir, options);
    let mut clients: Vec<_> =
        (0..1000).map(|_| client::<Increment>(&dir, "increment", &session)).collect();
    for (number, client) in (0..).zip(&mut clients) {
        assert_eq!(client.call(number).unwrap(), number + 1);
    }
    assert_eq!(server.server.sessions(), 1000);
}

#[test]
fn answers_a_batch_in_its_order_or_not_at_all() {
    for (carrier, session) in carriers() {
        let session = SessionOptions { max_request_batch_items: 64, ..session };
        let dir = Dir::new();
        let _server = increment_server(&dir, served(&session));
        let mut client = client::<Increment>(&dir, "increment", &session);
        for count in [0, 1, 2, 64] {
            let requests: Vec<u64> = (0..count).collect();
            let answers = client.call_batch(&requests).unwrap();
            let answers: Vec<_> = answers.iter().map(Result::unwrap).collect();
            assert_eq!(answers, (1..=count).collect::<Vec<_>>(), "over {carrier}");
        }
        let error = client.call_batch(&[1, u64::MAX, 3]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::HandlerFailed, "over {carrier}");
        client.refresh();
        let error = client.call_batch(&[0; 65]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitExceeded, "over {carrier}");
    }
}

#[test]
fn a_snapshot_is_not_asked_for_in_batches() {
    let session = SessionOptions { max_request_batch_items: 64, ..SessionOptions::default() };
    let dir = Dir::new();
    let _server = Running::start(&dir, "cgroups-snapshot", served(&session), snapshot_of(3));
    let mut client = client::<CgroupsSnapshot>(&dir, "cgroups-snapshot", &session);
    let error = client.call_batch(&[(), ()]).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("this kind is asked one at a time"), "{error}");
    let answers = client.call_batch(&[()]).unwrap();
    let counts: Vec<_> = answers.iter().map(|view| view.unwrap().item_count).collect();
    assert_eq!(counts, [3]);
}
