//! A local copy of a service's whole table.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use netipc_proto::{Malformed, Service};

use crate::{
    client::{Client, ClientOptions, ClientState},
    error::Result,
    link::Session,
    sys::Abort,
};

/// A kind whose reply is a whole table, worth keeping.
pub trait Snapshot: Service {
    /// The table as a reader wants it: owned and indexed.
    type Table: Send + Sync;

    /// What to ask for the whole table.
    fn request() -> Self::Request<'static>;

    /// Makes the table of a reply.
    ///
    /// # Errors
    ///
    /// Which rule of the wire the reply breaks. No part of it is used then.
    fn table(view: Self::ReplyView<'_>) -> Result<Self::Table, Malformed>;
}

/// What a cache did so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheStatus {
    /// Whether it ever had a table.
    pub populated: bool,
    /// How many refreshes succeeded.
    pub refresh_success_count: u32,
    /// How many refreshes failed.
    pub refresh_failure_count: u32,
    /// What became of the connection, at the end of the last refresh.
    pub connection_state: ClientState,
    /// How often it connected without having been connected just before.
    pub connect_count: u32,
    /// How often it connected again after its session broke.
    pub reconnect_count: u32,
    /// Whether the last refresh that succeeded came through shared memory; `None` before the first.
    pub shared_memory: Option<bool>,
    /// When the last refresh succeeded.
    pub last_refresh: Option<Instant>,
    /// Why the last refresh failed; `None` if it did not.
    pub last_error: Option<String>,
}

/// Keeps the last good table of a service.
///
/// Any number of threads may read. Readers never wait: neither for a refresh nor for each other, and
/// no refresh waits for them. What they hold stays as it is for as long as they hold it.
pub struct Cache<S: Snapshot> {
    client: Mutex<Client<S>>,
    abort: Abort,
    table: ArcSwapOption<S::Table>,
    status: Mutex<CacheStatus>,
}

impl<S: Snapshot> fmt::Debug for Cache<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl<S: Snapshot> Cache<S> {
    /// A cache of `service` in `dir`. Does not connect: see [`refresh`](Self::refresh).
    pub fn new(dir: impl AsRef<Path>, service: &str, options: ClientOptions) -> Self {
        let client = Client::with_options(dir, service, options);
        Cache {
            abort: client.abort().clone(),
            client: Mutex::new(client),
            table: ArcSwapOption::const_empty(),
            status: Mutex::new(CacheStatus {
                populated: false,
                refresh_success_count: 0,
                refresh_failure_count: 0,
                connection_state: ClientState::Disconnected,
                connect_count: 0,
                reconnect_count: 0,
                shared_memory: None,
                last_refresh: None,
                last_error: None,
            }),
        }
    }

    /// Fetches the table anew, connecting first if need be. On failure the last good one stays.
    ///
    /// Several threads that refresh at once do so one after the other.
    ///
    /// # Errors
    ///
    /// Those of connecting and of [`Client::call`].
    pub fn refresh(&self) -> Result<()> {
        let mut client = lock(&self.client);
        let fetched = fetch(&mut client);
        let client_status = client.status();
        let shared_memory = client.session().map(Session::is_shared_memory);
        let mut status = lock(&self.status);
        status.connection_state = client_status.state;
        status.connect_count = client_status.connect_count;
        status.reconnect_count = client_status.reconnect_count;
        match fetched {
            Ok(table) => {
                self.table.store(Some(Arc::new(table)));
                status.populated = true;
                status.refresh_success_count = status.refresh_success_count.wrapping_add(1);
                status.shared_memory = shared_memory;
                status.last_refresh = Some(Instant::now());
                status.last_error = None;
                Ok(())
            }
            Err(error) => {
                status.refresh_failure_count = status.refresh_failure_count.wrapping_add(1);
                status.last_error = Some(error.to_string());
                Err(error)
            }
        }
    }

    /// The last good table, for as long as the caller wants to keep it.
    pub fn table(&self) -> Option<Arc<S::Table>> {
        self.table.load_full()
    }

    /// Looks at the last good table without taking part in its ownership: the cheapest way to read.
    pub fn with_table<T>(&self, look: impl FnOnce(&S::Table) -> T) -> Option<T> {
        self.table.load().as_deref().map(look)
    }

    /// Whether there is a table, be it empty.
    pub fn ready(&self) -> bool {
        self.table.load().is_some()
    }

    /// What it did so far. Does not wait for a refresh under way.
    pub fn status(&self) -> CacheStatus {
        lock(&self.status).clone()
    }

    /// Calls off refreshes, from any thread, until it is cleared.
    pub fn abort(&self) -> &Abort {
        &self.abort
    }

    /// How long refreshes may take from now on. Zero stands for 30 seconds. Waits for a refresh
    /// under way.
    pub fn set_timeout(&self, timeout: Duration) {
        lock(&self.client).set_timeout(timeout);
    }

    /// Hangs up and forgets the table. It can be refreshed again.
    pub fn close(&self) {
        lock(&self.client).close();
        self.table.store(None);
        let mut status = lock(&self.status);
        status.populated = false;
        status.connection_state = ClientState::Disconnected;
    }

    /// Puts a table in place as if a refresh had fetched it.
    #[doc(hidden)]
    pub fn seed(&self, table: S::Table) {
        self.table.store(Some(Arc::new(table)));
        lock(&self.status).populated = true;
    }
}

fn fetch<S: Snapshot>(client: &mut Client<S>) -> Result<S::Table> {
    client.refresh();
    // Counts as a failed call even without a session; why there is none tells more, however.
    let unconnected = if client.ready() { None } else { client.last_error().cloned() };
    let table = client.call(S::request()).and_then(|view| Ok(S::table(view)?));
    if let (Err(_), Some(why)) = (&table, unconnected) {
        return Err(why);
    }
    if let Err(error) = &table
        && error.malformed().is_some()
    {
        client.break_off();
    }
    table
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while holding it left a value that is whole: each is replaced in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
