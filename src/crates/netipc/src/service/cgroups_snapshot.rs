//! All cgroups of this machine at once, under the published names.
//!
//! ```no_run
//! use netipc::{
//!     protocol,
//!     service::cgroups::{CgroupsClient, ClientConfig},
//! };
//!
//! let config = ClientConfig {
//!     supported_profiles: protocol::PROFILE_BASELINE,
//!     auth_token: 0xDEAD_BEEF_CAFE_BABE,
//!     ..ClientConfig::default()
//! };
//! let mut client = CgroupsClient::new("/run/netdata", "cgroups-snapshot", config);
//! client.refresh();
//! if client.ready() {
//!     match client.call_snapshot() {
//!         Ok(view) => {
//!             for index in 0..view.item_count {
//!                 let item = view.item(index).unwrap();
//!                 println!("{} {:?}", item.hash, item.name.as_str());
//!             }
//!         }
//!         Err(error) => eprintln!("call failed: {error:?}"),
//!     }
//! }
//! client.close();
//! ```

use std::{ops::Deref, sync::Arc, time::Instant};

use arc_swap::Guard;
use netipc_proto::{
    Declined, Handler as Handle,
    kinds::{CgroupsSnapshot, cgroups_snapshot::Cgroup},
};

use super::{agreed, ceilings, client_methods, config, managed_server, millis};
use crate::{
    Cache, CgroupsTable, Client, ClientOptions, Result,
    protocol::{CgroupsBuilder, CgroupsRequest, CgroupsResponseView},
};

pub use super::ClientAbortHandle;
pub use crate::client::{ClientState, ClientStatus};

config! {
    /// How a client connects.
    ClientConfig {}
}

config! {
    /// What a server grants.
    ServerConfig {}
}

impl ClientConfig {
    fn options(&self) -> ClientOptions {
        self.published().client(ceilings(0, 0, 0))
    }
}

/// Fills a snapshot and says whether it could.
pub type SnapshotHandler =
    Box<dyn for<'a> Fn(&CgroupsRequest, &mut CgroupsBuilder<'a>) -> bool + Send + Sync>;

/// What a server does.
#[derive(Default)]
pub struct Handler {
    /// Fills a snapshot and says whether it could. Without one, requests are not served.
    pub handle: Option<SnapshotHandler>,
    /// How many cgroups there are at most. 0: as many as fit.
    pub snapshot_max_items: u32,
}

impl Handler {
    fn into_typed(self) -> Box<dyn Handle<CgroupsSnapshot>> {
        let Handler { handle, snapshot_max_items } = self;
        Box::new(move |asked: &CgroupsRequest, reply: &mut CgroupsBuilder<'_>| {
            let Some(handle) = &handle else { return Err(Declined::Unsupported) };
            agreed(handle(asked, reply))?;
            let too_many = snapshot_max_items != 0 && reply.len() > snapshot_max_items;
            if too_many { Err(Declined::Full) } else { Ok(()) }
        })
    }
}

/// A client of a snapshot service.
#[derive(Debug)]
pub struct CgroupsClient(Client<CgroupsSnapshot>);

client_methods!(CgroupsClient);

impl CgroupsClient {
    /// Asks for a snapshot, which borrows this client until its next call.
    ///
    /// # Errors
    ///
    /// Those of [`Client::call`].
    pub fn call_snapshot(&mut self) -> Result<CgroupsResponseView<'_>> {
        self.0.call(())
    }

    /// As [`call_snapshot`](Self::call_snapshot), within so many milliseconds. 0: as configured.
    ///
    /// # Errors
    ///
    /// Those of [`Client::call`].
    pub fn call_snapshot_with_timeout(
        &mut self,
        timeout_ms: u32,
    ) -> Result<CgroupsResponseView<'_>> {
        self.0.call_within((), millis(timeout_ms))
    }
}

managed_server!(CgroupsSnapshot);

/// A local copy of the latest snapshot.
#[derive(Debug)]
pub struct CgroupsCache {
    cache: Cache<CgroupsSnapshot>,
    created: Instant,
}

/// A cgroup of a snapshot, which it keeps alive as long as it is held.
#[derive(Clone, Debug)]
pub struct CgroupsCacheItem {
    /// What the provider computes from the name.
    pub hash: u32,
    /// Bits that the provider gives a meaning.
    pub options: u32,
    /// Whether it is monitored.
    pub enabled: u32,
    /// Its name; what is not UTF-8 is replaced by U+FFFD.
    pub name: String,
    /// Its path; what is not UTF-8 is replaced by U+FFFD.
    pub path: String,
}

impl From<Cgroup<'_>> for CgroupsCacheItem {
    fn from(cgroup: Cgroup<'_>) -> Self {
        let Cgroup { hash, options, enabled, name, path } = cgroup;
        let (name, path) = (name.to_string(), path.to_string());
        CgroupsCacheItem { hash, options, enabled, name, path }
    }
}

