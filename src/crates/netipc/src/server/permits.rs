//! How many requests may be handled at once.

use std::sync::PoisonError;

use super::atomic::{
    AtomicU64, Condvar, Mutex,
    Ordering::{Acquire, Relaxed, Release},
};

/// A number of permits. Taking one that is free takes no lock.
#[derive(Debug)]
pub(super) struct Permits {
    /// How many are free, and in units of `WAITER` how many wait. In one word, so that of one who
    /// frees and one who is about to wait, the later sees what the earlier did.
    state: AtomicU64,
    lock: Mutex<()>,
    freed: Condvar,
}

/// Gives its permit back when dropped.
pub(super) struct Permit<'a>(&'a Permits);

/// One who waits.
const WAITER: u64 = 1 << 32;

impl Permits {
    pub(super) fn new(free: u32) -> Self {
        Permits { state: AtomicU64::new(free.into()), lock: Mutex::new(()), freed: Condvar::new() }
    }

    /// Waits for a permit.
    pub(super) fn take(&self) -> Permit<'_> {
        if !self.try_take() {
            let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            // Announced before the last look: what is freed earlier is seen by that, and who frees
            // later sees the announcement.
            self.state.fetch_add(WAITER, Relaxed);
            while !self.try_take() {
                guard = self.freed.wait(guard).unwrap_or_else(PoisonError::into_inner);
            }
            self.state.fetch_sub(WAITER, Relaxed);
        }
        Permit(self)
    }

    fn try_take(&self) -> bool {
        let one_less = |state| if state % WAITER == 0 { None } else { Some(state - 1) };
        // Pairs with the Release in `drop`: who has a permit sees what was done with it before.
        self.state.fetch_update(Acquire, Relaxed, one_less).is_ok()
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if self.0.state.fetch_add(1, Release) >= WAITER {
            // With the lock, so that it does not come between the last look and the sleep.
            let _guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
            self.0.freed.notify_one();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        thread,
    };

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
        assert_eq!(permits.state.load(SeqCst), 2);
    }
}
