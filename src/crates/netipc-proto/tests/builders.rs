//! Snapshots and batches that do not know beforehand how many items they get (PROTOCOL.md,
//! sections 5 and 16).

mod doors;
mod random;

use doors::Probe;
use netipc_proto::{
    Declined, Defect, Header, Items, ItemsWriter, Rule, Service, Status, Text, Unwritable,
    kinds::{
        AppsLookup, CgroupsLookup, CgroupsSnapshot, Increment, StringReverse,
        cgroups_snapshot::{Builder, Cgroup},
        increment::Number,
    },
    respond, respond_one,
};
use random::rounds;

#[test]
fn a_growing_snapshot_is_the_one_with_room_reserved() {
    rounds(2000, |random| {
        let names: Vec<_> = (0..random.below(60)).map(|_| random.text(30)).collect();
        let mut reserved = vec![0xAA; 8192];
        let count = names.len() as u32;
        let builder = Builder::with_max_items(&mut reserved, count).expect("there is room");
        let length = fill(builder, &names).expect("there is room");
        reserved.truncate(length);

        // Exactly the room it takes is enough, and one byte less is not.
        let mut grown = vec![0xAA; length];
        assert_eq!(fill(Builder::new(&mut grown).expect("there is room"), &names), Ok(length));
        assert_eq!(grown, reserved);
        let mut short = vec![0xAA; length - 1];
        let filled = Builder::new(&mut short).and_then(|builder| fill(builder, &names));
        assert_eq!(filled, Err(Unwritable::Full));
        // A reservation is only a hint.
        let mut hinted = vec![0xAA; 8192];
        let mut builder = Builder::new(&mut hinted).expect("there is room");
        builder.reserve(random.below(100) as u32).expect("there is room");
        assert_eq!(fill(builder, &names), Ok(length));
        assert_eq!(hinted[..length], reserved);
    });
}

fn fill(mut builder: Builder<'_>, names: &[Vec<u8>]) -> Result<usize, Unwritable> {
    for (hash, name) in (0..).zip(names) {
        // A handler that looks at nothing: the end tells it.
        let _ = builder.push(&cgroup(hash, name));
    }
    CgroupsSnapshot::finish_reply(builder)
}

fn cgroup(hash: u32, name: &[u8]) -> Cgroup<'_> {
    Cgroup { hash, options: 0, enabled: 1, name: Text::new(name), path: Text::new(b"/x") }
}

#[test]
fn a_snapshot_that_does_not_fit_is_refused_whatever_the_handler_says() {
    let request = Header::request(CgroupsSnapshot::METHOD, 1, 4);
    let mut payload = [0; 4];
    CgroupsSnapshot::write_request((), &mut payload).expect("there is room");
    let mut out = [0; 200];
    for verdict in [Ok(()), Err(Declined::Failed)] {
        let handler = |_: &_, reply: &mut Builder<'_>| {
            // A handler that looks at nothing.
            for hash in 0..10 {
                let _ = reply.push(&cgroup(hash, b"name"));
            }
            verdict
        };
        let response = respond::<CgroupsSnapshot>(&handler, &request, &payload, &mut out);
        assert_eq!(response.header.transport_status, Status::LimitExceeded.code());
        assert!(response.hang_up);
    }
}

#[test]
fn a_request_for_a_snapshot_is_one_whatever_its_flag_says() {
    let mut one = [0; 4];
    CgroupsSnapshot::write_request((), &mut one).expect("there is room");
    let mut two = vec![0; 64];
    let mut writer = ItemsWriter::new(&mut two, 0, 2).expect("there is room");
    for _ in 0..2 {
        writer.push(|to| CgroupsSnapshot::write_request((), to)).expect("there is room");
    }
    let length = writer.finish_padded().1;
    let answer = |payload: &[u8], item_count| {
        let plain = Header::request(CgroupsSnapshot::METHOD, 1, payload.len() as u32);
        let request = Header { flags: Header::BATCH, item_count, ..plain };
        let handler = |_: &_, _: &mut Builder<'_>| Ok(());
        let mut out = [0; 200];
        let Header { transport_status, flags, item_count, payload_len, .. } =
            respond::<CgroupsSnapshot>(&handler, &request, payload, &mut out).header;
        (transport_status, flags, item_count, payload_len)
    };
    assert_eq!(answer(&one, 1), (Status::Ok.code(), 0, 1, 24));
    assert_eq!(answer(&two[..length], 2), (Status::BadEnvelope.code(), 0, 1, 0));
}

