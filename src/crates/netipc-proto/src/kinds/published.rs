//! What handlers fill and callers read, in the form in which Netdata plugin-ipc publishes it:
//! numbers instead of states, and positional arguments. What is filled ends in the typed form.

use super::{
    AppsLookup, CgroupsLookup, Orchestrator,
    apps_lookup::{
        self, COMM_MAX, Process, ProcessCgroupStatus, ProcessItem, ProcessStatus, UID_UNSET,
    },
    cgroups_lookup::{self, CgroupItem, CgroupStatus},
    cgroups_snapshot::{Builder, Cgroup},
};
use crate::{
    item::{Labels, Reader},
    layout::{Defect, Malformed, Unwritable, malformed},
    lookup::{Found, Keys, Lookup, Replies, Shortfall},
    text::Text,
};

const CONTRADICTION: Unwritable = Unwritable::Invalid(&"answer that contradicts its status");

impl<'a> cgroups_lookup::Cgroup<'a> {
    /// What an answer in numbers says of a cgroup; `None` if it contradicts itself.
    pub fn from_codes(
        status: u16,
        orchestrator: u16,
        name: &'a [u8],
        labels: Labels<'a>,
    ) -> Option<Result<Self, Shortfall>> {
        let value = match CgroupStatus::from_code(status)? {
            CgroupStatus::Known => {
                let (orchestrator, name) = (Orchestrator(orchestrator), Text::new(name));
                return Some(Ok(Self::Known { orchestrator, name, labels }));
            }
            CgroupStatus::RetryLater => Ok(Self::RetryLater),
            CgroupStatus::Unknown => Ok(Self::Unknown),
            CgroupStatus::PayloadExceeded => Err(Shortfall::PayloadExceeded),
            CgroupStatus::Oversized => Err(Shortfall::Oversized),
        };
        (orchestrator == 0 && name.is_empty() && labels.is_empty()).then_some(value)
    }
}

/// An answer about a process in numbers.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // The fields of the layout `ProcessItem`.
pub struct ProcessCodes<'a> {
    pub status: u16,
    pub cgroup_status: u16,
    pub orchestrator: u16,
    pub ppid: u32,
    pub uid: u32,
    pub starttime: u64,
    pub comm: &'a [u8],
    pub cgroup_path: &'a [u8],
    pub cgroup_name: &'a [u8],
    pub labels: Labels<'a>,
}

impl<'a> ProcessCodes<'a> {
    /// What it says; `None` if it contradicts itself.
    pub fn process(&self) -> Option<Result<Option<Process<'a>>, Shortfall>> {
        let &ProcessCodes { orchestrator, ppid, uid, starttime, comm, labels, .. } = self;
        let (path, name) = (self.cgroup_path, self.cgroup_name);
        let status = ProcessStatus::from_code(self.status)?;
        let cgroup_status = ProcessCgroupStatus::from_code(self.cgroup_status)?;
        let bare = orchestrator == 0 && name.is_empty() && labels.is_empty();
        if status != ProcessStatus::Known {
            let unset = ppid == 0 && uid == UID_UNSET && starttime == 0;
            let empty = comm.is_empty() && path.is_empty();
            let nothing = cgroup_status == ProcessCgroupStatus::Known && unset && empty && bare;
            return nothing.then_some(match status {
                ProcessStatus::PayloadExceeded => Err(Shortfall::PayloadExceeded),
                ProcessStatus::Oversized => Err(Shortfall::Oversized),
                ProcessStatus::Known | ProcessStatus::Unknown => Ok(None),
            });
        }
        let some_path = !path.is_empty();
        let path = Text::new(path);
        let cgroup = match cgroup_status {
            ProcessCgroupStatus::Known if some_path => apps_lookup::Cgroup::Known {
                orchestrator: Orchestrator(orchestrator),
                path,
                name: Text::new(name),
                labels,
            },
            ProcessCgroupStatus::RetryLater if bare => apps_lookup::Cgroup::RetryLater { path },
            ProcessCgroupStatus::Unknown if bare && some_path => {
                apps_lookup::Cgroup::Unknown { path }
            }
            ProcessCgroupStatus::HostRoot if bare && !some_path => apps_lookup::Cgroup::HostRoot,
            _ => return None,
        };
        let uid = (uid != UID_UNSET).then_some(uid);
        let process = Process { ppid, uid, starttime, comm: Text::new(comm), cgroup };
        (1..=COMM_MAX).contains(&comm.len()).then_some(Ok(Some(process)))
    }
}

