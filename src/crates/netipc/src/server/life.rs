//! The life of a server: how its threads begin, how it is stopped, and who waits for its end.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    conn::Stage,
    core::{Core, lock},
};

/// How far a server has come, and who waits for it to come further.
#[derive(Debug, Default)]
pub(super) struct Life {
    stopping: AtomicBool,
    threads: Mutex<Threads>,
    ended: Condvar,
}

/// What threads there are. Those of sessions end with their entry among the clients.
#[derive(Debug, Default)]
struct Threads {
    ran: bool,
    running: bool,
    workers: usize,
    /// Whoever is still busy is not waited for.
    abandoned: bool,
}

/// How long what is left of a server that was stopped gets before it has to end elsewhere.
const QUICK_END: Duration = Duration::from_millis(50);

/// How long a session that was cut off may take to end.
const LAST_GRACE: Duration = Duration::from_millis(900);

impl Core {
    /// Serves until the server has ended.
    pub(super) fn run(core: &Arc<Core>) {
        if Core::start(core) {
            core.finish(None);
        }
    }

    /// Serves until the server is stopped; what is being handled then ends in a thread of its own.
    pub(super) fn run_until_stopped(core: &Arc<Core>) {
        if !Core::start(core) {
            return;
        }
        if core.finish(Some(Instant::now() + QUICK_END)) {
            return;
        }
        let rest = Arc::clone(core);
        let spawned = thread::Builder::new().name("netipc-end".into()).spawn(move || {
            rest.finish(None);
        });
        if spawned.is_err() {
            core.finish(None);
        }
    }

    /// Lets the workers begin, once, unless the server was stopped before.
    fn start(core: &Arc<Core>) -> bool {
        {
            let mut life = lock(&core.life.threads);
            if life.ran || core.is_stopping() {
                return false;
            }
            (life.ran, life.running) = (true, true);
        }
        for number in 0..core.options.workers.max(1) {
            lock(&core.life.threads).workers += 1;
            let worker = Arc::clone(core);
            let spawned =
                thread::Builder::new().name(format!("netipc-{number}")).spawn(move || {
                    worker.work(|| None);
                    worker.leave();
                });
            if spawned.is_err() {
                // Fewer workers serve as well, and without any other one this thread does.
                if number == 0 {
                    core.work(|| core.clock.next());
                }
                core.leave();
                break;
            }
        }
        // This thread watches the clock, because all workers may be busy when something is due.
        while core.clock.wait() {
            core.expire();
        }
        core.stopped.set();
        for conn in core.all() {
            conn.ring();
        }
        true
    }

    /// Waits for the workers and then for the sessions that are left, until `until`, and ends the
    /// server. Whether it has ended.
    fn finish(&self, until: Option<Instant>) -> bool {
        if !self.await_life(until, |life| life.workers == 0 || life.abandoned) {
            return false;
        }
        self.dismiss_idle();
        if !self.await_life(until, |life| self.sessions() == 0 || life.abandoned) {
            return false;
        }
        self.close();
        lock(&self.life.threads).running = false;
        self.life.ended.notify_all();
        true
    }

    pub(super) fn is_stopping(&self) -> bool {
        // Pairs with the Release in `stop`.
        self.life.stopping.load(Acquire)
    }

    /// Takes no lock and no memory, so that a signal handler may do it: the rest is done by the
    /// thread that this wakes, in `start`.
    pub(super) fn stop(&self) {
        self.life.stopping.store(true, Release);
        self.poller.wake();
        self.clock.stop();
    }

    pub(super) fn drain(&self, timeout: Duration) -> bool {
        self.stop();
        if self.await_end(timeout) {
            return true;
        }
        for conn in self.all() {
            conn.cut_off();
        }
        if !self.await_end(LAST_GRACE) {
            lock(&self.life.threads).abandoned = true;
            self.announce();
        }
        false
    }

    /// Waits until the server has ended. Whether it has.
    fn await_end(&self, timeout: Duration) -> bool {
        self.await_life(Some(Instant::now() + timeout), |life| !life.running)
    }

    /// Waits for something to be true, until `until`. Whether it is.
    fn await_life(&self, until: Option<Instant>, is_so: impl Fn(&Threads) -> bool) -> bool {
        let mut life = lock(&self.life.threads);
        while !is_so(&life) {
            life = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => wait(&self.life.ended, life),
                Some(left) if left.is_zero() => return false,
                Some(left) => {
                    let waited = self.life.ended.wait_timeout(life, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }

    /// A worker less.
    fn leave(&self) {
        lock(&self.life.threads).workers -= 1;
        self.announce();
    }

    /// Forgets those clients that nobody serves just now.
    fn dismiss_idle(&self) {
        for conn in self.all() {
            if let Ok(stage) = conn.stage.try_lock()
                && !matches!(*stage, Stage::Shared)
            {
                self.end(&conn, stage);
            }
        }
    }

    /// Tells whoever waits for the end to look again.
    pub(super) fn announce(&self) {
        // With the lock, so that it does not come between a last look and the sleep.
        let _life = lock(&self.life.threads);
        self.life.ended.notify_all();
    }
}

fn wait<'a>(condvar: &Condvar, life: MutexGuard<'a, Threads>) -> MutexGuard<'a, Threads> {
    condvar.wait(life).unwrap_or_else(PoisonError::into_inner)
}