#[test]
fn a_snapshot_that_asks_for_more_room_than_there_is_is_refused() {
    let mut out = [0; 200];
    let mut builder = Builder::new(&mut out).expect("there is room");
    assert_eq!(builder.reserve(1000), Err(Unwritable::Full));
    assert_eq!(builder.push(&cgroup(1, b"name")), Ok(()));
    assert_eq!(CgroupsSnapshot::finish_reply(builder), Err(Unwritable::Full));
}

#[test]
fn a_snapshot_with_an_item_shorter_than_its_head_is_refused_as_a_whole() {
    let mut out = [0; 200];
    let mut builder = Builder::new(&mut out).expect("there is room");
    builder.push(&cgroup(1, b"name")).expect("there is room");
    let length = CgroupsSnapshot::finish_reply(builder).expect("it is complete");
    assert!(CgroupsSnapshot::read_reply(&out[..length]).is_ok());
    // The length in the only entry.
    out[28..32].copy_from_slice(&31u32.to_ne_bytes());
    assert!(CgroupsSnapshot::read_reply(&out[..length]).is_err());
}

#[test]
fn a_batch_takes_items_until_it_is_full() {
    rounds(2000, |random| {
        let items: Vec<_> = (0..random.below(20)).map(|_| random.text(30)).collect();
        let size = items.iter().map(|item| 8 + item.len().next_multiple_of(8)).sum::<usize>();
        let mut out = vec![0xAA; size];
        let writer = ItemsWriter::new(&mut out, 0, items.len() as u32).expect("there is room");
        let (_, length) = write(writer, &items).expect("there is room").finish_padded();
        assert_eq!(length, size, "padded to a multiple of 8");
        // Without room for the last padding the message ends with its last item.
        let last = items.last().map_or(0, |item| item.len().next_multiple_of(8) - item.len());
        let mut short = vec![0xAA; size - last];
        let writer = ItemsWriter::new(&mut short, 0, items.len() as u32).expect("there is room");
        let (_, length) = write(writer, &items).expect("there is room").finish_padded();
        assert_eq!((length, &short), (size - last, &out[..size - last].to_vec()));
    });
}

fn write<'a>(
    mut writer: ItemsWriter<'a>,
    items: &[Vec<u8>],
) -> Result<ItemsWriter<'a>, Unwritable> {
    for item in items {
        writer.push(|to| {
            to.get_mut(..item.len()).ok_or(Unwritable::Full)?.copy_from_slice(item);
            Ok(item.len())
        })?;
    }
    Ok(writer)
}

#[test]
fn one_item_that_fails_fails_its_batch() {
    let mut payload = vec![0; 64];
    let mut writer = ItemsWriter::new(&mut payload, 0, 3).expect("there is room");
    for value in [1, 2, 3] {
        writer.push(|to| Increment::write_request(value, to)).expect("there is room");
    }
    let (_, length) = writer.finish_padded();
    let request = Header { flags: Header::BATCH, item_count: 3, ..Header::request(1, 1, 0) };
    let answer = |declined: Option<Declined>, room| {
        let handler = |asked: &u64, reply: &mut Number<'_>| {
            reply.value = asked + 1;
            declined.filter(|_| *asked == 2).map_or(Ok(()), Err)
        };
        let mut out = vec![0; room];
        let response = respond::<Increment>(&handler, &request, &payload[..length], &mut out);
        let Header { transport_status, flags, item_count, payload_len, .. } = response.header;
        (transport_status, flags, item_count, payload_len)
    };
    assert_eq!(answer(None, 48), (Status::Ok.code(), Header::BATCH, 3, 48));
    let failed = |status: Status| (status.code(), 0, 1, 0);
    assert_eq!(answer(None, 47), failed(Status::LimitExceeded));
    assert_eq!(answer(Some(Declined::Failed), 48), failed(Status::InternalError));
    assert_eq!(answer(Some(Declined::Invalid), 48), failed(Status::BadEnvelope));
    assert_eq!(answer(Some(Declined::Full), 48), failed(Status::LimitExceeded));
}

#[test]
fn a_message_is_resumed_only_in_a_state_it_can_be_in() {
    let mut out = [0; 100];
    let mut resumed = |slots, count, end| {
        let resumed = ItemsWriter::resume(&mut out, 16, slots, count, end);
        resumed.map(|writer| (writer.count(), writer.end()))
    };
    // Two entries end at 32, and all there is at 100.
    assert_eq!(resumed(2, 0, 32), Ok((0, 32)));
    assert_eq!(resumed(2, 2, 100), Ok((2, 100)));
    assert_eq!(resumed(2, 3, 40), Err(Unwritable::Full), "more than there are entries");
    assert_eq!(resumed(2, 1, 31), Err(Unwritable::Full), "ends in its directory");
    assert_eq!(resumed(2, 1, 101), Err(Unwritable::Full), "ends outside");
    assert_eq!(resumed(11, 0, 100), Err(Unwritable::Full), "a directory longer than all");
    assert_eq!(resumed(u32::MAX, 0, 100), Err(Unwritable::Full));
    // Nothing in it is nothing, wherever it is said to end.
    let writer = ItemsWriter::resume(&mut out, 16, 2, 0, 100).expect("it can be in that state");
    assert_eq!(writer.finish().1, 16);
}

