//! A local copy of a service's whole table.

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Release},
        },
    },
    time::{Duration, Instant},
};

use arc_swap::{ArcSwapOption, Guard};
use netipc_proto::{Malformed, Service};

use crate::{
    client::{Client, ClientOptions, ClientState},
    error::Result,
    link::{Carrier, Session},
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

    /// Makes it in place of a table that nobody needs any more, in the memory of that.
    ///
    /// # Errors
    ///
    /// As [`table`](Self::table). The table is of no use then.
    fn renew(table: &mut Self::Table, view: Self::ReplyView<'_>) -> Result<(), Malformed>;

    /// Whether `table` was made of the very bytes of this reply.
    fn is_same(table: &Self::Table, view: &Self::ReplyView<'_>) -> bool;
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
    /// What carried the last refresh that succeeded; `None` before the first.
    pub carrier: Option<Carrier>,
    /// When the last refresh succeeded.
    pub last_refresh: Option<Instant>,
    /// Why the last refresh failed; `None` if it did not.
    pub last_error: Option<String>,
}

/// Keeps the last good table of a service.
///
/// Any number of threads may read. Readers never wait: neither for a refresh nor for each other, and
/// no refresh waits for them. What they hold stays as it is for as long as they hold it.
///
/// A refresh that brings the same bytes again changes nothing. One that brings others makes their
/// table in the memory of the last but one, unless someone still holds that.
pub struct Cache<S: Snapshot> {
    fetcher: Mutex<Fetcher<S>>,
    abort: Abort,
    present: Present<S::Table>,
    status: Mutex<CacheStatus>,
}

/// What only one refresh at a time may use.
struct Fetcher<S: Snapshot> {
    client: Client<S>,
    /// The table before the present one.
    last: Option<Arc<S::Table>>,
}

/// The present table. On a cache line of its own, which is written only when there is another.
#[repr(align(64))]
struct Present<T> {
    table: ArcSwapOption<T>,
    /// Counts from 1 how often it was replaced.
    edition: AtomicU64,
}

impl<T> Present<T> {
    fn replace(&self, table: Option<Arc<T>>) -> Option<Arc<T>> {
        let last = self.table.swap(table);
        // Pairs with the Acquire in `CacheReader::table`: who sees this edition finds its table.
        self.edition.fetch_add(1, Release);
        last
    }
}

/// Reads a cache from one thread: see [`Cache::reader`].
pub struct CacheReader<'a, S: Snapshot> {
    present: &'a Present<S::Table>,
    table: Option<Arc<S::Table>>,
    /// The edition it is, or one before; 0 if none was looked for.
    edition: u64,
}

impl<S: Snapshot> fmt::Debug for CacheReader<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheReader").field("edition", &self.edition).finish_non_exhaustive()
    }
}

