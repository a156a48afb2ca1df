//! Messages as files: written from their values, read and written again. Their names are those of
//! the vectors they equal.

use std::{fs, num::NonZeroU32, path::PathBuf};

use anyhow::{Context, Result, bail};
use netipc::{
    Labels,
    kinds::{
        AppsLookup, CgroupsLookup, CgroupsSnapshot, Increment, Orchestrator, StringReverse,
        apps_lookup::{self, Process},
        cgroups_lookup, cgroups_snapshot,
    },
    proto::{
        Found, Header, Hello, HelloAck, Items, ItemsWriter, Lookup, PartHeader, Replies, Rule,
        Service,
    },
};

use crate::{Meeting, say, wait_for_the_end};

const BATCH: [&[u8]; 4] = [b"a", b"1234567", b"12345678", b"123456789"];

/// The server's part: writes every message.
pub(crate) fn write(meeting: &Meeting<'_>) -> Result<()> {
    let lines: String =
        messages()?.iter().map(|(name, bytes)| format!("{name} {}\n", hex(bytes))).collect();
    fs::write(file(meeting, "server"), lines).context("write the messages")?;
    say("READY")?;
    wait_for_the_end()
}

/// The client's part: reads them, and writes what it read.
pub(crate) fn write_again(meeting: &Meeting<'_>) -> Result<()> {
    let text = fs::read_to_string(file(meeting, "server")).context("read the messages")?;
    let mut lines = String::new();
    for line in text.lines() {
        let (name, digits) = line.split_once(' ').context("a line without a message")?;
        let bytes = again(name, &bytes(digits)?).with_context(|| name.to_owned())?;
        lines.push_str(&format!("{name} {}\n", hex(&bytes)));
    }
    fs::write(file(meeting, "client"), lines).context("write the messages again")
}

fn file(meeting: &Meeting<'_>, side: &str) -> PathBuf {
    meeting.dir.join(format!("{}.{side}", meeting.service))
}

fn messages() -> Result<Vec<(&'static str, Vec<u8>)>> {
    let header =
        Header { flags: Header::BATCH, item_count: 3, ..Header::request(Increment::METHOD, 9, 48) };
    let part = PartHeader {
        message_id: 5,
        total_message_len: 1000,
        chunk_index: 11,
        chunk_count: 12,
        chunk_payload_len: NonZeroU32::new(8).context("8 is not 0")?,
    };
    let hello = Hello {
        flags: 0,
        supported_profiles: 3,
        preferred_profiles: 2,
        max_request_payload_bytes: 4096,
        max_request_batch_items: 16,
        max_response_payload_bytes: 65536,
        max_response_batch_items: 16,
        auth_token: 0x1122_3344_5566_7788,
        packet_size: 65536,
    };
    let ack = HelloAck {
        server_supported_profiles: 7,
        intersection_profiles: 3,
        selected_profile: 2,
        agreed_max_request_payload_bytes: 4096,
        agreed_max_request_batch_items: 16,
        agreed_max_response_payload_bytes: 65536,
        agreed_max_response_batch_items: 16,
        agreed_packet_size: 65536,
        reserved: 0,
        session_id: 42,
    };
    let docker = cgroups_snapshot::Cgroup {
        hash: 3_381_825_264,
        options: 3,
        enabled: 1,
        name: "docker-abc".into(),
        path: "/sys/fs/cgroup/docker/abc".into(),
    };
    let pod = cgroups_lookup::Cgroup::Known {
        orchestrator: Orchestrator::K8S,
        name: "pod1".into(),
        labels: Labels::new(&[(b"ns", b"default"), (b"app", b"web")]),
    };
    let nginx = Process {
        ppid: 1,
        uid: Some(1000),
        starttime: 987_654_321,
        comm: "nginx".into(),
        cgroup: apps_lookup::Cgroup::Known {
            orchestrator: Orchestrator::DOCKER,
            path: "/docker/abc".into(),
            name: "web".into(),
            labels: Labels::new(&[(b"image", b"nginx:1"), (b"env", b"")]),
        },
    };
    let sshd = Process {
        ppid: 0,
        uid: Some(0),
        starttime: 5,
        comm: "sshd".into(),
        cgroup: apps_lookup::Cgroup::HostRoot,
    };
    let later = cgroups_lookup::Cgroup::RetryLater;
    Ok(vec![
        ("hdr-batch-3", header.to_bytes().into()),
        ("chk-last", fixed::<{ PartHeader::LEN }>(|out| part.write(out))),
        ("hel-shm", fixed::<{ Hello::LEN }>(|out| hello.write(out))),
        ("ack-shm", fixed::<{ HelloAck::LEN }>(|out| ack.write(out))),
        ("bat-odd-lengths", batch(&BATCH)?),
        ("inc-9223372036854775808", request::<Increment>(1 << 63)?),
        ("str-inner-nul", request::<StringReverse>(b"a\0b")?),
        ("snq", request::<CgroupsSnapshot>(())?),
        ("snr-same-name-twice", snapshot(0, 1, &[docker, docker])?),
        ("cgq-lengths", request::<CgroupsLookup>(&[b"/", b"/123456", b"/1234567", b"/12345678"])?),
        (
            "cgr-labels",
            found::<CgroupsLookup>(9, &request::<CgroupsLookup>(&[b"/kubepods/pod1"])?, &[pod])?,
        ),
        (
            "cgr-status-1",
            found::<CgroupsLookup>(1, &request::<CgroupsLookup>(&[b"/unknown/1"])?, &[later])?,
        ),
        ("apq-extremes", request::<AppsLookup>(&[0, 1, i32::MAX as u32, u32::MAX])?),
        ("apr-full", found::<AppsLookup>(3, &request::<AppsLookup>(&[1234])?, &[Some(nginx)])?),
        ("apr-host-root", found::<AppsLookup>(0, &request::<AppsLookup>(&[2])?, &[Some(sshd)])?),
        ("apr-status-1", found::<AppsLookup>(1, &request::<AppsLookup>(&[41])?, &[None])?),
    ])
}

