//! What is behind `nipc_client_ctx_t`: a client of any kind, and an abort for other threads.

use std::{cell::UnsafeCell, ffi::c_void, mem, time::Duration};

use netipc::{
    Abort, Client, ClientStatus, Error, ErrorKind, SessionOptions,
    kinds::{AppsLookup, CgroupsLookup, CgroupsSnapshot},
    proto::{Agreement, Ceilings, Service},
    raw::{Region, amend, disown},
    transport::Session,
};

use crate::{
    errors::{
        NIPC_ERR_ABORTED, NIPC_ERR_BAD_LAYOUT, NIPC_ERR_NOT_READY, NIPC_ERR_OVERFLOW,
        NIPC_ERR_TIMEOUT, NIPC_ERR_TRUNCATED, defect_code, nipc_error_t, note_error,
    },
    os,
};

/// What `_client` points to.
pub(super) struct Behind {
    /// Used by any thread.
    pub(super) abort: Abort,
    /// Used by the one thread that uses the client.
    pub(super) caller: UnsafeCell<Caller>,
}

impl Behind {
    pub(super) fn new(client: Client<CgroupsSnapshot>) -> Box<Self> {
        let abort = client.abort().clone();
        Box::new(Behind { abort, caller: UnsafeCell::new(Caller(Kinds::Snapshot(client))) })
    }
}

/// A client whose kind is the one last asked for.
pub(super) struct Caller(Kinds);

enum Kinds {
    Snapshot(Client<CgroupsSnapshot>),
    Cgroups(Client<CgroupsLookup>),
    Apps(Client<AppsLookup>),
    /// While it changes.
    Changing,
}

/// Does the same with a client of whatever kind.
macro_rules! whatever {
    ($kinds:expr, $client:ident => $does:expr) => {
        match $kinds {
            Kinds::Snapshot($client) => $does,
            Kinds::Cgroups($client) => $does,
            Kinds::Apps($client) => $does,
            Kinds::Changing => unreachable!("a client changes its kind in one step"),
        }
    };
}

impl Caller {
    pub(super) fn snapshot(&mut self) -> &mut Client<CgroupsSnapshot> {
        if !matches!(self.0, Kinds::Snapshot(_)) {
            self.0 = Kinds::Snapshot(self.take());
        }
        match &mut self.0 {
            Kinds::Snapshot(client) => client,
            _ => unreachable!("just made so"),
        }
    }

    pub(super) fn cgroups(&mut self) -> &mut Client<CgroupsLookup> {
        if !matches!(self.0, Kinds::Cgroups(_)) {
            self.0 = Kinds::Cgroups(self.take());
        }
        match &mut self.0 {
            Kinds::Cgroups(client) => client,
            _ => unreachable!("just made so"),
        }
    }

    pub(super) fn apps(&mut self) -> &mut Client<AppsLookup> {
        if !matches!(self.0, Kinds::Apps(_)) {
            self.0 = Kinds::Apps(self.take());
        }
        match &mut self.0 {
            Kinds::Apps(client) => client,
            _ => unreachable!("just made so"),
        }
    }

    /// The client as one of another kind.
    fn take<T: Service>(&mut self) -> Client<T> {
        let kinds = mem::replace(&mut self.0, Kinds::Changing);
        whatever!(kinds, client => client.into_kind())
    }

    pub(super) fn refresh(&mut self) -> bool {
        whatever!(&mut self.0, client => client.refresh())
    }

    pub(super) fn status(&self) -> ClientStatus {
        whatever!(&self.0, client => client.status())
    }

    pub(super) fn last_error(&self) -> Option<&Error> {
        whatever!(&self.0, client => client.last_error())
    }

    pub(super) fn session(&self) -> Option<&Session> {
        whatever!(&self.0, client => client.session())
    }

    pub(super) fn session_mut(&mut self) -> Option<&mut Session> {
        whatever!(&mut self.0, client => client.session_mut())
    }

    pub(super) fn proposal(&self) -> SessionOptions {
        whatever!(&self.0, client => client.proposal())
    }

    pub(super) fn propose(&mut self, session: SessionOptions) {
        whatever!(&mut self.0, client => client.propose(session))
    }

    pub(super) fn set_limits(&mut self, timeout: Duration, ceilings: Ceilings) {
        whatever!(&mut self.0, client => {
            client.set_timeout(timeout);
            client.set_ceilings(ceilings);
        })
    }

    pub(super) fn break_off(&mut self) {
        whatever!(&mut self.0, client => client.break_off())
    }

    pub(super) fn amend(&mut self, agreement: Agreement) {
        whatever!(&mut self.0, client => amend(client, agreement))
    }

    pub(super) fn count_on(&mut self, counts: ClientStatus) {
        whatever!(&mut self.0, client => client.count_on(counts))
    }

    pub(super) fn disown(&mut self) {
        whatever!(&mut self.0, client => disown(client))
    }
}

/// The region in the session of a client, by the `_client` of its struct.
///
/// # Safety
///
/// `behind` is null or the `_client` of an open client, which nobody else uses for as long as `'a`.
pub(crate) unsafe fn region_of_client<'a>(behind: *mut c_void) -> Option<Region<'a>> {
    // SAFETY: as promised by the caller.
    let behind = unsafe { behind.cast::<Behind>().as_ref() }?;
    // SAFETY: as promised by the caller.
    let caller = unsafe { &mut *behind.caller.get() };
    caller.session_mut().and_then(Region::of)
}

/// The code of a failed call.
pub(super) fn call_code(error: &Error) -> nipc_error_t {
    note_error(error);
    if let Some(malformed) = error.malformed() {
        return defect_code(malformed.defect);
    }
    match error.kind() {
        ErrorKind::TimedOut => NIPC_ERR_TIMEOUT,
        ErrorKind::Aborted => NIPC_ERR_ABORTED,
        ErrorKind::LimitExceeded | ErrorKind::Exhausted => NIPC_ERR_OVERFLOW,
        // What breaks the rules of a session is lost with it.
        ErrorKind::Protocol if error.fault().is_some() => NIPC_ERR_TRUNCATED,
        ErrorKind::InvalidInput
        | ErrorKind::Protocol
        | ErrorKind::Unsupported
        | ErrorKind::Rejected
        | ErrorKind::HandlerFailed => NIPC_ERR_BAD_LAYOUT,
        ErrorKind::NotReady
        | ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::Busy => NIPC_ERR_NOT_READY,
        // A client that cannot send is not ready, whatever it believed.
        ErrorKind::Disconnected if error.raw_os_error() == Some(os::CANNOT_SEND) => {
            NIPC_ERR_NOT_READY
        }
        _ => NIPC_ERR_TRUNCATED,
    }
}