impl<'a, L: Lookup> Keys<'a, L> {
    /// One key, by its number.
    ///
    /// # Errors
    ///
    /// There is none of that number.
    pub fn item(&self, index: u32) -> Result<L::Key<'a>, Malformed> {
        let none = malformed(Defect::OutOfBounds, "LookupRequestHeader", 4, "has no such key");
        self.get(index).ok_or(none)
    }
}

impl<L: Lookup> Replies<'_, L> {
    /// Sets [`generation`](Self::generation).
    pub fn set_generation(&mut self, generation: u64) {
        self.generation = generation;
    }

    /// How many keys are answered.
    pub fn item_count(&self) -> u32 {
        self.len()
    }
}

impl Replies<'_, CgroupsLookup> {
    /// Answers the next key, whose path `path` must be.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push), or the numbers contradict themselves or the key.
    pub fn add(
        &mut self,
        status: u16,
        orchestrator: u16,
        path: &[u8],
        name: &[u8],
        labels: &[(&[u8], &[u8])],
    ) -> Result<(), Unwritable> {
        let key = self.keys().get(self.len());
        if key.is_some_and(|key| key != path) {
            return self.fail(Unwritable::Invalid(&"answer to another key"));
        }
        match cgroups_lookup::Cgroup::from_codes(status, orchestrator, name, Labels::new(labels)) {
            Some(value) => self.push_value(value.as_ref().map_err(|why| *why)),
            None => self.fail(CONTRADICTION),
        }
    }
}

impl Replies<'_, AppsLookup> {
    /// Answers the next key, whose PID `pid` must be.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push), or the numbers contradict themselves or the key.
    #[allow(clippy::too_many_arguments)] // As published.
    pub fn add(
        &mut self,
        status: u16,
        cgroup_status: u16,
        orchestrator: u16,
        pid: u32,
        ppid: u32,
        uid: u32,
        starttime: u64,
        comm: &[u8],
        cgroup_path: &[u8],
        cgroup_name: &[u8],
        labels: &[(&[u8], &[u8])],
    ) -> Result<(), Unwritable> {
        if self.keys().get(self.len()).is_some_and(|key| key != pid) {
            return self.fail(Unwritable::Invalid(&"answer to another key"));
        }
        let labels = Labels::new(labels);
        let codes = ProcessCodes {
            status,
            cgroup_status,
            orchestrator,
            ppid,
            uid,
            starttime,
            comm,
            cgroup_path,
            cgroup_name,
            labels,
        };
        match codes.process() {
            Some(value) => self.push_value(value.as_ref().map_err(|why| *why)),
            None => self.fail(CONTRADICTION),
        }
    }
}

impl Builder<'_> {
    /// Sets [`systemd_enabled`](Self::systemd_enabled) and [`generation`](Self::generation).
    pub fn set_header(&mut self, systemd_enabled: u32, generation: u64) {
        (self.systemd_enabled, self.generation) = (systemd_enabled, generation);
    }

    /// Appends a cgroup.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn add(
        &mut self,
        hash: u32,
        options: u32,
        enabled: u32,
        name: &[u8],
        path: &[u8],
    ) -> Result<(), Unwritable> {
        let (name, path) = (Text::new(name), Text::new(path));
        self.push(&Cgroup { hash, options, enabled, name, path })
    }
}

/// An item of a cgroups lookup in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // The fields of the layout `CgroupItem`.
pub struct CgroupsLookupItemView<'a> {
    pub status: u16,
    pub orchestrator: u16,
    pub path: Text<'a>,
    pub name: Text<'a>,
    pub label_count: u16,
    labels: Labels<'a>,
}

