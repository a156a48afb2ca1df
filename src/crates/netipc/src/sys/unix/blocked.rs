//! Blocking in a socket while an abort cannot be waited for beside it.

use std::{mem, sync::Arc};

use super::Socket;
use crate::sys::Abort;

/// Somebody is blocked in receiving from a socket, which is shut down if the abort is set meanwhile.
pub(super) struct Blocked<'a> {
    abort: &'a Abort,
    socket: &'a Arc<Socket>,
}

impl<'a> Blocked<'a> {
    /// `None` if the abort is set already, or could be set without being told.
    pub(super) fn enter(socket: &'a Arc<Socket>, abort: &'a Abort) -> Option<Self> {
        // With the lock, so that it is not set between the look and the entry.
        let mut blocked = abort.lock();
        if abort.watched().is_some() || abort.is_set() {
            return None;
        }
        blocked.push(Arc::clone(socket));
        Some(Blocked { abort, socket })
    }

    /// Whether the abort was set since, even if it is cleared by now.
    pub(super) fn was_aborted(self) -> bool {
        let was_aborted = !self.leave();
        mem::forget(self);
        was_aborted
    }

    /// Takes the socket off the list. Whether it was still there.
    fn leave(&self) -> bool {
        let mut blocked = self.abort.lock();
        let place = blocked.iter().position(|socket| Arc::ptr_eq(socket, self.socket));
        place.map(|place| blocked.swap_remove(place)).is_some()
    }
}

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}
