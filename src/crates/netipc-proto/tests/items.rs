//! Single keys and items of lookups: how long they are, and what may not be in them (PROTOCOL.md,
//! sections 17 to 19).

mod random;

use netipc_proto::{
    Defect, DirectoryEntry, ItemsWriter, Labels, Lookup, LookupReplyHeader, LookupRequestHeader,
    Reader, Room, Service, Shortfall, Text, Unwritable,
    kinds::{AppsLookup, CgroupsLookup, Orchestrator, cgroups_lookup::Cgroup},
    push_item,
};
use random::rounds;

#[test]
fn keys_and_items_without_a_value_are_as_long_as_foretold() {
    rounds(200, |random| {
        let path = [b"/", &random.text(60)[..]].concat();
        lengths_are_foretold::<CgroupsLookup>(&path);
        lengths_are_foretold::<AppsLookup>(random.number() as u32);
    });
    assert_eq!(CgroupsLookup::key_len(b""), usize::MAX);
}

fn lengths_are_foretold<L: Lookup>(key: L::Key<'_>) {
    let mut out = [0; 256];
    for shortfall in [Shortfall::PayloadExceeded, Shortfall::Oversized] {
        let mut items =
            ItemsWriter::new(&mut out, LookupReplyHeader::LEN, 1).expect("there is room");
        let room = Room { keys: 1, behind: None };
        push_item::<L>(&mut items, key, Err(shortfall), room, &mut false).expect("there is room");
        let (_, len) = items.finish();
        let head = LookupReplyHeader::LEN + DirectoryEntry::LEN;
        assert_eq!(len - head, L::bare_len(key));
        let (echoed, why) = L::outline(&out[head..len]).expect("it was just written");
        assert!(echoed == key);
        assert_eq!(why, Some(shortfall));
    }
}

#[test]
fn an_outline_says_what_reading_the_item_says() {
    rounds(200, |random| {
        let path = [b"/", &random.text(60)[..]].concat();
        let name = random.text(20);
        let known = Cgroup::Known {
            orchestrator: Orchestrator::DOCKER,
            name: Text::new(&name),
            labels: Labels::new(&[(b"key", b"value")]),
        };
        for value in [known, Cgroup::RetryLater, Cgroup::Unknown] {
            let item = item(&path, &value).expect("there is room");
            let read = CgroupsLookup::read(Reader::new(&item)).expect("it was just written");
            assert_eq!(CgroupsLookup::outline(&item), Ok((read.key, None)));
            assert_eq!((read.key, read.value), (&path[..], Ok(value)));
        }
    });
}

/// An item as a builder writes it.
fn item(path: &[u8], value: &Cgroup<'_>) -> Result<Vec<u8>, Unwritable> {
    let mut out = [0; 512];
    let mut items = ItemsWriter::new(&mut out, 0, 1)?;
    let room = Room { keys: 1, behind: None };
    push_item::<CgroupsLookup>(&mut items, path, Ok(value), room, &mut false)?;
    let (out, len) = items.finish();
    Ok(out[DirectoryEntry::LEN..len].to_vec())
}

#[test]
fn a_nul_is_found_wherever_it_is_in_a_string_of_any_length() {
    for len in 1..140 {
        let whole = vec![0x80; len];
        let mut request = vec![0; CgroupsLookup::request_len(&[&whole])];
        assert_eq!(CgroupsLookup::write_request(&[&whole], &mut request), Ok(request.len()));
        assert!(CgroupsLookup::read_request(&request).is_ok());
        let start = LookupRequestHeader::LEN + DirectoryEntry::LEN;
        for at in 0..len {
            let mut broken = whole.clone();
            broken[at] = 0;
            let wrote = CgroupsLookup::write_request(&[&broken], &mut request.clone());
            assert!(matches!(wrote, Err(Unwritable::Invalid(_))), "{at} of {len}");
            let mut damaged = request.clone();
            damaged[start + at] = 0;
            let read = CgroupsLookup::read_request(&damaged).map(drop);
            assert_eq!(read.map_err(|why| why.defect), Err(Defect::BadLayout), "{at} of {len}");

            let name = Text::new(&broken);
            let (orchestrator, labels) = (Orchestrator::UNKNOWN, Labels::NONE);
            let named = item(b"/", &Cgroup::Known { orchestrator, name, labels });
            assert!(matches!(named, Err(Unwritable::Invalid(_))), "{at} of {len}");
        }
        // Bytes whose neighbours borrow from them are not mistaken for a NUL.
        let ones: Vec<u8> = (0..len).map(|at| [1, 0x81, 0xff][at % 3]).collect();
        assert_eq!(CgroupsLookup::write_request(&[&ones], &mut request), Ok(request.len()));
        assert!(CgroupsLookup::read_request(&request).is_ok());
    }
}