impl<S: Snapshot> CacheReader<'_, S> {
    /// The last good table, for as long as the reader is not asked again.
    #[inline]
    pub fn table(&mut self) -> Option<&S::Table> {
        // Pairs with the Release in `Present::replace`.
        let edition = self.present.edition.load(Acquire);
        if self.edition != edition {
            self.renew(edition);
        }
        self.table.as_deref()
    }

    #[cold]
    fn renew(&mut self, edition: u64) {
        (self.table, self.edition) = (self.present.table.load_full(), edition);
    }
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
            fetcher: Mutex::new(Fetcher { client, last: None }),
            present: Present { table: ArcSwapOption::const_empty(), edition: AtomicU64::new(1) },
            status: Mutex::new(CacheStatus {
                populated: false,
                refresh_success_count: 0,
                refresh_failure_count: 0,
                connection_state: ClientState::Disconnected,
                connect_count: 0,
                reconnect_count: 0,
                carrier: None,
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
        let mut fetcher = lock(&self.fetcher);
        let fetched = fetcher.fetch(&self.present);
        let client = &fetcher.client;
        let client_status = client.status();
        let carrier = client.session().map(Session::carrier);
        let mut status = lock(&self.status);
        status.connection_state = client_status.state;
        status.connect_count = client_status.connect_count;
        status.reconnect_count = client_status.reconnect_count;
        match fetched {
            Ok(()) => {
                status.populated = true;
                status.refresh_success_count = status.refresh_success_count.wrapping_add(1);
                status.carrier = carrier;
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
        self.present.table.load_full()
    }

    /// A reader for one thread: the cheapest way to look at the table again and again.
    ///
    /// It keeps the table it was asked for last, be it an old one, until it is asked again or
    /// dropped. As long as there is no newer one, asking it changes nothing that others read.
    ///
    /// ```
    /// use netipc::{Cache, ClientOptions, kinds::CgroupsSnapshot};
    ///
    /// let options = ClientOptions::default();
    /// let cache = Cache::<CgroupsSnapshot>::new("/run/no-such-directory", "cgroups-snapshot", options);
    /// std::thread::scope(|scope| {
    ///     for _ in 0..2 {
    ///         scope.spawn(|| {
    ///             let mut reader = cache.reader();
    ///             // Nobody refreshed it yet.
    ///             assert!(reader.table().is_none());
    ///         });
    ///     }
    /// });
    /// ```
    pub fn reader(&self) -> CacheReader<'_, S> {
        CacheReader { present: &self.present, table: None, edition: 0 }
    }

    /// The last good table, held without taking part in its ownership.
    pub(crate) fn guard(&self) -> Guard<Option<Arc<S::Table>>> {
        self.present.table.load()
    }

    /// Looks at the last good table without taking part in its ownership.
    ///
    /// Who looks often is better served by a [`reader`](Self::reader), which need not say each time
    /// that it uses the table.
    #[inline]
    pub fn with_table<T>(&self, look: impl FnOnce(&S::Table) -> T) -> Option<T> {
        self.present.table.load().as_deref().map(look)
    }

    /// Whether there is a table, be it empty.
    pub fn ready(&self) -> bool {
        self.present.table.load().is_some()
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
        lock(&self.fetcher).client.set_timeout(timeout);
    }

    /// Hangs up and forgets the table. It can be refreshed again.
    pub fn close(&self) {
        let mut fetcher = lock(&self.fetcher);
        fetcher.client.close();
        fetcher.last = None;
        self.present.replace(None);
        let mut status = lock(&self.status);
        status.populated = false;
        status.connection_state = ClientState::Disconnected;
    }

    /// Puts a table in place as if a refresh had fetched it.
    #[doc(hidden)]
    pub fn seed(&self, table: S::Table) {
        self.present.replace(Some(Arc::new(table)));
        lock(&self.status).populated = true;
    }
}

impl<S: Snapshot> Fetcher<S> {
    /// Asks for the table, and puts it in place if it is another than before.
    fn fetch(&mut self, present: &Present<S::Table>) -> Result<()> {
        let Fetcher { client, last } = self;
        client.refresh();
        // Counts as a failed call even without a session; why there is none tells more, however.
        let unconnected = if client.ready() { None } else { client.last_error().cloned() };
        let made = client.call(S::request()).and_then(|view| {
            if present.table.load().as_deref().is_some_and(|table| S::is_same(table, &view)) {
                return Ok(None);
            }
            let mut spare = last.take();
            match spare.as_mut().and_then(Arc::get_mut) {
                Some(table) => S::renew(table, view)?,
                None => spare = Some(Arc::new(S::table(view)?)),
            }
            Ok(spare)
        });
        if let (Err(_), Some(why)) = (&made, unconnected) {
            return Err(why);
        }
        if let Err(error) = &made
            && error.malformed().is_some()
        {
            client.break_off();
        }
        if let made @ Some(_) = made? {
            *last = present.replace(made);
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked while holding it left a value that is whole: each is replaced in one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