/// The message `name`, read and written.
fn again(name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    Ok(match name {
        "hdr-batch-3" => Header::read(bytes)?.to_bytes().into(),
        "chk-last" => {
            let part = PartHeader::read(bytes)?;
            fixed::<{ PartHeader::LEN }>(|out| part.write(out))
        }
        "hel-shm" => {
            let hello = Hello::read(bytes)?;
            fixed::<{ Hello::LEN }>(|out| hello.write(out))
        }
        "ack-shm" => {
            let ack = HelloAck::read(bytes)?;
            fixed::<{ HelloAck::LEN }>(|out| ack.write(out))
        }
        "bat-odd-lengths" => {
            let items = Items::read(bytes, BATCH.len() as u32, Rule::Free(1))?;
            batch(&items.iter().collect::<Vec<_>>())?
        }
        "inc-9223372036854775808" => request::<Increment>(Increment::read_reply(bytes)?)?,
        "str-inner-nul" => request::<StringReverse>(StringReverse::read_reply(bytes)?.as_bytes())?,
        "snq" => {
            CgroupsSnapshot::read_request(bytes)?;
            request::<CgroupsSnapshot>(())?
        }
        "snr-same-name-twice" => {
            let view = CgroupsSnapshot::read_reply(bytes)?;
            let items = view.iter().collect::<Result<Vec<_>, _>>()?;
            snapshot(view.systemd_enabled, view.generation, &items)?
        }
        "cgq-lengths" => {
            let paths: Vec<_> = CgroupsLookup::read_request(bytes)?.iter().collect();
            request::<CgroupsLookup>(&paths)?
        }
        "apq-extremes" => {
            let pids: Vec<_> = AppsLookup::read_request(bytes)?.iter().collect();
            request::<AppsLookup>(&pids)?
        }
        "cgr-labels" | "cgr-status-1" => {
            let view = CgroupsLookup::read_reply(bytes)?;
            let paths: Vec<_> = view.iter().map(|item| item.key).collect();
            let asked = request::<CgroupsLookup>(&paths)?;
            found::<CgroupsLookup>(view.generation, &asked, &values(view)?)?
        }
        "apr-full" | "apr-host-root" | "apr-status-1" => {
            let view = AppsLookup::read_reply(bytes)?;
            let pids: Vec<_> = view.iter().map(|item| item.key).collect();
            let asked = request::<AppsLookup>(&pids)?;
            found::<AppsLookup>(view.generation, &asked, &values(view)?)?
        }
        _ => bail!("not known here"),
    })
}

fn fixed<const LEN: usize>(write: impl FnOnce(&mut [u8; LEN])) -> Vec<u8> {
    let mut out = [0; LEN];
    write(&mut out);
    out.into()
}

fn batch(items: &[&[u8]]) -> Result<Vec<u8>> {
    let mut out = vec![0; 1024];
    let mut writer = ItemsWriter::new(&mut out, 0, items.len() as u32)?;
    for item in items {
        writer.push(|room| {
            room[..item.len()].copy_from_slice(item);
            Ok(item.len())
        })?;
    }
    let (_, len) = writer.finish_padded();
    out.truncate(len);
    Ok(out)
}

fn request<S: Service>(request: S::Request<'_>) -> Result<Vec<u8>> {
    let mut out = vec![0; S::request_len(request)];
    S::write_request(request, &mut out)?;
    Ok(out)
}

fn snapshot(
    enabled: u32,
    generation: u64,
    items: &[cgroups_snapshot::Cgroup<'_>],
) -> Result<Vec<u8>> {
    let asked = request::<CgroupsSnapshot>(())?;
    let mut out = vec![0; 4096];
    let asked = CgroupsSnapshot::read_request(&asked)?;
    let mut reply = CgroupsSnapshot::build_reply(&asked, &mut out)?;
    (reply.systemd_enabled, reply.generation) = (enabled, generation);
    items.iter().try_for_each(|item| reply.push(item))?;
    let len = CgroupsSnapshot::finish_reply(reply)?;
    out.truncate(len);
    Ok(out)
}

fn found<L: Lookup>(generation: u64, asked: &[u8], values: &[L::Value<'_>]) -> Result<Vec<u8>> {
    let mut out = vec![0; 4096];
    let asked = L::read_request(asked)?;
    let mut reply: Replies<'_, L> = L::build_reply(&asked, &mut out)?;
    reply.generation = generation;
    values.iter().try_for_each(|value| reply.push(value))?;
    let len = L::finish_reply(reply)?;
    out.truncate(len);
    Ok(out)
}

fn values<L: Lookup>(view: Found<'_, L>) -> Result<Vec<L::Value<'_>>> {
    let values: Result<Vec<_>, _> = view.iter().map(|item| item.value).collect();
    values.ok().context("an item without a value")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(digits: &str) -> Result<Vec<u8>> {
    let pair = |at| digits.get(at..at + 2).context("half a byte");
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| Ok(u8::from_str_radix(pair(at)?, 16)?)).collect()
}
