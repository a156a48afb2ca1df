//! Requests that are to be handled at the same time, with fewer permits than that.

use loom::{cell::UnsafeCell, sync::atomic::Ordering::Relaxed, thread};

use super::{
    atomic::{Arc, AtomicU32},
    check,
    permits::Permits,
};

/// A take that is forgotten never returns: the model finds that nothing can go on any more.
#[test]
fn who_waits_for_the_only_permit_gets_it_and_sees_what_was_done_before() {
    struct Handler {
        permits: Permits,
        /// Only who has the permit touches it; the model checks that.
        handled: UnsafeCell<u32>,
    }
    fn handle(handler: &Handler) -> u32 {
        let _permit = handler.permits.take();
        // SAFETY: there is one permit, and the caller has it; the model checks that.
        handler.handled.with_mut(|handled| unsafe {
            *handled += 1;
            *handled
        })
    }
    check(|| {
        let handler = Arc::new(Handler { permits: Permits::new(1), handled: UnsafeCell::new(0) });
        let worker = || {
            let handler = Arc::clone(&handler);
            thread::spawn(move || handle(&handler))
        };
        let workers = [worker(), worker()];
        let mut order = vec![handle(&handler)];
        order.extend(workers.map(|worker| worker.join().unwrap()));
        order.sort_unstable();
        assert_eq!(order, [1, 2, 3]);
    });
}

#[test]
fn no_more_have_a_permit_at_once_than_there_are() {
    const MOST: u32 = 2;
    struct Handler {
        permits: Permits,
        busy: AtomicU32,
    }
    fn handle(handler: &Handler) {
        let _permit = handler.permits.take();
        // An exchange finds the latest value in any case, so that these need no order.
        assert!(handler.busy.fetch_add(1, Relaxed) < MOST, "all permits are taken");
        handler.busy.fetch_sub(1, Relaxed);
    }
    check(|| {
        let handler = Arc::new(Handler { permits: Permits::new(MOST), busy: AtomicU32::new(0) });
        let worker = || {
            let handler = Arc::clone(&handler);
            thread::spawn(move || handle(&handler))
        };
        let workers = [worker(), worker()];
        handle(&handler);
        for worker in workers {
            worker.join().unwrap();
        }
        // None is lost: as many as there are can be had at once.
        let _all = [handler.permits.take(), handler.permits.take()];
    });
}
