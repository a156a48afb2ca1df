//! The golden vectors, checked without any I/O.
//!
//! `vectors/*.json` are read, and those of the directory that `NETIPC_VECTORS` names as well.

mod builder;
mod derived;
mod envelope;
mod file;
mod handshake;
mod outcome;
mod payloads;
mod service;
mod stream;
#[path = "../doors/wire.rs"]
mod wire;

use std::collections::BTreeSet;

use file::Vector;

/// Holds one vector against the code; what differs if they disagree.
type Check = fn(&Vector) -> Result<(), String>;

/// What is tested here, by target.
const CHECKS: &[(&str, Check)] = &[
    ("header", envelope::header),
    ("chunk", envelope::part_header),
    ("hello", envelope::hello),
    ("hello_ack", envelope::hello_ack),
    ("batch", envelope::batch),
    ("increment", payloads::increment),
    ("string_reverse", payloads::string_reverse),
    ("cgroups_snapshot_request", payloads::snapshot_request),
    ("cgroups_snapshot_response", payloads::snapshot_reply),
    ("cgroups_lookup_request", payloads::cgroups_request),
    ("cgroups_lookup_response", payloads::cgroups_reply),
    ("apps_lookup_request", payloads::apps_request),
    ("apps_lookup_response", payloads::apps_reply),
    ("server_handshake", handshake::server),
    ("client_handshake", handshake::client),
    ("receive", stream::receive),
    ("send", stream::send),
    ("increment_service", service::increment),
    ("cgroups_lookup_dispatch", builder::cgroups_lookup),
    ("apps_lookup_dispatch", builder::apps_lookup),
    ("snapshot_build", builder::snapshot),
    ("batch_build", builder::batch),
    ("next_pow2", derived::next_pow2),
];

/// Names and regions belong to the crate that touches them, and are tested there.
const ELSEWHERE: &[&str] = &[
    "djb2",
    "fnv1a64",
    "posix_paths",
    "posix_region",
    "posix_region_attach",
    "service_name",
    "windows_names",
    "windows_region",
];

#[test]
fn every_vector_holds() {
    let vectors = file::load();
    let mut failures = Vec::new();
    for &(target, check) in CHECKS {
        let of_target: Vec<_> = vectors.iter().filter(|vector| vector.target() == target).collect();
        assert!(!of_target.is_empty(), "no vector for {target}");
        for vector in of_target {
            // A vector may allow a second outcome; what the first one missed is reported.
            let alternative = || vector.alternative().is_some_and(|other| check(&other).is_ok());
            if let Err(why) = check(vector)
                && !alternative()
            {
                failures.push(format!("{} ({target}): {why}", vector.id()));
            }
        }
    }
    let (failed, total) = (failures.len(), vectors.len());
    assert!(failures.is_empty(), "{failed} of {total} vectors:\n{}", failures.join("\n"));
}

#[test]
fn every_target_has_a_check() {
    let known = CHECKS.iter().map(|&(target, _)| target).chain(ELSEWHERE.iter().copied());
    let known: BTreeSet<_> = known.collect();
    let vectors = file::load();
    let unknown: BTreeSet<_> =
        vectors.iter().map(Vector::target).filter(|target| !known.contains(target)).collect();
    assert!(unknown.is_empty(), "targets without a check: {unknown:?}");
}

#[test]
fn every_rule_stands_in_the_protocol() {
    let protocol = include_str!("../../../../../PROTOCOL.md");
    let cells = protocol.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let rules: BTreeSet<_> = cells.flat_map(str::split_whitespace).collect();
    let vectors = file::load();
    let missing: BTreeSet<_> =
        vectors.iter().filter_map(Vector::rule).filter(|rule| !rules.contains(rule)).collect();
    assert!(missing.is_empty(), "rules without a definition: {missing:?}");
}
