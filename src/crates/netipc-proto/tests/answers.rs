//! What a server answers where a handler is wrong or there is little room (PROTOCOL.md, sections 12
//! and 20).

use netipc_proto::{
    Declined, Header, ItemsWriter, Keys, Labels, Replies, Service, Shortfall, Status, Text,
    kinds::{
        AppsLookup, CgroupsLookup, Orchestrator, StringReverse, apps_lookup, apps_lookup::Process,
        cgroups_lookup::Cgroup, string_reverse,
    },
    respond, respond_one,
};

fn request<S: Service>(request: S::Request<'_>) -> Vec<u8> {
    let mut out = vec![0; S::request_len(request)];
    S::write_request(request, &mut out).expect("there is room");
    out
}

fn named(name: &[u8]) -> Cgroup<'_> {
    let (orchestrator, labels) = (Orchestrator::DOCKER, Labels::NONE);
    Cgroup::Known { orchestrator, name: Text::new(name), labels }
}

/// How the answers with these names to as many keys look within `room` bytes.
fn answers(
    keys: &[&[u8]],
    names: &[&[u8]],
    room: usize,
) -> Result<Vec<Result<(), Shortfall>>, Status> {
    let handler = |_: &Keys<'_, CgroupsLookup>, reply: &mut Replies<'_, CgroupsLookup>| {
        names.iter().try_for_each(|name| reply.push(&named(name)))?;
        Ok::<_, Declined>(())
    };
    let mut out = vec![0xAA; room];
    let length = respond_one::<CgroupsLookup>(&handler, &request::<CgroupsLookup>(keys), &mut out)?;
    let found = CgroupsLookup::read_reply(&out[..length]).expect("it was written");
    Ok(found.iter().map(|item| item.value.map(drop)).collect())
}

const EXCEEDED: Result<(), Shortfall> = Err(Shortfall::PayloadExceeded);

#[test]
fn the_last_answer_may_end_with_the_message() {
    // Without a name, the answer for this path takes 33 bytes, as does a placeholder.
    let room = 16 + 2 * 8 + 40 + 33;
    assert_eq!(answers(&[b"/ab", b"/ab"], &[b"", b""], room), Ok(vec![Ok(()), Ok(())]));
    let short = answers(&[b"/ab", b"/ab"], &[b"", b""], room - 1);
    assert_eq!(short, Err(Status::LimitExceeded));
}

#[test]
fn an_answer_leaves_padded_room_for_those_behind_it() {
    // The second answer takes 34 bytes, 40 with padding, and the last one at least 33.
    let keys: [&[u8]; 3] = [b"/ab"; 3];
    let names: [&[u8]; 3] = [b"", b"n", b""];
    let room = 16 + 3 * 8 + 40 + 40 + 33;
    assert_eq!(answers(&keys, &names, room), Ok(vec![Ok(()); 3]));
    // With a longer name it takes eight more, and as many too few are left.
    let names: [&[u8]; 3] = [b"", b"nnnnnnnn", b""];
    assert_eq!(answers(&keys, &names, room + 8), Ok(vec![Ok(()); 3]));
    for missing in 1..8 {
        let found = answers(&keys, &names, room + 8 - missing);
        assert_eq!(found, Ok(vec![Ok(()), EXCEEDED, EXCEEDED]), "{missing} bytes too few");
    }
}

#[test]
fn a_first_answer_is_oversized_only_if_it_is_too_long_alone() {
    let keys: [&[u8]; 2] = [b"/a", b"/b"];
    let name = [b'n'; 100];
    // Alone, its entry and itself: 16 + 8 + 28 + 3 + 101.
    let alone = 156;
    let found = answers(&keys, &[&name, b""], alone);
    assert_eq!(found, Err(Status::LimitExceeded), "asked alone, it would fit");
    let found = answers(&keys, &[&name, b""], alone - 1);
    assert_eq!(found, Ok(vec![Err(Shortfall::Oversized), Ok(())]));
    assert_eq!(answers(&keys[..1], &[&name], alone), Ok(vec![Ok(())]));
}

#[test]
fn a_handler_that_answers_too_few_keys_is_at_fault() {
    let found = answers(&[b"/a", b"/b"], &[b"n"], 4096);
    assert_eq!(found, Err(Status::BadEnvelope));
}