#[test]
fn one_entry_is_checked_as_all_are() {
    let entry = |offset: u32, length: u32| [offset, length].map(u32::to_ne_bytes).concat();
    let message = |entries: [(u32, u32); 2]| {
        let directory = entries.map(|(offset, length)| entry(offset, length)).concat();
        [directory, vec![0; 40]].concat()
    };
    let both = |entries, rule: Rule| {
        let message = message(entries);
        let one = |index| Items::one(&message, 2, index, &rule).map(<[u8]>::len);
        let alone = one(0).and_then(|_| one(1)).map_err(|malformed| malformed.defect);
        let all = Items::read(&message, 2, rule.clone()).map_err(|malformed| malformed.defect);
        assert_eq!(alone.err(), all.err(), "{entries:?}");
        alone
    };
    assert_eq!(both([(0, 9), (16, 24)], Rule::Packed(9..=24)), Ok(24));
    assert_eq!(both([(0, 8), (16, 24)], Rule::Packed(9..=24)), Err(Defect::BadLayout));
    assert_eq!(both([(0, 9), (16, 25)], Rule::Packed(9..=25)), Err(Defect::OutOfBounds));
    assert_eq!(both([(0, 17), (16, 17)], Rule::Packed(9..=24)), Err(Defect::BadLayout));
    assert_eq!(both([(0, 16), (16, 17)], Rule::Packed(9..=24)), Ok(17));
    assert_eq!(both([(0, 17), (12, 17)], Rule::Free(9)), Err(Defect::BadAlignment));
    assert_eq!(both([(0, 17), (8, 9)], Rule::Free(9)), Ok(9));
    assert_eq!(both([(0, 17), (8, 8)], Rule::Free(9)), Err(Defect::Truncated));
}

#[test]
fn a_limit_too_small_for_any_answer_is_a_limit() {
    fn answer<S: Probe>(request: S::Request<'_>) {
        let mut payload = vec![0; S::request_len(request)];
        S::write_request(request, &mut payload).expect("there is room");
        let header = Header::request(S::METHOD, 1, 0);
        let status = |room| {
            let response = respond::<S>(&S::answer, &header, &payload, &mut vec![0; room]).header;
            Status::from_code(response.transport_status).expect("a status")
        };
        assert_eq!(status(4096), Status::Ok, "{}", S::NAME);
        let rooms = (0..4096).step_by(if cfg!(miri) { 40 } else { 1 });
        let answered = rooms.map(status).position(|status| {
            assert!(matches!(status, Status::Ok | Status::LimitExceeded), "{}", S::NAME);
            status == Status::Ok
        });
        assert!(answered.is_some_and(|least| least > 0), "{} answers with nothing", S::NAME);
    }
    answer::<Increment>(1);
    answer::<StringReverse>(b"");
    answer::<StringReverse>(b"abc");
    answer::<CgroupsSnapshot>(());
    answer::<CgroupsLookup>(&[]);
    answer::<CgroupsLookup>(&[b"/a"]);
    answer::<CgroupsLookup>(&[b"/a", b"/bc"]);
    answer::<AppsLookup>(&[]);
    answer::<AppsLookup>(&[1]);
    answer::<AppsLookup>(&[1, 2, 3]);
}

#[test]
fn as_many_answers_as_there_may_be_fit_one_reply() {
    // A reply that counted again what is still to come for each answer would take minutes.
    let count = if cfg!(miri) { 64 } else { 65536 };
    let pids: Vec<u32> = (0..count).collect();
    let mut request = vec![0; AppsLookup::request_len(&pids)];
    AppsLookup::write_request(&pids, &mut request).expect("there is room");
    let mut out = vec![0; 512 * count as usize];
    let length =
        respond_one::<AppsLookup>(&AppsLookup::answer, &request, &mut out).expect("there is room");
    let found = AppsLookup::read_reply(&out[..length]).expect("it was written");
    assert!(found.iter().zip(pids).all(|(item, pid)| item.key == pid && item.value.is_ok()));
}
