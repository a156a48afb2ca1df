//! One client of a server: agreeing on a session, then request by request.

use std::{
    borrow::Cow,
    io, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Instant,
};

use netipc_proto::{
    Header, Kind, Response, Status,
    retry::{Capacity, next_power_of_two},
};

use super::{core::Core, hold::Hold};
use crate::{
    error::{Error, ErrorKind, Result},
    link::{Carrier, Session},
    shm::Bell,
    sys::{Interest, Poller, Socket},
    wait::Wait,
};

/// A client, from being accepted to hanging up.
pub(super) struct Conn {
    /// What the poller calls it.
    pub(super) token: u64,
    /// To hang up from other threads, whoever uses the session.
    pub(super) socket: Arc<Socket>,
    /// What wakes the thread of a session over shared memory.
    pub(super) bell: Mutex<Option<Bell>>,
    /// Whether a worker was told that it hung up. Others may be told of the same client at once, and
    /// who has it looks once for all of them.
    pub(super) has_hung_up: AtomicBool,
    /// Which worker has it, if any.
    pub(super) hold: Hold,
    /// For the one thread that serves it or ends it.
    pub(super) stage: Mutex<Stage>,
}

pub(super) enum Stage {
    /// It was accepted and has said nothing yet.
    Greeting,
    /// Over a socket or rings: served by the workers.
    Open(Box<Open>),
    /// Over a region of shared memory: served by a thread of its own.
    Shared,
    /// It is over.
    Ended,
}

pub(super) struct Open {
    session: Session,
    /// A response of which not all could be sent yet.
    unsent: Option<(Response, Vec<u8>)>,
    /// What the poller was last told to watch it for.
    watched: Option<Interest>,
    /// Whether the poller was made to forget it.
    is_forgotten: bool,
    /// How many requests were answered since it came to the workers.
    answered: u32,
}

impl Open {
    fn new(session: Session) -> Self {
        Open { session, unsent: None, watched: None, is_forgotten: false, answered: 0 }
    }

    /// Whether it asks so often, and can be waited for so cheaply, that a thread is worth its price.
    fn is_worth_a_thread(&self) -> bool {
        self.answered >= REQUESTS_BY_WORKERS && self.session.can_block()
    }

    /// Sends a response, and keeps what there is no room for. `None` if the next request can be
    /// served.
    fn deliver(&mut self, response: Response, payload: Cow<'_, [u8]>) -> Option<After> {
        match self.session.try_send(&response.header, &payload) {
            Ok(true) => response.hang_up.then_some(After::End),
            Ok(false) => {
                self.unsent = Some((response, payload.into_owned()));
                Some(After::Watch(self.session.interest_to_send()))
            }
            Err(_) => Some(After::End),
        }
    }

    /// Lets `poller` watch it for one event more.
    pub(super) fn rearm(
        &mut self,
        poller: &Poller,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let is_same = self.watched.replace(interest) == Some(interest);
        if mem::take(&mut self.is_forgotten) {
            return poller.add(&**self.session.socket(), token, interest);
        }
        if is_same && poller.stays_armed() {
            return Ok(());
        }
        self.session.rearm(poller, token, interest)
    }

    /// Makes `poller` forget its socket until it is armed again.
    pub(super) fn forget(&mut self, poller: &Poller) -> io::Result<()> {
        poller.remove(&**self.session.socket())?;
        (self.is_forgotten, self.answered) = (true, 0);
        Ok(())
    }

    /// Makes `poller` forget what it watches of it, but for the socket.
    pub(super) fn leave(&self, poller: &Poller) {
        self.session.leave(poller);
    }
}

/// What to do with a client after it was served.
pub(super) enum After {
    /// Watch it for this.
    Watch(Interest),
    /// Watch it no longer. Its thread ends it.
    Leave,
    /// Give it a thread of its own.
    Thread(Box<Session>),
    /// Give it a thread of its own, as long as there is no other client.
    Alone,
    /// Forget it.
    End,
}

/// By which thread a client is served.
#[derive(Clone, Copy, Debug)]
pub(super) enum Served {
    /// By a worker, which others wait for.
    ByWorker,
    /// By one of its own, as long as there is no other client.
    Alone {
        /// When it began. A wait without a deadline needs no better time.
        since: Instant,
    },
}

