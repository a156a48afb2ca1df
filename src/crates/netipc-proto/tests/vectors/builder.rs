//! Replies and batches built within a budget.

use netipc_proto::{
    Found, Item, ItemsWriter, Labels, Lookup, Replies, Service, Text, Unwritable,
    kinds::{
        AppsLookup, CgroupsLookup, CgroupsSnapshot, Orchestrator, apps_lookup, cgroups_lookup,
        cgroups_snapshot,
    },
};
use serde_json::Value;

use crate::{
    file::{Vector, hex, list, number, unhex},
    outcome::{plain, same, unwritable},
    payloads::{self, lookup_fields},
};

/// What a handler is told of its answer; None if it contradicts its status, which the types of
/// answers do not allow.
type Pushed = Option<Result<(), Unwritable>>;

pub(crate) fn cgroups_lookup(vector: &Vector) -> Result<(), String> {
    lookup::<CgroupsLookup>(vector, push_cgroup, payloads::cgroup)
}

pub(crate) fn apps_lookup(vector: &Vector) -> Result<(), String> {
    lookup::<AppsLookup>(vector, push_process, payloads::process)
}

/// Answers the keys of a request as the vector says, and looks at what is left in the message.
fn lookup<L: Lookup>(
    vector: &Vector,
    push: fn(&mut Replies<'_, L>, &Value) -> Pushed,
    show: fn(&Item<'_, L>) -> Value,
) -> Result<(), String> {
    let request = vector.bytes("request");
    let asked = L::read_request(&request).map_err(|why| format!("request: {why}"))?;
    let mut out = vec![0xAA; number(vector.get("budget"))];
    let mut reply = match L::build_reply(&asked, &mut out) {
        Ok(reply) => reply,
        Err(why) => return built_as(vector, Err(why)),
    };
    let generation = vector.fields()["generation"].as_u64().or(vector.get("generation").as_u64());
    reply.generation = generation.expect("a vector gives the generation");
    for answer in list(vector.get("answers")) {
        let Some(pushed) = push(&mut reply, answer) else {
            // The types leave no way to say it: refused before it is written.
            return same("class", "BAD_LAYOUT", vector.error());
        };
        // A handler may ignore what it is told: the end of the reply tells it again.
        same("failure kept", reply.error(), pushed.err())?;
    }
    let built = L::finish_reply(reply);
    built_as(vector, built.map(|length| &out[..length]))?;
    if let (Ok(length), fields @ Value::Object(_)) = (built, vector.fields()) {
        let found: Found<'_, L> = L::read_reply(&out[..length]).map_err(|why| why.to_string())?;
        same("fields", lookup_fields(&found, show), plain(fields))?;
    }
    Ok(())
}

fn push_cgroup(reply: &mut Replies<'_, CgroupsLookup>, answer: &Value) -> Pushed {
    use cgroups_lookup::Cgroup;

    let name = unhex(&answer["name"]);
    let labels = labels(&answer["labels"]);
    let labels: Vec<_> = labels.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    let orchestrator = Orchestrator(number(&answer["orchestrator"]));
    let is_bare = orchestrator == Orchestrator::UNKNOWN && name.is_empty() && labels.is_empty();
    let (name, labels) = (Text::new(&name), Labels::new(&labels));
    let cgroup = match number::<u64>(&answer["status"]) {
        0 => Cgroup::Known { orchestrator, name, labels },
        1 if is_bare => Cgroup::RetryLater,
        2 if is_bare => Cgroup::Unknown,
        _ => return None,
    };
    Some(reply.push(&cgroup))
}

fn push_process(reply: &mut Replies<'_, AppsLookup>, answer: &Value) -> Pushed {
    use apps_lookup::{Cgroup, Process, UID_UNSET};

    let [comm, path, name] =
        ["comm", "cgroup_path", "cgroup_name"].map(|field| unhex(&answer[field]));
    let [comm, path, name] = [&comm, &path, &name].map(|bytes| Text::new(bytes));
    let labels = labels(&answer["labels"]);
    let labels: Vec<_> = labels.iter().map(|(key, value)| (&key[..], &value[..])).collect();
    let orchestrator = Orchestrator(number(&answer["orchestrator"]));
    let is_bare = orchestrator == Orchestrator::UNKNOWN && name.is_empty() && labels.is_empty();
    let cgroup = match number::<u64>(&answer["cgroup_status"]) {
        0 => Cgroup::Known { orchestrator, path, name, labels: Labels::new(&labels) },
        1 if is_bare => Cgroup::RetryLater { path },
        2 if is_bare => Cgroup::Unknown { path },
        3 if is_bare && path.is_empty() => Cgroup::HostRoot,
        _ => return None,
    };
    let (ppid, starttime) = (number(&answer["ppid"]), number(&answer["starttime"]));
    let uid = Some(number(&answer["uid"])).filter(|&uid| uid != UID_UNSET);
    let process = match number::<u64>(&answer["status"]) {
        0 => Some(Process { ppid, uid, starttime, comm, cgroup }),
        1 if (ppid, uid, starttime) == (0, None, 0) && is_bare && comm.is_empty() => None,
        _ => return None,
    };
    Some(reply.push(&process))
}

fn labels(pairs: &Value) -> Vec<(Vec<u8>, Vec<u8>)> {
    list(pairs).iter().map(|pair| (unhex(&pair[0]), unhex(&pair[1]))).collect()
}

pub(crate) fn snapshot(vector: &Vector) -> Result<(), String> {
    let input = vector.get("input");
    let mut out = vec![0xAA; number(&input["budget"])];
    let max_items = number(&input["max_items"]);
    let mut build = || {
        let mut reply = cgroups_snapshot::Builder::with_max_items(&mut out, max_items)?;
        reply.systemd_enabled = number(&input["systemd_enabled"]);
        reply.generation = number(&input["generation"]);
        for item in list(&input["items"]) {
            let (name, path) = (unhex(&item["name"]), unhex(&item["path"]));
            // What does not fit spoils the snapshot, whether the handler looks or not.
            let _ = reply.push(&cgroups_snapshot::Cgroup {
                hash: number(&item["hash"]),
                options: number(&item["options"]),
                enabled: number(&item["enabled"]),
                name: Text::new(&name),
                path: Text::new(&path),
            });
        }
        CgroupsSnapshot::finish_reply(reply)
    };
    let built = build();
    built_as(vector, built.map(|length| &out[..length]))
}

pub(crate) fn batch(vector: &Vector) -> Result<(), String> {
    let input = vector.get("input");
    let mut out = vec![0xAA; number(&input["budget"])];
    let max_items = number(&input["max_items"]);
    let mut build = || {
        let mut writer = ItemsWriter::new(&mut out, 0, max_items)?;
        for item in list(&input["items"]) {
            let item = unhex(item);
            writer.push(|to| {
                to.get_mut(..item.len()).ok_or(Unwritable::Full)?.copy_from_slice(&item);
                Ok(item.len())
            })?;
        }
        Ok(writer.finish_padded().1)
    };
    let built = build();
    built_as(vector, built.map(|length| &out[..length]))
}

/// Complains unless the vector wants these bytes, or this failure.
fn built_as(vector: &Vector, built: Result<&[u8], Unwritable>) -> Result<(), String> {
    match (built, vector.is_valid()) {
        (Ok(bytes), true) => same("bytes", hex(bytes), hex(&vector.bytes("hex"))),
        (Ok(bytes), false) => Err(format!("built {}", hex(bytes))),
        (Err(why), true) => Err(format!("refused: {why}")),
        (Err(why), false) => same("class", unwritable(why), vector.error()),
    }
}
