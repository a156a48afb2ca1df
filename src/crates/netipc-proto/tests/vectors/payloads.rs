//! Requests and replies of every kind.

use netipc_proto::{
    Found, Item, Labels, Lookup, Service, Shortfall, Text,
    kinds::{
        AppsLookup, CgroupsLookup, CgroupsSnapshot, Increment, Orchestrator, StringReverse,
        apps_lookup, apps_lookup::UID_UNSET, cgroups_lookup, cgroups_snapshot,
    },
};
use serde_json::{Value, json};

use crate::{
    file::{Vector, hex},
    outcome::{decode, same},
};

pub(crate) fn increment(vector: &Vector) -> Result<(), String> {
    decode(vector, |bytes| {
        let value = Increment::read_request(bytes)?;
        Ok((json!({ "value": value }), Some(request::<Increment>(value))))
    })?;
    decode(vector, |bytes| {
        let value = Increment::read_reply(bytes)?;
        let again = reply::<Increment>(&request::<Increment>(0), |reply| reply.value = value);
        Ok((json!({ "value": value }), Some(again)))
    })
}

pub(crate) fn string_reverse(vector: &Vector) -> Result<(), String> {
    decode(vector, |bytes| {
        let text = StringReverse::read_request(bytes)?;
        Ok((json!({ "str": string(text) }), Some(request::<StringReverse>(text.as_bytes()))))
    })?;
    decode(vector, |bytes| {
        let text = StringReverse::read_reply(bytes)?;
        let again = reply::<StringReverse>(&request::<StringReverse>(b""), |reply| {
            reply.set(text.as_bytes()).expect("there is room");
        });
        Ok((json!({ "str": string(text) }), Some(again)))
    })
}

pub(crate) fn snapshot_request(vector: &Vector) -> Result<(), String> {
    decode(vector, |bytes| {
        CgroupsSnapshot::read_request(bytes)?;
        Ok((json!({ "layout_version": 1, "flags": 0 }), Some(request::<CgroupsSnapshot>(()))))
    })
}

pub(crate) fn snapshot_reply(vector: &Vector) -> Result<(), String> {
    if vector.get("context")["fails_at"].is_string() {
        same("head", CgroupsSnapshot::read_reply(&vector.bytes("hex")).is_ok(), true)?;
    }
    decode(vector, |bytes| {
        let view = CgroupsSnapshot::read_reply(bytes)?;
        let items = view.iter().collect::<Result<Vec<_>, _>>()?;
        let fields = json!({
            "systemd_enabled": view.systemd_enabled,
            "generation": view.generation,
            "items": items.iter().map(snapshot_item).collect::<Vec<_>>(),
        });
        let again = reply::<CgroupsSnapshot>(&request::<CgroupsSnapshot>(()), |reply| {
            (reply.systemd_enabled, reply.generation) = (view.systemd_enabled, view.generation);
            items.iter().for_each(|item| reply.push(item).expect("there is room"));
        });
        Ok((fields, Some(again)))
    })
}

fn snapshot_item(item: &cgroups_snapshot::Cgroup<'_>) -> Value {
    let &cgroups_snapshot::Cgroup { hash, options, enabled, name, path } = item;
    json!({
        "hash": hash,
        "options": options,
        "enabled": enabled,
        "name": string(name),
        "path": string(path),
    })
}

pub(crate) fn cgroups_request(vector: &Vector) -> Result<(), String> {
    decode(vector, |bytes| {
        let paths: Vec<_> = CgroupsLookup::read_request(bytes)?.iter().collect();
        let fields = json!({
            "paths": paths.iter().map(|path| json!({ "hex": hex(path) })).collect::<Vec<_>>(),
        });
        Ok((fields, Some(request::<CgroupsLookup>(&paths))))
    })
}

pub(crate) fn apps_request(vector: &Vector) -> Result<(), String> {
    decode(vector, |bytes| {
        let pids: Vec<_> = AppsLookup::read_request(bytes)?.iter().collect();
        Ok((json!({ "pids": pids }), Some(request::<AppsLookup>(&pids))))
    })
}

pub(crate) fn cgroups_reply(vector: &Vector) -> Result<(), String> {
    lookup_reply::<CgroupsLookup>(vector, cgroup, |paths| request::<CgroupsLookup>(paths))
}

pub(crate) fn apps_reply(vector: &Vector) -> Result<(), String> {
    lookup_reply::<AppsLookup>(vector, process, |pids| request::<AppsLookup>(pids))
}

