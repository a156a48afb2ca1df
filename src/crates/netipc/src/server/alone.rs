//! A client that is alone: served by a thread of its own, which blocks in the receive itself.
//!
//! To wait at the poller and then to receive is one system call more than to receive, and it takes
//! longer to wake who waits at a poller. But a thread that waits for one client waits for nobody else, so
//! this is for the only client of a server: whoever comes and goes, there is one thread more than
//! workers, and these see to everybody who comes meanwhile. With the next request of its client the
//! thread finds that there are others, returns it to the workers, and ends.

use std::{
    sync::{Arc, MutexGuard},
    thread,
    time::Instant,
};

use super::{
    conn::{Conn, Served, Stage},
    core::{Core, Next, lock},
};

impl Core {
    /// Whether there is no more than one client.
    pub(super) fn has_one_client(&self) -> bool {
        self.sessions() <= 1
    }

    /// Gives a client, which a worker has, to a thread of its own. Whether there is one.
    pub(super) fn give_own_thread(
        self: &Arc<Self>,
        conn: &Arc<Conn>,
        mut stage: MutexGuard<'_, Stage>,
    ) -> bool {
        let Stage::Open(open) = &mut *stage else { return false };
        // Nobody is to be told of what the thread finds by itself.
        if open.forget(&self.poller).is_err() {
            return false;
        }
        drop(stage);
        let name = format!("netipc-one-{}", conn.token);
        let spawned = thread::Builder::new().name(name).spawn({
            let (core, conn) = (Arc::clone(self), Arc::clone(conn));
            move || core.serve_alone(&conn)
        });
        spawned.is_ok()
    }

    /// Serves a client as long as it is alone, and returns it to the workers.
    fn serve_alone(self: &Arc<Self>, conn: &Arc<Conn>) {
        let mut out = Vec::new();
        let next = {
            let mut stage = lock(&conn.stage);
            let Stage::Open(open) = &mut *stage else {
                // The server has just ended it.
                return;
            };
            let after =
                self.converse(conn, open, &mut out, Served::Alone { since: Instant::now() });
            self.see_to(conn, stage, after)
        };
        // From here on it is as with a worker.
        if !(matches!(next, Next::LetGo) && conn.hold.release()) {
            self.serve(conn, &mut out);
        }
    }
}
