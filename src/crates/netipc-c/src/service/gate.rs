//! Who is inside `nipc_server_run`, and whether a server's struct may still be looked at.

use std::{
    ffi::c_int,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI32, AtomicU16, Ordering::Relaxed},
    },
};

/// Outlives the struct, which its program may free as soon as it is destroyed.
#[derive(Default)]
pub(super) struct Gate {
    inside: Mutex<Inside>,
    left: Condvar,
}

#[derive(Default)]
struct Inside {
    runs: u32,
    /// Gone once the struct is.
    members: Option<Members>,
}

/// Members of the struct that other threads use.
pub(super) struct Members {
    pub(super) method: *const AtomicU16,
    pub(super) session_count: *const AtomicI32,
}

// SAFETY: it points to atomics, which stay as long as it is in its gate.
unsafe impl Send for Members {}

impl Gate {
    /// Lets other threads use the members, which must stay until [`close`](Self::close).
    pub(super) fn open(&self, members: Members) {
        self.lock().members = Some(members);
    }

    /// The method served now; none when the server is being destroyed.
    pub(super) fn method(&self) -> Option<u16> {
        let inside = self.lock();
        // SAFETY: `close` takes it away before the struct goes, under the lock held here.
        inside.members.as_ref().map(|members| unsafe { (*members.method).load(Relaxed) })
    }

    /// Shows how many clients there are.
    pub(super) fn show_sessions(&self, count: usize) {
        let count = c_int::try_from(count).unwrap_or(c_int::MAX);
        if let Some(members) = &self.lock().members {
            // SAFETY: as in `method`.
            unsafe { (*members.session_count).store(count, Relaxed) };
        }
    }

    /// A thread runs the server.
    pub(super) fn enter(&self) {
        self.lock().runs += 1;
    }

    /// It does no more, and touches the struct no more.
    pub(super) fn leave(&self) {
        self.lock().runs -= 1;
        self.left.notify_all();
    }

    /// Waits until no thread runs the server, and takes the members away.
    pub(super) fn close(&self) {
        let mut inside = self.lock();
        while inside.runs > 0 {
            inside = self.left.wait(inside).unwrap_or_else(PoisonError::into_inner);
        }
        inside.members = None;
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
