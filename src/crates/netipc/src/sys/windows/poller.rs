//! Waiting for many pipes with few threads: a completion port.

use std::{
    collections::HashMap,
    fmt, io,
    os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle},
    ptr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Instant,
};

use windows_sys::Win32::{
    Foundation::{INVALID_HANDLE_VALUE, WAIT_TIMEOUT},
    Storage::FileSystem::SetFileCompletionNotificationModes,
    System::{
        IO::{
            CreateIoCompletionPort, GetQueuedCompletionStatus, OVERLAPPED,
            PostQueuedCompletionStatus,
        },
        Threading::INFINITE,
        WindowsProgramming::FILE_SKIP_COMPLETION_PORT_ON_SUCCESS,
    },
};

use super::{faults::number, wait::milliseconds};
use crate::sys::{Interest, Readiness};

/// Something a [`Poller`] can watch.
pub(crate) trait Watchable {
    fn source(&self) -> Arc<dyn Source>;
}

/// What a poller asks of what it watches.
pub(crate) trait Source: Send + Sync {
    fn watch(&self) -> &Watch;

    /// Has the ends of its operations told to `port`, as `this`.
    fn join(&self, this: &Weak<dyn Source>, port: &Port) -> io::Result<()>;

    /// Has them told no longer.
    fn leave(&self, port: &Port);

    /// Whether what is looked for is there, and if so whether the peer hung up. If not, an
    /// operation is under way when this returns whose end makes it worth asking again.
    fn is_ready(&self, interest: Interest) -> Option<bool>;
}

/// Which poller watches a source, and for what.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Option<Watched>>);

struct Watched {
    port: Arc<Port>,
    token: u64,
    armed: Option<Interest>,
}

impl Watch {
    /// The port that is told of the ends of operations.
    pub(super) fn port(&self) -> Option<Arc<Port>> {
        lock(&self.0).as_ref().map(|watched| Arc::clone(&watched.port))
    }
}

/// Where the system tells of the ends of operations.
///
/// What it tells is only ever taken for a reason to look: so it does no harm if it comes late, twice,
/// or of an operation that another one has followed.
pub(crate) struct Port {
    port: OwnedHandle,
    /// By the ids of their operations.
    sources: Mutex<HashMap<usize, Weak<dyn Source>>>,
}

/// Watches pipes, each for one event at a time: after it was reported a pipe is silent until it is
/// armed again. So one thread at a time has it, however many wait.
pub(crate) struct Poller {
    port: Arc<Port>,
    woken: AtomicBool,
    /// How many threads wait.
    waiting: AtomicUsize,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: without a file it takes no pointers and makes a port.
        let port = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 0) };
        if port.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it was just made, and nobody else has it.
        let port = unsafe { OwnedHandle::from_raw_handle(port) };
        let port = Arc::new(Port { port, sources: Mutex::default() });
        Ok(Poller { port, woken: AtomicBool::new(false), waiting: AtomicUsize::new(0) })
    }

    /// One for which a single thread waits, which makes no difference here.
    pub(crate) fn for_one_thread() -> io::Result<Self> {
        Poller::new()
    }

    /// Whether what is watched stays armed, so that `rearm` is needed only for another interest.
    pub(crate) fn stays_armed(&self) -> bool {
        false
    }

    /// Watches a pipe for one event. A pipe is watched by one poller in its life.
    pub(crate) fn add(
        &self,
        pipe: &impl Watchable,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let source = pipe.source();
        let this = Arc::downgrade(&source);
        source.join(&this, &self.port)?;
        self.port.expect(id(&*source), &this);
        let watched = Watched { port: Arc::clone(&self.port), token, armed: None };
        *lock(&source.watch().0) = Some(watched);
        self.arm(&*source, token, interest)
    }

    /// Watches a pipe, which was added before, for one event more.
    pub(crate) fn rearm(
        &self,
        pipe: &impl Watchable,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        self.arm(&*pipe.source(), token, interest)
    }

    fn arm(&self, source: &dyn Source, token: u64, interest: Interest) -> io::Result<()> {
        let mut watch = lock(&source.watch().0);
        let watched = watch.as_mut().ok_or(io::ErrorKind::NotFound)?;
        if source.is_ready(interest).is_some() {
            // Nobody will tell, so we do.
            self.port.post(id(source))?;
        }
        (watched.token, watched.armed) = (token, Some(interest));
        Ok(())
    }

    /// Watches a pipe no longer. Another thread may be about to report an event of it.
    pub(crate) fn remove(&self, pipe: &impl Watchable) -> io::Result<()> {
        match forget(&*pipe.source()) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Blocks until one event, the deadline or [`wake`](Self::wake). Any number of threads may wait
    /// at once; each event goes to one of them.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> io::Result<Readiness> {
        loop {
            // Pairs with the Release in `wake`.
            if self.woken.load(Acquire) {
                return Ok(Readiness::Woken);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            // Relaxed: it stands for itself, and who sees it late only leaves too early or too late.
            self.waiting.fetch_add(1, Relaxed);
            let next = self.port.next(left.map_or(INFINITE, milliseconds));
            self.waiting.fetch_sub(1, Relaxed);
            match next? {
                None if left.is_some_and(|left| left.is_zero()) => return Ok(Readiness::TimedOut),
                None => {}
                // For the next thread that waits.
                Some(WAKE) => self.port.post(WAKE)?,
                Some(id) => {
                    let source = lock(&self.port.sources).get(&id).and_then(Weak::upgrade);
                    if let Some(ready) = source.and_then(|source| report(&*source)) {
                        return Ok(ready);
                    }
                }
            }
        }
    }

    /// Whether a wait might end at once. A port cannot be asked, but while some thread waits, that
    /// one takes what happens.
    pub(crate) fn is_ready(&self) -> bool {
        self.waiting.load(Relaxed) == 0 || self.woken.load(Acquire)
    }

    /// Ends every wait, now and from now on.
    pub(crate) fn wake(&self) {
        // Pairs with the Acquire in `wait`.
        self.woken.store(true, Release);
        // Fails only if the system has no memory for it; then the waits end with the next event.
        let _ = self.port.post(WAKE);
    }
}

