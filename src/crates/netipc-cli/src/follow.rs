//! Follows a snapshot service from the background: a cache, refreshed again and again.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use netipc::{Cache, ClientState, kinds::CgroupsSnapshot, proto::Service, transport::Carrier};

use crate::{
    bell::{Bell, wait},
    context::Context,
    rows::SnapshotRow,
};

/// A cache of all cgroups that is kept fresh by a thread of its own: whoever shows it never waits
/// for a provider. The thread ends with this.
pub struct Follower {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    cache: Cache<CgroupsSnapshot>,
    refreshes: Mutex<Refreshes>,
    stop: Bell,
    /// Rings after every refresh.
    done: Bell,
}

/// What the refreshes came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Refreshes {
    /// How many there were, good and bad.
    pub count: u64,
    /// How long the last good one took.
    pub took: Option<Duration>,
}

/// How things stand.
#[derive(Clone, Debug)]
pub struct View {
    /// The cgroups of the last good refresh, however old.
    pub rows: Vec<SnapshotRow>,
    /// The generation of the last good refresh.
    pub generation: Option<u64>,
    /// Whether the last refresh was good.
    pub fresh: bool,
    /// How old the cgroups are.
    pub age: Option<Duration>,
    /// What became of the connection.
    pub state: ClientState,
    /// How often there was a connection again after the first.
    pub reconnects: u32,
    /// What carried the cgroups.
    pub carrier: Option<Carrier>,
    /// Why the last refresh failed.
    pub error: Option<String>,
    /// What the refreshes came to.
    pub refreshes: Refreshes,
    /// How many refreshes were good, and how many not.
    pub tally: (u32, u32),
}

impl Follower {
    /// Begins to follow, asking every `interval`.
    ///
    /// # Errors
    ///
    /// The process has no descriptors or threads left.
    pub fn start(context: &Context, interval: Duration) -> io::Result<Self> {
        let cache = Cache::new(&context.run_dir, CgroupsSnapshot::NAME, context.client_options());
        let shared = Arc::new(Shared {
            cache,
            refreshes: Mutex::default(),
            stop: Bell::new()?,
            done: Bell::new()?,
        });
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("refresh".into())
            .spawn(move || theirs.keep_refreshing(interval))?;
        Ok(Follower { shared, thread: Some(thread) })
    }

    /// Readable after a refresh; see [`take`](Self::take).
    pub fn done(&self) -> &std::os::fd::OwnedFd {
        self.shared.done.fd()
    }

    /// Whether there was a refresh since the last time.
    pub fn take(&self) -> bool {
        self.shared.done.take() != 0
    }

    /// How things stand now.
    pub fn view(&self) -> View {
        let status = self.shared.cache.status();
        let (rows, generation) = match self.shared.cache.table() {
            Some(table) => {
                (table.iter().map(SnapshotRow::from).collect(), Some(table.generation()))
            }
            None => (Vec::new(), None),
        };
        View {
            rows,
            generation,
            fresh: status.last_error.is_none() && status.last_refresh.is_some(),
            age: status.last_refresh.map(|at| at.elapsed()),
            state: status.connection_state,
            reconnects: (status.connect_count + status.reconnect_count).saturating_sub(1),
            carrier: status.carrier,
            error: status.last_error,
            refreshes: self.shared.refreshes(),
            tally: (status.refresh_success_count, status.refresh_failure_count),
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.stop.ring(1);
        // A refresh under way is called off: nobody waits for it any more.
        self.shared.cache.abort().set();
        if let Some(thread) = self.thread.take() {
            // It panicked: that was told on standard error already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn refreshes(&self) -> Refreshes {
        *self.refreshes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_refreshing(&self, interval: Duration) {
        loop {
            let began = Instant::now();
            // Why it failed is kept in the status of the cache.
            let refreshed = self.cache.refresh();
            let took = began.elapsed();
            {
                let mut refreshes = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
                refreshes.count += 1;
                if refreshed.is_ok() {
                    refreshes.took = Some(took);
                }
            }
            self.done.ring(1);
            let due = began + interval;
            while Instant::now() < due {
                if wait(&[self.stop.fd()], due).is_err() {
                    return;
                }
                if self.stop.take() != 0 {
                    return;
                }
            }
            if self.stop.take() != 0 {
                return;
            }
        }
    }
}