fn lookup_reply<L: Lookup>(
    vector: &Vector,
    show: fn(&Item<'_, L>) -> Value,
    ask: fn(&[L::Key<'_>]) -> Vec<u8>,
) -> Result<(), String> {
    decode(vector, |bytes| {
        let found = L::read_reply(bytes)?;
        let by_index: Option<Vec<_>> = (0..found.len()).map(|index| found.get(index)).collect();
        let by_index: Vec<_> = by_index.expect("every item").iter().map(show).collect();
        let fields = lookup_fields(&found, show);
        assert_eq!(
            fields["items"],
            Value::from(by_index),
            "one by one they are the same as in a row"
        );
        Ok((fields, answer_again(&found, ask)))
    })
}

/// A lookup reply as the vectors spell it.
pub(crate) fn lookup_fields<L: Lookup>(
    found: &Found<'_, L>,
    show: fn(&Item<'_, L>) -> Value,
) -> Value {
    let items: Vec<_> = found.iter().map(|item| show(&item)).collect();
    json!({ "generation": found.generation, "items": items })
}

/// The reply of a handler that answers the same.
///
/// None if a value is missing: a handler cannot say that, only the lack of room does.
fn answer_again<L: Lookup>(
    found: &Found<'_, L>,
    ask: fn(&[L::Key<'_>]) -> Vec<u8>,
) -> Option<Vec<u8>> {
    let items: Vec<_> = found.iter().collect();
    let values: Vec<_> =
        items.iter().map(|item| item.value.as_ref().ok()).collect::<Option<_>>()?;
    let keys: Vec<_> = items.iter().map(|item| item.key).collect();
    Some(reply::<L>(&ask(&keys), |reply| {
        reply.generation = found.generation;
        values.into_iter().for_each(|value| reply.push(value).expect("there is room"));
    }))
}

pub(crate) fn cgroup(item: &Item<'_, CgroupsLookup>) -> Value {
    let (status, known) = match item.value {
        Ok(cgroups_lookup::Cgroup::Known { orchestrator, name, labels }) => {
            (0, Some((orchestrator, name, labels)))
        }
        Ok(cgroups_lookup::Cgroup::RetryLater) => (1, None),
        Ok(cgroups_lookup::Cgroup::Unknown) => (2, None),
        Err(Shortfall::PayloadExceeded) => (3, None),
        Err(Shortfall::Oversized) => (4, None),
    };
    let (orchestrator, name, labels) = known.unwrap_or_default();
    json!({
        "status": status,
        "orchestrator": orchestrator.0,
        "path": { "hex": hex(item.key) },
        "name": string(name),
        "labels": pairs(labels),
    })
}

pub(crate) fn process(item: &Item<'_, AppsLookup>) -> Value {
    let (status, process) = match item.value {
        Ok(Some(process)) => (0, Some(process)),
        Ok(None) => (1, None),
        Err(Shortfall::PayloadExceeded) => (2, None),
        Err(Shortfall::Oversized) => (3, None),
    };
    let nothing = (Orchestrator::UNKNOWN, Text::default(), Labels::NONE);
    let (cgroup_status, path, (orchestrator, name, labels)) = match process.map(|it| it.cgroup) {
        Some(apps_lookup::Cgroup::Known { orchestrator, path, name, labels }) => {
            (0, path, (orchestrator, name, labels))
        }
        Some(apps_lookup::Cgroup::RetryLater { path }) => (1, path, nothing),
        Some(apps_lookup::Cgroup::Unknown { path }) => (2, path, nothing),
        Some(apps_lookup::Cgroup::HostRoot) => (3, Text::default(), nothing),
        None => (0, Text::default(), nothing),
    };
    json!({
        "status": status,
        "cgroup_status": cgroup_status,
        "orchestrator": orchestrator.0,
        "pid": item.key,
        "ppid": process.map_or(0, |it| it.ppid),
        "uid": process.and_then(|it| it.uid).unwrap_or(UID_UNSET),
        "starttime": process.map_or(0, |it| it.starttime),
        "comm": string(process.map_or(Text::default(), |it| it.comm)),
        "cgroup_path": string(path),
        "cgroup_name": string(name),
        "labels": pairs(labels),
    })
}

fn string(text: Text<'_>) -> Value {
    json!({ "hex": hex(text.as_bytes()) })
}

fn pairs(labels: Labels<'_>) -> Vec<Value> {
    labels.iter().map(|(key, value)| json!([string(key), string(value)])).collect()
}

/// A request as a client writes it.
fn request<S: Service>(request: S::Request<'_>) -> Vec<u8> {
    let mut out = vec![0xAA; S::request_len(request)];
    let length = S::write_request(request, &mut out).expect("there is room");
    assert_eq!(length, out.len(), "another length than promised");
    out
}

/// A reply as a handler writes it.
fn reply<S: Service>(request: &[u8], fill: impl FnOnce(&mut S::ReplyBuilder<'_>)) -> Vec<u8> {
    let mut out = vec![0xAA; 1 << 20];
    let asked = S::read_request(request).expect("a client wrote it");
    let mut builder = S::build_reply(&asked, &mut out).expect("there is room");
    fill(&mut builder);
    let length = S::finish_reply(builder).expect("it is complete");
    out.truncate(length);
    out
}