/// The longest response there is room for, whatever was agreed on: as many bytes as can be reserved by
/// all workers where addresses are of 32 bits, and more than any limit where they are of 64.
const MOST_ROOM: usize = isize::MAX as usize / 8;

/// Of one client, before others that wait get their turn.
const REQUESTS_IN_A_ROW: u64 = 64;

/// Of a client that is alone, before it gets a thread.
const REQUESTS_BY_WORKERS: u32 = 64;

impl Conn {
    pub(super) fn new(token: u64, socket: Socket) -> Self {
        Conn {
            token,
            socket: Arc::new(socket),
            bell: Mutex::new(None),
            has_hung_up: AtomicBool::new(false),
            hold: Hold::new(),
            stage: Mutex::new(Stage::Greeting),
        }
    }

    /// Something happened, perhaps that it hung up. Whether who was told so has it from now on; if
    /// another worker has it, that one will see to it.
    pub(super) fn claim(&self, hangup: bool) -> bool {
        if hangup {
            // Relaxed: the claim publishes it.
            self.has_hung_up.store(true, Relaxed);
        }
        self.hold.claim()
    }

    /// Makes its thread, if it has one, look around.
    pub(super) fn ring(&self) {
        if let Some(bell) = &*self.bell.lock().unwrap_or_else(PoisonError::into_inner) {
            bell.ring();
        }
    }

    /// Hangs up, whatever is going on.
    pub(super) fn cut_off(&self) {
        self.socket.shutdown();
        self.ring();
    }
}

/// The response limit of a server, which learns from what was needed. It never falls.
pub(super) struct Learned {
    response: AtomicU32,
    ceiling: u32,
}

impl Learned {
    pub(super) fn new(response: Capacity) -> Self {
        Learned { response: AtomicU32::new(response.bytes()), ceiling: response.ceiling() }
    }

    fn response(&self) -> u32 {
        // It stands for itself and guards nothing, so no order is needed.
        self.response.load(Relaxed)
    }

    fn needed(&self, bytes: u64) {
        if bytes > u64::from(self.response()) {
            self.response.fetch_max(next_power_of_two(bytes).min(self.ceiling), Relaxed);
        }
    }
}

impl Core {
    /// Takes the HELLO of a client, if it is there, and answers it.
    fn greet(&self, conn: &Conn) -> Result<Option<Session>> {
        let mut terms = self.options.session.terms(conn.socket.max_packet());
        terms.max_response_payload_bytes = self.learned.response();
        let mut session = self.host.greet(&conn.socket, terms)?;
        if let Some(session) = &mut session {
            session.set_spin(self.options.session.spin);
        }
        Ok(session)
    }

    /// Serves a client of whom the poller said that something happened.
    pub(super) fn attend(&self, conn: &Conn, stage: &mut Stage, out: &mut Vec<u8>) -> After {
        match stage {
            Stage::Greeting => match self.greet(conn) {
                Ok(None) => After::Watch(Interest::Readable),
                Ok(Some(session)) => {
                    if !self.greeted(conn) {
                        return After::End;
                    }
                    if session.carrier() == Carrier::SharedMemory {
                        *stage = Stage::Shared;
                        return After::Thread(Box::new(session));
                    }
                    let mut open = Box::new(Open::new(session));
                    let after = self.converse(conn, &mut open, out, Served::ByWorker);
                    *stage = Stage::Open(open);
                    after
                }
                Err(_) => After::End,
            },
            Stage::Open(open) => self.converse(conn, open, out, Served::ByWorker),
            // It may have been told of something older.
            Stage::Shared if !conn.socket.peer_gone() => After::Watch(Interest::Hangup),
            Stage::Shared => {
                conn.ring();
                After::Leave
            }
            Stage::Ended => After::End,
        }
    }

