//! What passes between a client's struct and the client behind it, before and after each function.

use std::ffi::c_void;

use netipc::{ClientState, raw::Region};

use super::{
    caller::{Behind, Caller},
    ctx::{NIPC_CLIENT_READY, free_shm, nipc_client_state_t, session_options, shown_proposal},
    imp::nipc_client_ctx_t,
};
use crate::{region, transport::Session};

/// An open client while a function uses it: what the program set in its members holds, and in the
/// end the members show what became of it.
///
/// The struct is only touched member by member, since another thread may set its abort meanwhile.
pub(super) struct Open<'a> {
    ctx: *mut nipc_client_ctx_t,
    behind: &'a Behind,
    pub(super) caller: &'a mut Caller,
}

impl<'a> Open<'a> {
    /// `None` of a client that is closed.
    ///
    /// # Safety
    ///
    /// `ctx` is null, or a struct that was initialised or is all zero, and no other thread uses it.
    pub(super) unsafe fn new(ctx: *mut nipc_client_ctx_t) -> Option<Self> {
        if ctx.is_null() {
            return None;
        }
        // SAFETY: as promised by the caller; `_client` is null or a boxed `Behind`.
        unsafe {
            let behind = (*ctx)._client.cast::<Behind>().as_ref()?;
            let caller = &mut *behind.caller.get();
            let mut open = Open { ctx, behind, caller };
            open.heed();
            Some(open)
        }
    }

    /// Takes over what the program changed.
    ///
    /// # Safety
    ///
    /// As of [`new`](Self::new).
    unsafe fn heed(&mut self) {
        // SAFETY: as promised; none of these is touched by other threads.
        let (ctx, shown) = (self.ctx, shown_proposal(self.caller));
        // SAFETY: as above.
        let wanted = unsafe { (*ctx).transport_config };
        if wanted != shown {
            self.caller.propose(session_options(&wanted));
        }
        // SAFETY: as above.
        let (own, kept) = unsafe {
            let shows = |session| (*ctx).session.shows(session);
            let kept = (*ctx).session_valid && (*ctx).state == NIPC_CLIENT_READY;
            (self.caller.session().map(shows), kept)
        };
        match own {
            Some(false) => self.caller.disown(),
            Some(true) if !kept => self.caller.break_off(),
            _ => {}
        }
        if let Some(agreed) = self.caller.session().map(|session| *session.agreement()) {
            // SAFETY: as above.
            let amended = unsafe { (*ctx).session.amended(&agreed) };
            if amended != agreed {
                self.caller.amend(amended);
            }
        }
        // SAFETY: as above.
        let (timeout, ceilings) = unsafe { ((*ctx).timeout(), (*ctx).ceilings()) };
        self.caller.set_limits(timeout, ceilings);
    }

    /// Whether the program believes it may call, and so a session that it lost is to be replaced.
    pub(super) fn restore(&mut self) {
        // SAFETY: the struct is open, and its state is not touched by other threads.
        let believed = unsafe { (*self.ctx).state } == NIPC_CLIENT_READY;
        if believed && self.caller.session().is_none() {
            self.caller.refresh();
        }
    }

    /// Shows what became of the client.
    pub(super) fn show(&mut self) {
        let status = self.caller.status();
        let client: *mut c_void = (&raw const *self.behind).cast_mut().cast();
        // SAFETY: the struct is open, and these members are not touched by other threads.
        unsafe {
            let ctx = self.ctx;
            (*ctx).state = state_code(status.state);
            (*ctx).connect_count = status.connect_count;
            (*ctx).reconnect_count = status.reconnect_count;
            (*ctx).call_count = status.call_count;
            (*ctx).error_count = status.error_count;
            (*ctx).transport_config = shown_proposal(self.caller);
            let session = self.caller.session();
            let same = (*ctx).session_valid
                && session.is_some_and(|session| {
                    let id = session.agreement().session_id;
                    (*ctx).session.shows(session) && (*ctx).session.session_id == id
                });
            if !same {
                // What carries it is the client's own: only what the program left is freed.
                (*ctx).session.forget();
                let shown = |session| Session::of_client(session, client);
                (*ctx).session = session.map_or(Session::CLOSED, shown);
                (*ctx).session_valid = session.is_some();
                free_shm(&mut (*ctx).shm);
            }
            if let Some(region) = self.caller.session_mut().and_then(Region::of) {
                match (*ctx).shm.as_mut() {
                    Some(shm) => shm.show_sequences(&region),
                    None => {
                        let shown = region::Context::of_client(&region, client);
                        (*ctx).shm = Box::into_raw(Box::new(shown));
                    }
                }
            }
        }
    }
}

fn state_code(state: ClientState) -> nipc_client_state_t {
    match state {
        ClientState::Disconnected => 0,
        ClientState::Connecting => 1,
        ClientState::Ready => 2,
        ClientState::NotFound => 3,
        ClientState::AuthFailed => 4,
        ClientState::Incompatible => 5,
        ClientState::Broken => 6,
    }
}
