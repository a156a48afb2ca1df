//! PROTOCOL.md against the code: each fixed layout of one is the layout of the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use netipc_proto::{
    DirectoryEntry, Field, Header, Hello, HelloAck, LabelEntry, Layout, LookupReplyHeader,
    LookupRequestHeader, PartHeader, RingHeader,
    kinds::{
        apps_lookup::{ProcessItem, ProcessKey},
        cgroups_lookup::CgroupItem,
        cgroups_snapshot::{SnapshotItem, SnapshotReplyHeader, SnapshotRequest},
        increment::IncrementPayload,
        string_reverse::StringHeader,
    },
};

const PROTOCOL: &str = include_str!("../../../../PROTOCOL.md");

const LAYOUTS: &[Layout] = &[
    CgroupItem::LAYOUT,
    DirectoryEntry::LAYOUT,
    Header::LAYOUT,
    Hello::LAYOUT,
    HelloAck::LAYOUT,
    IncrementPayload::LAYOUT,
    LabelEntry::LAYOUT,
    LookupReplyHeader::LAYOUT,
    LookupRequestHeader::LAYOUT,
    PartHeader::LAYOUT,
    ProcessItem::LAYOUT,
    ProcessKey::LAYOUT,
    RingHeader::LAYOUT,
    SnapshotItem::LAYOUT,
    SnapshotReplyHeader::LAYOUT,
    SnapshotRequest::LAYOUT,
    StringHeader::LAYOUT,
];

/// Layouts of memory that this crate never sees.
const ELSEWHERE: &[&str] = &["RegionHeader", "RingSlot", "WindowsRegionHeader"];

/// A row of a layout table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    offset: usize,
    size: usize,
    name: String,
    kind: String,
    value: Option<u64>,
}

/// A layout table.
#[derive(Debug)]
struct Table {
    size: usize,
    rows: Vec<Row>,
}

#[test]
fn every_layout_of_the_code_is_the_one_of_the_protocol() {
    let tables = tables();
    for layout in LAYOUTS {
        let table = tables.get(layout.name);
        let table = table.unwrap_or_else(|| panic!("PROTOCOL.md lacks {}", layout.name));
        assert_eq!(table.size, layout.size, "size of {}", layout.name);
        assert_eq!(of_protocol(table), of_code(layout), "fields of {}", layout.name);
    }
}

#[test]
fn every_layout_of_the_protocol_is_one_of_the_code() {
    let known: Vec<_> =
        LAYOUTS.iter().map(|layout| layout.name).chain(ELSEWHERE.to_vec()).collect();
    for name in tables().keys() {
        assert!(known.contains(name), "no code for {name}");
    }
}

#[test]
fn every_layout_of_the_code_is_compared() {
    let mut sources = Vec::new();
    read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    // Only a layout has a size behind its name: `pub struct Name: 8 {`.
    let declared = sources.iter().flat_map(|source| source.lines()).filter_map(|line| {
        let (name, size) = line.split_once("struct ")?.1.split_once(": ")?;
        size.strip_suffix(" {")?.split(' ').next()?.parse::<usize>().ok()?;
        Some(name)
    });
    let compared: BTreeSet<_> = LAYOUTS.iter().map(|layout| layout.name).collect();
    assert_eq!(declared.collect::<BTreeSet<_>>(), compared);
}

#[test]
fn every_table_covers_each_byte_once() {
    for (name, table) in tables() {
        let mut end = 0;
        for row in &table.rows {
            assert_eq!(row.offset, end, "{name} has a gap or an overlap before {}", row.name);
            end += row.size;
            let size = match row.kind.as_str() {
                "u16" => 2,
                "u32" | "i32" => 4,
                "u64" | "i64" | "span" => 8,
                "bytes" => row.size,
                other => panic!("{name} has a field of unknown type {other}"),
            };
            assert_eq!(row.size, size, "{name} gives {} a wrong size", row.name);
        }
        assert_eq!(end, table.size, "{name} does not end where its heading says");
    }
}

type Fields = Vec<(usize, usize, String, Option<u64>)>;

fn of_protocol(table: &Table) -> Fields {
    table.rows.iter().map(|row| (row.offset, row.size, row.name.clone(), row.value)).collect()
}

fn of_code(layout: &Layout) -> Fields {
    let field = |field: &Field| (field.offset, field.size, field.name.to_owned(), field.value);
    let mut fields: Vec<_> = layout.fields.iter().map(field).collect();
    fields.sort();
    fields
}

fn read_sources(dir: &Path, sources: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("the sources can be listed") {
        let path = entry.expect("the sources can be listed").path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else {
            sources.push(fs::read_to_string(path).expect("the sources can be read"));
        }
    }
}

/// The tables under headings of the form `### Layout: Name (n bytes)`.
fn tables() -> BTreeMap<&'static str, Table> {
    let mut tables = BTreeMap::new();
    for section in PROTOCOL.split("\n### Layout: ").skip(1) {
        let (heading, body) = section.split_once('\n').expect("a table follows its heading");
        let (name, size) = heading.split_once(" (").expect("a heading gives the size");
        let size = size.strip_suffix(" bytes)").expect("a size is in bytes");
        let mut lines = body.lines().skip_while(|line| line.is_empty());
        assert_eq!(lines.next(), Some("| Offset | Size | Field | Type | Value |"), "{name}");
        assert_eq!(lines.next(), Some("|---:|---:|---|---|---|"), "{name}");
        let rows = lines.take_while(|line| line.starts_with('|')).map(row).collect();
        let table = Table { size: number(size).expect("a size is a number") as usize, rows };
        assert!(tables.insert(name, table).is_none(), "{name} is described twice");
    }
    assert!(!tables.is_empty(), "no layouts in PROTOCOL.md");
    tables
}

fn row(line: &str) -> Row {
    let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
    let &[offset, size, name, kind, value] = cells.as_slice() else {
        panic!("not five cells: {line}");
    };
    Row {
        offset: number(offset).expect("an offset is a number") as usize,
        size: number(size).expect("a size is a number") as usize,
        name: name.to_owned(),
        kind: kind.to_owned(),
        value: number(value),
    }
}

/// A number alone in its cell.
fn number(cell: &str) -> Option<u64> {
    match cell.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => cell.parse().ok(),
    }
}
