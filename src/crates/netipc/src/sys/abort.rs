//! Calling a wait off from another thread.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
};

use super::imp::{Signal, Socket, Waitable, is_signalled};

/// Calls off whatever waits on it, from any thread.
///
/// Clones are handles of the same abort. It is sticky: once set, every wait on it ends at once,
/// those that begin later too, until it is cleared.
///
/// ```
/// let abort = netipc::Abort::new();
/// let handle = abort.clone();
/// std::thread::spawn(move || handle.set()).join().unwrap();
/// assert!(abort.is_set());
/// abort.clear();
/// assert!(!abort.is_set());
/// ```
#[derive(Clone, Default)]
pub struct Abort(Arc<Shared>);

struct Shared {
    set: AtomicBool,
    /// Made when somebody first waits, so that an abort nobody waits on costs nothing.
    signal: OnceLock<Signal>,
    /// The sockets that somebody is blocked in. Locked while `set` and `signal` change, too, so that
    /// all of them always agree.
    blocked: Mutex<Vec<Arc<Socket>>>,
    /// Something of somebody else's that sets this abort by being signalled.
    watched: Option<Waitable>,
}

impl Default for Shared {
    fn default() -> Self {
        Shared {
            set: AtomicBool::new(false),
            signal: OnceLock::new(),
            // With room from the start: mostly there is one, and it may come late to a session that
            // has long been used.
            blocked: Mutex::new(Vec::with_capacity(1)),
            watched: None,
        }
    }
}

impl Abort {
    /// An abort that is not set. Takes no resources of the system until it is waited on.
    pub fn new() -> Self {
        Abort::default()
    }

    /// An abort that is also set while `watched` is signalled: on Unix a descriptor that is
    /// readable, hung up or broken, on Windows the handle of an event that
    /// stays signalled until it is reset. It is only looked at, so
    /// [`clear`](Self::clear) does not change what it says.
    pub fn watching(watched: Waitable) -> Self {
        Abort(Arc::new(Shared { watched: Some(watched), ..Shared::default() }))
    }

    /// Ends every wait on this abort, now and from now on.
    pub fn set(&self) {
        let mut blocked = self.lock();
        // Pairs with the Acquire in `is_set`.
        self.0.set.store(true, Release);
        if let Some(signal) = self.0.signal.get() {
            signal.raise();
        }
        for socket in blocked.drain(..) {
            socket.shutdown();
        }
    }

    /// Takes it back: waits that begin from now on last again.
    pub fn clear(&self) {
        let _blocked = self.lock();
        self.0.set.store(false, Release);
        if let Some(signal) = self.0.signal.get() {
            signal.lower();
        }
    }

    /// Whether waits on it end at once.
    pub fn is_set(&self) -> bool {
        // Pairs with the Release in `set`: who sees it set sees what was done before.
        self.0.set.load(Acquire) || self.0.watched.as_ref().is_some_and(is_signalled)
    }

    /// What is raised while the abort is set by [`set`](Self::set). `None` if the system has
    /// nothing left for it: then `is_set` must be asked now and again.
    pub(super) fn signal(&self) -> Option<&Signal> {
        if self.0.signal.get().is_none() {
            let _blocked = self.lock();
            if self.0.signal.get().is_none() {
                let signal = Signal::new().ok()?;
                if self.0.set.load(Acquire) {
                    signal.raise();
                }
                self.0.signal.set(signal).expect("only set here, under the lock");
            }
        }
        self.0.signal.get()
    }

    /// What it watches, if anything.
    pub(super) fn watched(&self) -> Option<&Waitable> {
        self.0.watched.as_ref()
    }

    /// The sockets that are shut down when this is set.
    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Arc<Socket>>> {
        self.0.blocked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Abort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abort").field("set", &self.is_set()).finish()
    }
}
