//! What all clients of a server share, its endpoint first, and what its workers do for them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Instant,
};

use super::{
    Respond, ServerOptions,
    clock::Clock,
    conn::{After, Conn, Learned, Stage},
    life::Life,
    permits::Permits,
};
use crate::{
    endpoint::{Endpoint, ListenOptions},
    error::{Error, Result},
    greeting::Host,
    link::{Awaited, Session},
    sys::{Abort, Interest, Poller, Readiness, Socket},
};

/// Everything a server is, whatever it serves.
pub(super) struct Core {
    pub(super) host: Host,
    pub(super) options: ServerOptions,
    pub(super) responder: Box<dyn Respond>,
    pub(super) learned: Learned,
    pub(super) permits: Permits,
    endpoint: Mutex<Option<Arc<Endpoint>>>,
    pub(super) poller: Poller,
    pub(super) life: Life,
    /// Set soon after the server is stopped: ends the waits of the threads of clients that are alone.
    pub(super) stopped: Abort,
    tokens: AtomicU64,
    pub(super) clock: Clock,
    conns: Mutex<HashMap<u64, Arc<Conn>>>,
}

/// What who served a client does next.
pub(super) enum Next {
    /// Let go of it.
    LetGo,
    /// Nothing: another thread has it now.
    GivenAway,
}

/// The poller's token of the endpoint. Clients have those from 1 on.
const ENDPOINT: u64 = 0;

/// At once, before others get their turn.
const ACCEPTS_IN_A_ROW: usize = 32;

impl Core {
    pub(super) fn bind(
        dir: &Path,
        service: &str,
        options: ServerOptions,
        responder: Box<dyn Respond>,
    ) -> Result<Self> {
        let listen =
            ListenOptions { mode: options.mode, group: options.group, backlog: options.backlog };
        let endpoint = Endpoint::listen(dir, service, &listen)?;
        let context = || format!("serve {}", endpoint.path().display());
        let poller = match options.workers {
            0 | 1 => Poller::for_one_thread(),
            _ => Poller::new(),
        };
        let poller = poller.map_err(|cause| Error::system(context(), cause))?;
        let clock = Clock::new().map_err(|cause| Error::system(context(), cause))?;
        poller
            .add(endpoint.socket(), ENDPOINT, Interest::Clients)
            .map_err(|cause| Error::system(context(), cause))?;
        Ok(Core {
            host: Host::new(dir, service, Awaited::Together),
            learned: Learned::new(options.session.response_limit()),
            permits: Permits::new(u32::try_from(options.workers).unwrap_or(u32::MAX).max(1)),
            options,
            responder,
            endpoint: Mutex::new(Some(Arc::new(endpoint))),
            poller,
            life: Life::default(),
            stopped: Abort::new(),
            tokens: AtomicU64::new(ENDPOINT + 1),
            clock,
            conns: Mutex::default(),
        })
    }

    pub(super) fn all(&self) -> Vec<Arc<Conn>> {
        lock(&self.conns).values().cloned().collect()
    }

    pub(super) fn sessions(&self) -> usize {
        lock(&self.conns).len()
    }

    pub(super) fn path(&self) -> Option<PathBuf> {
        lock(&self.endpoint).as_ref().map(|endpoint| endpoint.path().to_owned())
    }

    pub(super) fn close(&self) {
        let endpoint = lock(&self.endpoint).take();
        if let Some(endpoint) = endpoint {
            // A worker may be accepting from it just now, and then closes it.
            let _ = self.poller.remove(endpoint.socket());
        }
    }

    /// Serves whoever has something to say, until the server stops. Who is also to do what is due
    /// says when that is.
    pub(super) fn work(self: &Arc<Self>, due: impl Fn() -> Option<Instant>) {
        let mut out = Vec::new();
        while !self.is_stopping() {
            match self.poller.wait(due()) {
                Ok(Readiness::Ready { token: ENDPOINT, .. }) => self.accept(),
                Ok(Readiness::Ready { token, hangup }) => {
                    let conn = lock(&self.conns).get(&token).cloned();
                    if let Some(conn) = conn.filter(|conn| conn.claim(hangup)) {
                        self.serve(&conn, &mut out);
                    }
                }
                Ok(Readiness::TimedOut) => self.expire(),
                Ok(Readiness::Woken) => {}
                // The kernel has no memory for the call just now.
                Err(_) => thread::yield_now(),
            }
        }
    }

    /// Does what is due by now.
    pub(super) fn expire(self: &Arc<Self>) {
        let overdue = self.clock.take_overdue(Instant::now());
        for token in overdue.greetings {
            let Some(conn) = lock(&self.conns).get(&token).cloned() else { continue };
            // Whoever is just reading what it says will find it hung up on.
            conn.socket.shutdown();
            if let Ok(stage) = conn.stage.try_lock()
                && matches!(*stage, Stage::Greeting)
            {
                self.end(&conn, stage);
            }
        }
        if overdue.accept {
            self.accept();
        }
    }

    /// Someone has agreed on a session. Whether that was in time.
    pub(super) fn greeted(&self, conn: &Conn) -> bool {
        self.clock.greeted(conn.token)
    }

