//! `cgroups-lookup`: what is known of the cgroups at given paths.

use core::ops::RangeInclusive;

use super::Orchestrator;
use crate::{
    item::{Labels, Reader},
    layout::{Defect, Malformed, Span, Unwritable, malformed, narrow},
    lookup::{Item, Lookup, Shortfall},
    pen::Pen,
    text::Text,
};

/// The `cgroups-lookup` service.
#[derive(Clone, Copy, Debug)]
pub struct CgroupsLookup;

/// What is known of a cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cgroup<'a> {
    /// This much.
    Known {
        /// Who runs it.
        orchestrator: Orchestrator,
        /// Its name.
        name: Text<'a>,
        /// What else its orchestrator says of it.
        labels: Labels<'a>,
    },
    /// Nothing yet, but later perhaps.
    RetryLater,
    /// Nothing, and never will be.
    Unknown,
}

layout! {
    /// One cgroup in a reply. Its path, its name and its labels follow.
    pub struct CgroupItem: 28 {
        /// What is known, or why nothing is said.
        2  status: CgroupStatus,
        /// Who runs it.
        4  orchestrator: Orchestrator,
        /// Where the path lies, from the start of the item.
        8  path: Span,
        /// Where the name lies, from the start of the item.
        16 name: Span,
        /// How many labels there are.
        24 label_count: u16,
    } fixed {
        0  layout_version: u16 = 1;
        6  reserved:       u16 = 0;
        26 reserved_too:   u16 = 0;
    }
}

codes! {
    /// What is known of a cgroup, or why nothing is said.
    pub enum CgroupStatus: u16 {
        /// The rest of the item says what.
        Known = 0,
        /// Nothing yet.
        RetryLater = 1,
        /// Nothing, and never will be.
        Unknown = 2,
        /// The message was full.
        PayloadExceeded = 3,
        /// It fits in no message.
        Oversized = 4,
    }
}

impl Lookup for CgroupsLookup {
    const METHOD: u16 = 4;
    const NAME: &'static str = "cgroups-lookup";
    const KEY: RangeInclusive<usize> = 2..=usize::MAX;
    const ITEM: usize = CgroupItem::LEN;

    type Key<'a> = &'a [u8];
    type Value<'a> = Cgroup<'a>;

    #[inline]
    fn key_len(path: &[u8]) -> usize {
        let len = path.len().saturating_add(1);
        if path.is_empty() || narrow(len).is_err() { usize::MAX } else { len }
    }

    #[inline]
    fn bare_len(path: &[u8]) -> usize {
        // Two NULs: that of the path, and that of no name.
        path.len().saturating_add(CgroupItem::LEN + 2)
    }

    #[inline]
    fn write_key(path: &[u8], pen: &mut Pen<'_>) -> Result<(), Unwritable> {
        if path.is_empty() {
            return Err(Unwritable::Invalid(&"cgroup without a path"));
        }
        pen.string(path).map(drop)
    }

    #[inline]
    fn read_key<'a>(mut reader: Reader<'a>) -> Result<&'a [u8], Malformed> {
        let length = reader.bytes().len().saturating_sub(1) as u32;
        let [path] = reader.strings(0, [Span { offset: 0, length }])?;
        Ok(path.as_bytes())
    }

    // Always, so that the value need not be passed on in memory.
    #[inline(always)]
    fn write(
        path: &[u8],
        cgroup: Result<&Cgroup<'_>, Shortfall>,
        pen: &mut Pen<'_>,
    ) -> Result<(), Unwritable> {
        let nothing = (Orchestrator::UNKNOWN, Text::default(), Labels::NONE);
        let (status, (orchestrator, name, labels)) = match cgroup {
            Ok(&Cgroup::Known { orchestrator, name, labels }) => {
                (CgroupStatus::Known, (orchestrator, name, labels))
            }
            Ok(Cgroup::RetryLater) => (CgroupStatus::RetryLater, nothing),
            Ok(Cgroup::Unknown) => (CgroupStatus::Unknown, nothing),
            Err(Shortfall::PayloadExceeded) => (CgroupStatus::PayloadExceeded, nothing),
            Err(Shortfall::Oversized) => (CgroupStatus::Oversized, nothing),
        };
        let start = pen.skip(CgroupItem::LEN)?;
        let path = pen.string(path)?;
        let name = pen.string(name.as_bytes())?;
        let label_count = pen.labels(labels)?;
        let head = CgroupItem { status, orchestrator, path, name, label_count };
        pen.fill(start, |to| head.write(to));
        Ok(())
    }

    // Always, so that the checks are left out where the item was read before.
    #[inline(always)]
    fn read<'a>(mut reader: Reader<'a>) -> Result<Item<'a, Self>, Malformed> {
        let head = CgroupItem::read(reader.bytes())?;
        let CgroupItem { status, orchestrator, .. } = head;
        let bare =
            orchestrator == Orchestrator::UNKNOWN && head.name.length == 0 && head.label_count == 0;
        let consistent = head.path.length != 0 && (status == CgroupStatus::Known || bare);
        if reader.is_new() && !consistent {
            return Err(malformed(Defect::BadLayout, "CgroupItem", 2, "contradicts its status"));
        }
        let [path, name] = reader.strings(CgroupItem::LEN, [head.path, head.name])?;
        let labels = reader.labels(head.label_count)?;
        let value = match status {
            CgroupStatus::Known => Ok(Cgroup::Known { orchestrator, name, labels }),
            CgroupStatus::RetryLater => Ok(Cgroup::RetryLater),
            CgroupStatus::Unknown => Ok(Cgroup::Unknown),
            CgroupStatus::PayloadExceeded => Err(Shortfall::PayloadExceeded),
            CgroupStatus::Oversized => Err(Shortfall::Oversized),
        };
        Ok(Item { key: path.as_bytes(), value })
    }

    #[inline]
    fn outline(item: &[u8]) -> Result<(&[u8], Option<Shortfall>), Malformed> {
        let CgroupItem { status, path, .. } = CgroupItem::read(item)?;
        let [path] = Reader::again(item).strings(CgroupItem::LEN, [path])?;
        let shortfall = match status {
            CgroupStatus::PayloadExceeded => Some(Shortfall::PayloadExceeded),
            CgroupStatus::Oversized => Some(Shortfall::Oversized),
            CgroupStatus::Known | CgroupStatus::RetryLater | CgroupStatus::Unknown => None,
        };
        Ok((path.as_bytes(), shortfall))
    }
}
