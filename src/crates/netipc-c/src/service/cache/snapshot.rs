//! One snapshot as C sees it.

use std::ffi::c_char;

use netipc::{CgroupsTable, Snapshot};
use netipc_proto::{
    Malformed,
    kinds::{CgroupsSnapshot, cgroups_snapshot::View},
};

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct nipc_cgroups_cache_item_view_t {
    pub(super) hash: u32,
    pub(super) options: u32,
    pub(super) enabled: u32,
    pub(super) name: *const c_char,
    pub(super) path: *const c_char,
}

/// One snapshot: a table, and its cgroups as C sees them.
pub(crate) struct nipc_cgroups_cache_snapshot_t {
    pub(super) table: CgroupsTable,
    /// Points into the table, and is made anew along with it.
    pub(super) items: Vec<nipc_cgroups_cache_item_view_t>,
}

// SAFETY: the pointers lead into the table, which is owned along with them and changes only with them.
unsafe impl Send for nipc_cgroups_cache_snapshot_t {}
// SAFETY: as above.
unsafe impl Sync for nipc_cgroups_cache_snapshot_t {}

/// How many times the memory it needs a renewed list of items keeps at most.
const KEPT: usize = 4;

impl nipc_cgroups_cache_snapshot_t {
    pub(super) fn new(table: CgroupsTable) -> Self {
        let mut snapshot = nipc_cgroups_cache_snapshot_t { table, items: Vec::new() };
        snapshot.list();
        snapshot
    }

    /// Makes it anew in its own memory. Of no use afterwards if the reply breaks a rule.
    pub(super) fn renew(&mut self, reply: View<'_>) -> Result<(), Malformed> {
        // They point into what the table is about to write over.
        self.items.clear();
        CgroupsSnapshot::renew(&mut self.table, reply)?;
        self.list();
        Ok(())
    }

    fn list(&mut self) {
        let nipc_cgroups_cache_snapshot_t { table, items } = self;
        items.clear();
        items.shrink_to(KEPT * table.len());
        items.extend(table.iter().map(|cgroup| nipc_cgroups_cache_item_view_t {
            hash: cgroup.hash,
            options: cgroup.options,
            enabled: cgroup.enabled,
            // In the table, a NUL follows each.
            name: cgroup.name.as_bytes().as_ptr().cast(),
            path: cgroup.path.as_bytes().as_ptr().cast(),
        }));
    }

    pub(super) fn get(&self, hash: u32, name: &[u8]) -> Option<&nipc_cgroups_cache_item_view_t> {
        self.table.find(hash, name).and_then(|number| self.items.get(number))
    }
}
