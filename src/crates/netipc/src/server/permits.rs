//! How many requests may be handled at once.

use std::sync::{
    Condvar, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

/// A number of permits. Taking one that is free takes no lock.
#[derive(Debug)]
pub(super) struct Permits {
    free: AtomicUsize,
    waiting: AtomicUsize,
    lock: Mutex<()>,
    freed: Condvar,
}

/// Gives its permit back when dropped.
pub(super) struct Permit<'a>(&'a Permits);

impl Permits {
    pub(super) fn new(free: usize) -> Self {
        Permits {
            free: AtomicUsize::new(free),
            waiting: AtomicUsize::new(0),
            lock: Mutex::new(()),
            freed: Condvar::new(),
        }
    }

    /// Waits for a permit.
    pub(super) fn take(&self) -> Permit<'_> {
        if !self.try_take() {
            let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            // Announced before the last look, while the other side frees before it asks who waits:
            // one of the two sees the other, since both are sequentially consistent.
            self.waiting.fetch_add(1, SeqCst);
            while !self.try_take() {
                guard = self.freed.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            self.waiting.fetch_sub(1, SeqCst);
        }
        Permit(self)
    }

    fn try_take(&self) -> bool {
        self.free.fetch_update(SeqCst, SeqCst, |free| free.checked_sub(1)).is_ok()
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, SeqCst);
        if self.0.waiting.load(SeqCst) > 0 {
            // With the lock, so that it does not come between the last look and the sleep.
            let _guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.freed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::atomic::AtomicUsize, thread};

    use super::*;

    #[test]
    fn gives_out_no_more_permits_than_there_are_and_loses_none() {
        let permits = Permits::new(2);
        let (held, most, taken) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let permit = permits.take();
                        let now = held.fetch_add(1, SeqCst) + 1;
                        most.fetch_max(now, SeqCst);
                        taken.fetch_add(1, SeqCst);
                        held.fetch_sub(1, SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 12_000);
        assert!(most.into_inner() <= 2);
        assert_eq!(permits.free.load(SeqCst), 2);
    }
}