    /// Answers requests over a socket or rings until there is none, or no room for the answer.
    ///
    /// Where it pays the worker looks for the next request before it leaves, as long as nobody else
    /// waits for a worker. The poller does not watch this client meanwhile, so no other is woken.
    ///
    /// The thread of a client that is alone goes on for as long as that is so.
    pub(super) fn converse(
        &self,
        conn: &Conn,
        open: &mut Open,
        out: &mut Vec<u8>,
        served: Served,
    ) -> After {
        // Relaxed: who has the client got it from, or was told by, whoever said so.
        if open.session.wake(conn.has_hung_up.load(Relaxed)).is_err() {
            return After::End;
        }
        // The poller said so.
        let mut is_there = true;
        for turn in 1.. {
            if let Some((response, payload)) = open.unsent.take()
                && let Some(after) = open.deliver(response, payload.into())
            {
                return after;
            }
            let received = match mem::take(&mut is_there) {
                true => open.session.take(),
                false => open.session.look_on(|| match served {
                    Served::ByWorker => !self.poller.is_ready(),
                    Served::Alone { .. } => self.has_one_client(),
                }),
            };
            let received = match (received, served) {
                (Ok(None), Served::Alone { since }) if self.has_one_client() => {
                    open.session.block(Wait::FOREVER.or(&self.stopped), since)
                }
                (received, _) => received,
            };
            let response = match received {
                Ok(None) => match open.session.lie_down() {
                    Ok(true) if open.is_worth_a_thread() && self.has_one_client() => {
                        return After::Alone;
                    }
                    Ok(true) => return After::Watch(Interest::Readable),
                    Ok(false) => {
                        is_there = true;
                        continue;
                    }
                    Err(_) => return After::End,
                },
                Ok(Some(_)) if self.is_stopping() => return After::End,
                Ok(Some(request)) => match self.answer(&open.session, &request, out) {
                    Some(response) => response,
                    None => return After::End,
                },
                Err(error) => match self.regret(&open.session, &error) {
                    Some(response) => response,
                    None => return After::End,
                },
            };
            open.session.forget_payload();
            let payload = &out[..response.header.payload_len as usize];
            if let Some(after) = open.deliver(response, payload.into()) {
                return after;
            }
            open.answered = open.answered.saturating_add(1);
            let others_wait = || matches!(served, Served::ByWorker) && self.poller.is_ready();
            if turn % REQUESTS_IN_A_ROW == 0 && others_wait() {
                break;
            }
        }
        // Whichever worker is free goes on with it, after others that wait.
        After::Watch(open.session.call_again())
    }

    /// Answers requests over shared memory until the session ends.
    pub(super) fn converse_shared(&self, session: &mut Session) {
        let mut out = Vec::new();
        while !self.is_stopping() {
            let response = match session.receive_until_rung() {
                Ok(_) if self.is_stopping() => return,
                Ok(request) => self.answer(session, &request, &mut out),
                // The bell was rung: either the peer is gone or the server stops.
                Err(error) if error.kind() == ErrorKind::Aborted && !session.peer_gone() => {
                    continue;
                }
                Err(error) => self.regret(session, &error),
            };
            let Some(response) = response else { return };
            session.forget_payload();
            let payload = &out[..response.header.payload_len as usize];
            match session.try_send(&response.header, payload) {
                Ok(_) if !response.hang_up => {}
                _ => return,
            }
        }
    }

    /// The response to a request, with its payload at the start of `out`. `None` if the session
    /// must end without one.
    fn answer(&self, session: &Session, request: &Header, out: &mut Vec<u8>) -> Option<Response> {
        if request.kind != Kind::Request {
            return None;
        }
        let limit = session.agreement().agreed_max_response_payload_bytes;
        let room = (limit as usize).min(MOST_ROOM);
        if out.len() < room {
            // Fresh zeroes cost nothing until they are used; growing would copy.
            *out = vec![0; room];
        }
        let out = &mut out[..room];
        let permit = self.permits.take();
        let handled = catch_unwind(AssertUnwindSafe(|| {
            self.responder.respond(request, session.payload(), out)
        }));
        drop(permit);
        // A handler that panicked may have left anything behind, but only in `out`.
        let response =
            handled.unwrap_or_else(|_| Response::without_payload(request, Status::InternalError));
        let status = Status::from_code(response.header.transport_status);
        self.learned.needed(match status {
            Some(Status::LimitExceeded) => u64::from(limit) * 2,
            _ => u64::from(response.header.payload_len),
        });
        Some(response)
    }

    /// The response to a request that was too large to receive.
    fn regret(&self, session: &Session, error: &Error) -> Option<Response> {
        let request = session.refused().filter(|_| error.kind() == ErrorKind::LimitExceeded)?;
        if request.kind != Kind::Request {
            return None;
        }
        Some(Response::without_payload(request, Status::LimitExceeded))
    }
}
