//! Workers that are told of what a client does, at the same time or one after the other.

use loom::{cell::UnsafeCell, sync::atomic::Ordering::Relaxed, thread};

use super::{
    atomic::{Arc, AtomicU32, AtomicU64},
    check,
    hold::Hold,
    ring::{fall_asleep, must_wake, sleep, wake_up},
};

/// A client as the workers see it.
struct Client {
    hold: Hold,
    /// What it sent, and whether the server sleeps for more: as in the memory of a ring.
    sent: AtomicU32,
    asleep: AtomicU64,
    /// What was taken of it. Only who has the client touches it; the model checks that.
    taken: UnsafeCell<u32>,
}

impl Client {
    fn new() -> Arc<Self> {
        Arc::new(Client {
            hold: Hold::new(),
            sent: AtomicU32::new(0),
            asleep: AtomicU64::new(0),
            taken: UnsafeCell::new(0),
        })
    }

    fn take_all(&self) {
        // SAFETY: the caller has the client; the model checks that.
        self.taken.with_mut(|taken| unsafe { *taken = self.sent.load(Relaxed) });
    }

    fn taken(&self) -> u32 {
        // SAFETY: all others have ended.
        self.taken.with(|taken| unsafe { *taken })
    }
}

#[test]
fn one_worker_at_a_time_has_a_client_and_no_event_is_lost() {
    /// What a worker does that is told of an event.
    fn tell(client: &Client) {
        if client.hold.claim() {
            loop {
                client.take_all();
                if client.hold.release() {
                    break;
                }
            }
        }
    }
    check(|| {
        let client = Client::new();
        let worker = || {
            let client = Arc::clone(&client);
            thread::spawn(move || {
                // It is told after the client did it.
                client.sent.fetch_add(1, Relaxed);
                tell(&client);
            })
        };
        let workers = [worker(), worker()];
        client.sent.fetch_add(1, Relaxed);
        tell(&client);
        for worker in workers {
            worker.join().unwrap();
        }
        assert_eq!(client.taken(), 3);
        assert!(client.hold.claim(), "nobody has it");
    });
}

/// The bell of a ring tells the poller, which tells whichever worker waits: here the one that is
/// rung runs in the thread of the client.
#[test]
fn a_ring_that_comes_before_a_worker_lets_go_is_not_lost() {
    fn serve(client: &Client) {
        loop {
            wake_up(&client.asleep);
            loop {
                client.take_all();
                fall_asleep(&client.asleep, sleep::RECORDS);
                // SAFETY: as in `take_all`.
                let taken = client.taken.with(|taken| unsafe { *taken });
                if client.sent.load(Relaxed) == taken {
                    break;
                }
                wake_up(&client.asleep);
            }
            if client.hold.release() {
                break;
            }
        }
    }
    check(|| {
        let client = Client::new();
        assert!(client.hold.claim());
        let worker = thread::spawn({
            let client = Arc::clone(&client);
            move || serve(&client)
        });
        // Only one: the model does not know that what an exchange stores comes before all that is
        // stored after the value it read, and finds what cannot be with more of them.
        client.sent.fetch_add(1, Relaxed);
        if must_wake(&client.asleep, sleep::RECORDS) && client.hold.claim() {
            serve(&client);
        }
        worker.join().unwrap();
        assert_eq!(client.taken(), 1);
        assert!(client.hold.claim(), "nobody has it");
    });
}