#[test]
fn an_answer_in_numbers_that_was_wrong_is_not_forgotten() {
    let payload = request::<CgroupsLookup>(&[b"/a", b"/b"]);
    let answered = |path: &'static [u8], status| {
        let handler = move |_: &Keys<'_, CgroupsLookup>, reply: &mut Replies<'_, CgroupsLookup>| {
            // A handler that looks at nothing.
            let _ = reply.add(2, 0, b"/a", b"", &[]);
            let second = reply.add(status, 0, path, b"", &[]);
            assert_eq!(reply.error(), second.err());
            Ok::<_, Declined>(())
        };
        respond_one::<CgroupsLookup>(&handler, &payload, &mut [0; 1024]).map(drop)
    };
    assert_eq!(answered(b"/b", 2), Ok(()));
    assert_eq!(answered(b"/c", 2), Err(Status::BadEnvelope), "another key");
    assert_eq!(answered(b"/b", 9), Err(Status::BadEnvelope), "no status");
}

#[test]
fn a_process_without_a_form_is_not_answered() {
    let payload = request::<AppsLookup>(&[1]);
    let answered = |comm: &'static [u8], cgroup: apps_lookup::Cgroup<'static>| {
        let comm = Text::new(comm);
        let process = Process { ppid: 1, uid: None, starttime: 1, comm, cgroup };
        let handler = move |_: &Keys<'_, AppsLookup>, reply: &mut Replies<'_, AppsLookup>| {
            Ok::<_, Declined>(reply.push(&Some(process))?)
        };
        respond_one::<AppsLookup>(&handler, &payload, &mut [0; 1024]).map(drop)
    };
    let known = |path: &'static [u8]| apps_lookup::Cgroup::Known {
        orchestrator: Orchestrator::DOCKER,
        path: Text::new(path),
        name: Text::new(b"name"),
        labels: Labels::NONE,
    };
    let unknown = |path: &'static [u8]| apps_lookup::Cgroup::Unknown { path: Text::new(path) };
    let wrong = Err(Status::BadEnvelope);
    assert_eq!(answered(b"c", known(b"/a")), Ok(()));
    assert_eq!(answered(b"c", known(b"")), wrong);
    assert_eq!(answered(b"c", known(b"/a\0b")), wrong);
    assert_eq!(answered(b"c", unknown(b"/a")), Ok(()));
    assert_eq!(answered(b"c", unknown(b"")), wrong);
    assert_eq!(answered(b"123456789012345", known(b"/a")), Ok(()));
    assert_eq!(answered(b"1234567890123456", known(b"/a")), wrong);
    assert_eq!(answered(b"", known(b"/a")), wrong);
}

#[test]
fn a_batch_is_padded_where_there_is_room_and_refused_where_there_is_none() {
    let mut payload = vec![0; 64];
    let mut writer = ItemsWriter::new(&mut payload, 0, 2).expect("there is room");
    for text in [&b"ab"[..], b"cd"] {
        writer.push(|to| StringReverse::write_request(text, to)).expect("there is room");
    }
    let (_, length) = writer.finish_padded();
    let header = Header { flags: Header::BATCH, item_count: 2, ..Header::request(3, 1, 0) };
    let answer = |room| {
        let handler = |asked: &Text<'_>, reply: &mut string_reverse::Reply<'_>| {
            Ok::<_, Declined>(reply.set(asked.as_bytes())?)
        };
        let mut out = vec![0xAA; room];
        let response = respond::<StringReverse>(&handler, &header, &payload[..length], &mut out);
        let Header { transport_status, payload_len, .. } = response.header;
        (transport_status, out[..payload_len as usize].to_vec())
    };
    // Two entries, and two strings of 11 bytes, each padded.
    let ok = Status::Ok.code();
    assert_eq!(answer(48), (ok, payload[..48].to_vec()));
    assert_eq!(answer(47), (ok, payload[..43].to_vec()), "no room for the last padding");
    for room in 0..43 {
        assert_eq!(answer(room), (Status::LimitExceeded.code(), Vec::new()), "within {room}");
    }
}

#[test]
fn all_the_room_there_is_for_a_string_can_be_answered() {
    let payload = request::<StringReverse>(b"");
    for limit in [9, 10, 30] {
        let handler = |_: &Text<'_>, reply: &mut string_reverse::Reply<'_>| {
            reply.room().fill(b'x');
            let room = reply.room().len();
            assert!(reply.set_len(room + 1).is_err());
            Ok::<_, Declined>(reply.set_len(room)?)
        };
        let mut out = vec![0xAA; limit];
        let length = respond_one::<StringReverse>(&handler, &payload, &mut out);
        assert_eq!(length, Ok(limit));
        let text = StringReverse::read_reply(&out).expect("it was written");
        assert_eq!(text.as_bytes(), vec![b'x'; limit - 9]);
    }
}