/// An item of a process lookup in numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)] // The fields of the layout `ProcessItem`.
pub struct AppsLookupItemView<'a> {
    pub status: u16,
    pub orchestrator: u16,
    pub cgroup_status: u16,
    pub pid: u32,
    pub ppid: u32,
    pub uid: u32,
    pub starttime: u64,
    pub comm: Text<'a>,
    pub cgroup_path: Text<'a>,
    pub cgroup_name: Text<'a>,
    pub label_count: u16,
    labels: Labels<'a>,
}

/// A label of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupLabelView<'a> {
    /// What it is called.
    pub key: Text<'a>,
    /// What it says.
    pub value: Text<'a>,
}

impl<'a> CgroupsLookupItemView<'a> {
    /// One label, by its number.
    ///
    /// # Errors
    ///
    /// There is none of that number.
    pub fn label(&self, index: u32) -> Result<LookupLabelView<'a>, Malformed> {
        label(&self.labels, index)
    }
}

impl<'a> AppsLookupItemView<'a> {
    /// One label, by its number.
    ///
    /// # Errors
    ///
    /// There is none of that number.
    pub fn label(&self, index: u32) -> Result<LookupLabelView<'a>, Malformed> {
        label(&self.labels, index)
    }
}

fn label<'a>(labels: &Labels<'a>, index: u32) -> Result<LookupLabelView<'a>, Malformed> {
    let none = malformed(Defect::OutOfBounds, "LabelEntry", 0, "has no such label");
    let (key, value) = labels.get(index as usize).ok_or(none)?;
    Ok(LookupLabelView { key, value })
}

impl<'a, L: Lookup> Found<'a, L> {
    /// The bytes of one item, by its number.
    ///
    /// # Errors
    ///
    /// There is none of that number.
    pub fn raw_item(&self, index: u32) -> Result<&'a [u8], Malformed> {
        let none = malformed(Defect::OutOfBounds, "LookupReplyHeader", 4, "has no such item");
        self.bytes(index).ok_or(none)
    }
}

impl<'a> Found<'a, CgroupsLookup> {
    /// One item, by its number, in numbers. [`get`](Self::get) says the same in states.
    ///
    /// # Errors
    ///
    /// There is none of that number.
    pub fn item(&self, index: u32) -> Result<CgroupsLookupItemView<'a>, Malformed> {
        let mut reader = Reader::again(self.raw_item(index)?);
        let head = CgroupItem::read(reader.bytes())?;
        let [path, name] = reader.strings(CgroupItem::LEN, [head.path, head.name])?;
        let CgroupItem { orchestrator, label_count, .. } = head;
        let labels = reader.labels(label_count)?;
        let (status, orchestrator) = (head.status.code(), orchestrator.0);
        Ok(CgroupsLookupItemView { status, orchestrator, path, name, label_count, labels })
    }
}

impl<'a> Found<'a, AppsLookup> {
    /// One item, by its number, in numbers. [`get`](Self::get) says the same in states.
    ///
    /// # Errors
    ///
    /// There is none of that number.
    pub fn item(&self, index: u32) -> Result<AppsLookupItemView<'a>, Malformed> {
        let mut reader = Reader::again(self.raw_item(index)?);
        let head = ProcessItem::read(reader.bytes())?;
        let spans = [head.comm, head.cgroup_path, head.cgroup_name];
        let [comm, cgroup_path, cgroup_name] = reader.strings(ProcessItem::LEN, spans)?;
        let labels = reader.labels(head.label_count)?;
        Ok(AppsLookupItemView {
            status: head.status.code(),
            orchestrator: head.orchestrator.0,
            cgroup_status: head.cgroup_status.code(),
            pid: head.pid,
            ppid: head.ppid,
            uid: head.uid,
            starttime: head.starttime,
            comm,
            cgroup_path,
            cgroup_name,
            label_count: head.label_count,
            labels,
        })
    }
}