/// What stands for the poller itself where there is no operation: its own wake-up.
const WAKE: usize = 0;

/// What happened to a source, if that is what it is armed for.
fn report(source: &dyn Source) -> Option<Readiness> {
    let mut watch = lock(&source.watch().0);
    let watched = watch.as_mut()?;
    let hangup = source.is_ready(watched.armed?)?;
    watched.armed = None;
    Some(Readiness::Ready { token: watched.token, hangup })
}

/// Ends the watch of a source, also when it is dropped. Whether there was one.
pub(super) fn forget(source: &dyn Source) -> bool {
    let Some(watched) = lock(&source.watch().0).take() else { return false };
    watched.port.forget(id(source));
    source.leave(&watched.port);
    true
}

/// What a source is called beside its operations.
fn id(source: &dyn Source) -> usize {
    ptr::from_ref(source).addr()
}

impl Port {
    /// Has the ends of operations on `file` told to this port. Once for each file.
    pub(super) fn attach(&self, file: &OwnedHandle) -> io::Result<()> {
        // SAFETY: both handles are open.
        unsafe {
            let (file, port) = (file.as_raw_handle(), self.port.as_raw_handle());
            if CreateIoCompletionPort(file, port, 0, 0).is_null() {
                return Err(io::Error::last_os_error());
            }
            // Without this, which may fail, there are only more reasons to look.
            SetFileCompletionNotificationModes(file, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS as u8);
        }
        Ok(())
    }

    /// The end of the operation with this id is a reason to look at `source`.
    pub(super) fn expect(&self, id: usize, source: &Weak<dyn Source>) {
        lock(&self.sources).insert(id, Weak::clone(source));
    }

    /// It no longer is.
    pub(super) fn forget(&self, id: usize) {
        lock(&self.sources).remove(&id);
    }

    fn post(&self, id: usize) -> io::Result<()> {
        let description = ptr::without_provenance::<OVERLAPPED>(id);
        // SAFETY: the system passes the pointer on and does not follow it.
        match unsafe { PostQueuedCompletionStatus(self.port.as_raw_handle(), 0, 0, description) } {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// The id of the next operation that ended. `None`: the time is over.
    fn next(&self, timeout_ms: u32) -> io::Result<Option<usize>> {
        let (mut len, mut key, mut description) = (0, 0, ptr::null_mut());
        // SAFETY: all it is given outlives the call. What it says is not followed.
        let succeeded = unsafe {
            let port = self.port.as_raw_handle();
            GetQueuedCompletionStatus(port, &mut len, &mut key, &mut description, timeout_ms)
        };
        // An operation that failed has ended as well.
        if succeeded != 0 || !description.is_null() {
            return Ok(Some(description.addr()));
        }
        let cause = io::Error::last_os_error();
        match number(&cause) {
            Some(WAIT_TIMEOUT) => Ok(None),
            _ => Err(cause),
        }
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
