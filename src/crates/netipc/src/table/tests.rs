use super::*;

fn table(cgroups: &[(u32, &str)]) -> CgroupsTable {
    let cgroups = (0..).zip(cgroups).map(|(options, &(hash, name))| {
        let (name, path) = (Text::from(name), Text::from("/path"));
        Cgroup { hash, options, enabled: 1, name, path }
    });
    CgroupsTable::new(1, 9, &cgroups.collect::<Vec<_>>()).unwrap()
}

#[test]
fn finds_a_cgroup_only_by_both_hash_and_name() {
    let table = table(&[(1, "a"), (2, "a"), (1, "b"), (1, "")]);
    assert_eq!(table.get(2, "a").unwrap().options, 1);
    assert_eq!(table.get(1, "b").unwrap().options, 2);
    assert_eq!(table.get(1, "").unwrap().options, 3);
    assert_eq!(table.get(2, "b"), None);
    assert_eq!(table.get(3, "a"), None);
    // What stands in no cgroup is in no cgroup's place.
    assert_eq!(table.get(0, ""), None);
    assert_eq!(self::table(&[]).get(0, ""), None);
}

#[test]
fn of_two_alike_the_first_is_found_and_both_are_listed() {
    let table = table(&[(1, "a"), (1, "a")]);
    assert_eq!(table.get(1, "a").unwrap().options, 0);
    assert_eq!(table.iter().count(), 2);
}

#[test]
fn names_of_any_length_are_compared_to_their_end() {
    let names: Vec<_> = (0..200).map(|len| "n".repeat(len)).collect();
    let ends: Vec<_> = names.iter().map(|name| format!("{name}x")).collect();
    let all: Vec<_> = names.iter().chain(&ends).map(|name| (7, &**name)).collect();
    let table = table(&all);
    for (number, &(hash, name)) in all.iter().enumerate() {
        let cgroup = table.get(hash, name).unwrap();
        assert_eq!((cgroup.options as usize, cgroup.name), (number, name.into()));
        assert_eq!(table.at(number), Some(cgroup));
        assert_eq!(table.find(hash, format!("{name}y")), None);
    }
    assert_eq!(table.at(all.len()), None);
}

#[test]
fn names_of_equal_length_and_hash_are_told_apart_by_any_byte() {
    for len in 1..2 * PREFIX {
        let name = "n".repeat(len);
        let table = table(&[(7, &name)]);
        assert_eq!(table.find(7, &name), Some(0));
        for at in 0..len {
            let mut other = name.clone().into_bytes();
            other[at] = b'o';
            assert_eq!(table.find(7, &other), None, "{at} of {len}");
        }
    }
}

#[test]
fn items_that_share_their_bytes_take_no_more_memory_than_others() {
    let one = table(&[(1, "a")]).message;
    let (head, rest) = one.split_at(24);
    let (entry, item) = rest.split_at(8);
    let mut message = [head, &entry.repeat(10_000), item].concat();
    message[4..8].copy_from_slice(&10_000u32.to_ne_bytes());
    let view = CgroupsSnapshot::read_reply(&message).unwrap();
    let table = CgroupsSnapshot::table(view).unwrap();
    assert_eq!(table.iter().filter(|cgroup| cgroup.name == "a").count(), 10_000);
    assert_eq!(table.find(1, "a"), Some(0));
    assert_eq!(table.message.capacity(), message.len());
    assert_eq!(table.index.entries.capacity(), 32_768);
}

#[test]
fn a_long_name_that_many_items_share_is_refused_before_it_takes_long() {
    const ITEMS: usize = 50_000;
    const NAME: usize = 2 << 20;
    let area = 24 + 8 * ITEMS;
    let mut message = vec![0; area + 32 * ITEMS + NAME + ITEMS + 1];
    let mut put = |at: usize, number: usize| {
        message[at..at + 4].copy_from_slice(&(number as u32).to_ne_bytes());
    };
    // On either order of bytes, a layout of 1 before flags of 0.
    let layout = u32::from_ne_bytes([1u16, 0].map(u16::to_ne_bytes).concat().try_into().unwrap());
    let end = area + 32 * ITEMS + NAME + ITEMS;
    put(0, layout as usize);
    put(4, ITEMS);
    for item in 0..ITEMS {
        // Heads of their own, names of zeros that begin a byte apart, empty paths.
        let start = area + 32 * item;
        put(24 + 8 * item, 32 * item);
        put(24 + 8 * item + 4, end + 1 - start);
        put(start, layout as usize);
        put(start + 16, area + 32 * ITEMS + item - start);
        put(start + 20, NAME - 1);
        put(start + 24, end - start);
    }
    let view = CgroupsSnapshot::read_reply(&message).unwrap();
    let refused = CgroupsSnapshot::table(view).unwrap_err();
    assert_eq!(refused.why, "shares its bytes with too many others");
}

#[test]
fn an_item_that_breaks_a_rule_is_refused_wherever_it_is() {
    // All hashes are equal, so that the index gives up on them before the end.
    let names: Vec<_> = (0..200).map(|number| format!("cgroup_{number}")).collect();
    let cgroups: Vec<_> = names.iter().map(|name| (42, &**name)).collect();
    let message = table(&cgroups).message;
    let view = CgroupsSnapshot::read_reply(&message).unwrap();
    for place in view.places() {
        let mut damaged = message.clone();
        // No NUL behind the path.
        damaged[place.end - 1] = 1;
        let view = CgroupsSnapshot::read_reply(&damaged).unwrap();
        assert!(CgroupsSnapshot::table(view).is_err());
    }
}

#[test]
fn a_renewed_table_has_nothing_of_the_old() {
    let mut renewed = table(&(0..500).map(|hash| (hash, "old")).collect::<Vec<_>>());
    let new = table(&[(1, "new"), (2, "new")]);
    let view = CgroupsSnapshot::read_reply(&new.message).unwrap();
    assert!(!CgroupsSnapshot::is_same(&renewed, &view));
    CgroupsSnapshot::renew(&mut renewed, view).unwrap();
    assert!(CgroupsSnapshot::is_same(&renewed, &view));
    assert!(renewed.iter().eq(new.iter()));
    assert_eq!(renewed.get(3, "old"), None);
    assert_eq!(renewed.find(2, "new"), Some(1));
    // Nor most of its memory.
    assert!(renewed.message.capacity() <= KEPT * new.message.len());
    assert!(renewed.index.entries.capacity() <= KEPT * 4);
}

#[test]
fn finds_each_of_many_whose_hashes_are_all_equal() {
    let names: Vec<_> = (0..100_000).map(|number| format!("cgroup_{number}")).collect();
    let cgroups: Vec<_> = names.iter().map(|name| (42, &**name)).collect();
    let table = table(&cgroups);
    for (name, number) in names.iter().zip(0..) {
        assert_eq!(table.find(42, name), Some(number));
    }
}