    fn accept(self: &Arc<Self>) {
        let Some(endpoint) = lock(&self.endpoint).clone() else { return };
        for _ in 0..ACCEPTS_IN_A_ROW {
            match endpoint.socket().accept() {
                Ok(Some(socket)) => self.welcome(socket),
                Ok(None) => break,
                Err(_) => {
                    // Most likely there is no descriptor left. Those who wait are still there then.
                    self.clock.accept_later();
                    return;
                }
            }
        }
        // Fails only if the server ended just now and removed it.
        let _ = self.poller.rearm(endpoint.socket(), ENDPOINT, Interest::Clients);
    }

    /// Takes in a new client. One who may not be is hung up on by dropping its socket.
    fn welcome(&self, socket: Socket) {
        if let Some(allow) = &self.options.allow
            && !socket.peer().is_ok_and(|peer| allow(&peer))
        {
            return;
        }
        let token = self.tokens.fetch_add(1, Relaxed);
        let conn = Arc::new(Conn::new(token, socket));
        self.clock.expect_greeting(token);
        {
            let mut conns = lock(&self.conns);
            if conns.len() >= self.options.max_sessions {
                self.greeted(&conn);
                return;
            }
            conns.insert(token, Arc::clone(&conn));
            self.responder.sessions(conns.len());
        }
        if self.poller.add(&*conn.socket, token, Interest::Readable).is_err() {
            self.end(&conn, lock(&conn.stage));
        }
    }

    /// Serves a client that this worker has, until it need not have it any more.
    pub(super) fn serve(self: &Arc<Self>, conn: &Arc<Conn>, out: &mut Vec<u8>) {
        loop {
            let mut stage = lock(&conn.stage);
            let after = self.attend(conn, &mut stage, out);
            match self.see_to(conn, stage, after) {
                Next::GivenAway => return,
                Next::LetGo if conn.hold.release() => return,
                Next::LetGo => {}
            }
        }
    }

    /// Does what is to be done with a client after it was served.
    pub(super) fn see_to(
        self: &Arc<Self>,
        conn: &Arc<Conn>,
        stage: MutexGuard<'_, Stage>,
        after: After,
    ) -> Next {
        match after {
            After::Watch(interest) => self.watch(conn, stage, interest),
            After::Alone => {
                if self.give_own_thread(conn, stage) {
                    return Next::GivenAway;
                }
                self.watch(conn, lock(&conn.stage), Interest::Readable);
            }
            After::Leave => {
                // It may be gone already.
                let _ = self.poller.remove(&*conn.socket);
            }
            After::Thread(session) => {
                drop(stage);
                self.give_thread(conn, *session);
            }
            After::End => self.end(conn, stage),
        }
        Next::LetGo
    }

    /// Lets the poller watch a client, unless the server stops.
    fn watch(&self, conn: &Conn, mut stage: MutexGuard<'_, Stage>, interest: Interest) {
        if self.is_stopping() && !matches!(*stage, Stage::Shared) {
            return self.end(conn, stage);
        }
        // Fails only if the kernel has no memory for it. Then nothing more would be heard.
        let watched = match &mut *stage {
            Stage::Open(open) => open.rearm(&self.poller, conn.token, interest),
            _ => self.poller.rearm(&*conn.socket, conn.token, interest),
        };
        if watched.is_err() {
            conn.cut_off();
            self.end(conn, stage);
        }
    }

    /// Lets a thread of its own serve a session over shared memory.
    fn give_thread(self: &Arc<Self>, conn: &Arc<Conn>, mut session: Session) {
        *lock(&conn.bell) = session.shared().map(|shared| shared.bell());
        let name = format!("netipc-shm-{}", session.agreement().session_id);
        let spawned = thread::Builder::new().name(name).spawn({
            let (core, conn) = (Arc::clone(self), Arc::clone(conn));
            move || {
                core.converse_shared(&mut session);
                // The bell keeps the memory, the session its file.
                *lock(&conn.bell) = None;
                drop(session);
                core.end(&conn, lock(&conn.stage));
            }
        });
        let watched = match spawned {
            Ok(_) => self.poller.rearm(&*conn.socket, conn.token, Interest::Hangup),
            Err(cause) => {
                // The client finds its session closed and comes back.
                *lock(&conn.bell) = None;
                self.end(conn, lock(&conn.stage));
                Err(cause)
            }
        };
        if watched.is_err() {
            conn.cut_off();
        }
    }

    /// Forgets a client, and hangs up on it.
    pub(super) fn end(&self, conn: &Conn, mut stage: MutexGuard<'_, Stage>) {
        if let Stage::Open(open) = &*stage {
            open.leave(&self.poller);
        }
        *stage = Stage::Ended;
        drop(stage);
        // It may be gone already, if two threads came to the same end.
        let _ = self.poller.remove(&*conn.socket);
        self.greeted(conn);
        {
            let mut conns = lock(&self.conns);
            if conns.remove(&conn.token).is_some() {
                self.responder.sessions(conns.len());
            }
        }
        if self.is_stopping() {
            self.announce();
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Handlers run with none of these held, so a panic leaves what they guard whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