/// What a cache did so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupsCacheStatus {
    /// Whether it has a snapshot.
    pub populated: bool,
    /// How many cgroups the snapshot has.
    pub item_count: u32,
    /// Whether systemd runs the machine, as the provider sees it.
    pub systemd_enabled: u32,
    /// Which state of the provider the snapshot is.
    pub generation: u64,
    /// How many refreshes succeeded.
    pub refresh_success_count: u32,
    /// How many refreshes failed.
    pub refresh_failure_count: u32,
    /// What became of the connection.
    pub connection_state: ClientState,
    /// When the last refresh succeeded, in milliseconds since the cache was made, at least 1; 0 for
    /// never.
    pub last_refresh_ts: u64,
}

/// One snapshot, as it was when it was locked: refreshes neither change it nor wait for it.
///
/// Taking one changes nothing that other threads read.
#[derive(Debug)]
pub struct CgroupsCacheReadGuard(Guard<Option<Arc<CgroupsTable>>>);

impl Clone for CgroupsCacheReadGuard {
    fn clone(&self) -> Self {
        CgroupsCacheReadGuard(Guard::from_inner(Option::clone(&self.0)))
    }
}

/// A cgroup of a guarded snapshot.
pub type CgroupsCacheItemView<'a> = Cgroup<'a>;

impl CgroupsCacheReadGuard {
    /// The cgroup with this hash and name.
    #[inline]
    pub fn get(&self, hash: u32, name: &str) -> Option<CgroupsCacheItemView<'_>> {
        self.0.as_deref()?.get(hash, name)
    }

    /// A copy that outlives the guard.
    pub fn dup(&self, item: CgroupsCacheItemView<'_>) -> CgroupsCacheItem {
        item.into()
    }

    /// The whole snapshot, if there is one.
    pub fn table(&self) -> Option<&CgroupsTable> {
        self.0.as_deref()
    }
}

impl CgroupsCache {
    /// A cache of `service` in `run_dir`. Does not connect.
    pub fn new(run_dir: &str, service: &str, config: ClientConfig) -> Self {
        let cache = Cache::new(run_dir, service, config.options());
        CgroupsCache { cache, created: Instant::now() }
    }

    /// Fetches the snapshot anew. Whether a new one is there now; otherwise the old one still is.
    pub fn refresh(&self) -> bool {
        self.cache.refresh().is_ok()
    }

    /// The cgroup with this hash and name, as a copy.
    pub fn lookup(&self, hash: u32, name: &str) -> Option<CgroupsCacheItem> {
        self.lookup_bytes(hash, name.as_bytes())
    }

    /// As [`lookup`](Self::lookup), for names that are not UTF-8.
    pub fn lookup_bytes(&self, hash: u32, name: &[u8]) -> Option<CgroupsCacheItem> {
        self.cache.with_table(|table| table.get(hash, name).map(CgroupsCacheItem::from))?
    }

    /// The present snapshot, to look into several times.
    pub fn read_lock(&self) -> CgroupsCacheReadGuard {
        CgroupsCacheReadGuard(self.cache.guard())
    }

    /// A copy of a cgroup that outlives its guard.
    pub fn item_dup(&self, item: CgroupsCacheItemView<'_>) -> CgroupsCacheItem {
        item.into()
    }

    /// Whether there is a snapshot, be it empty.
    pub fn ready(&self) -> bool {
        self.cache.ready()
    }

    /// What it did so far.
    pub fn status(&self) -> CgroupsCacheStatus {
        let status = self.cache.status();
        let table = self.cache.table();
        let table = table.as_deref();
        let since = |at: Instant| at.saturating_duration_since(self.created).as_millis() as u64;
        CgroupsCacheStatus {
            populated: table.is_some(),
            item_count: table.map_or(0, |table| table.len() as u32),
            systemd_enabled: table.map_or(0, CgroupsTable::systemd_enabled),
            generation: table.map_or(0, CgroupsTable::generation),
            refresh_success_count: status.refresh_success_count,
            refresh_failure_count: status.refresh_failure_count,
            connection_state: status.connection_state,
            last_refresh_ts: status.last_refresh.map_or(0, |at| since(at).max(1)),
        }
    }

    /// How long refreshes may take, in milliseconds. 0: 30,000.
    pub fn set_call_timeout(&self, timeout_ms: u32) {
        self.cache.set_timeout(millis(timeout_ms));
    }

    /// What calls refreshes off from other threads.
    pub fn abort_handle(&self) -> ClientAbortHandle {
        ClientAbortHandle(self.cache.abort().clone())
    }

    /// Calls refreshes off, until [`clear_abort`](Self::clear_abort).
    pub fn abort(&self) {
        self.cache.abort().set();
    }

    /// Lets refreshes last again.
    pub fn clear_abort(&self) {
        self.cache.abort().clear();
    }

    /// Hangs up and forgets the snapshot. It can be refreshed again.
    pub fn close(&self) {
        self.cache.close();
    }
}

/// What the generic cache can.
impl Deref for CgroupsCache {
    type Target = Cache<CgroupsSnapshot>;

    fn deref(&self) -> &Self::Target {
        &self.cache
    }
}
