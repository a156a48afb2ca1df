//! Messages through shared memory: `netipc_shm.h` where a region is a file, `netipc_win_shm.h` where
//! it is an object of the system.
//!
//! Both are one. Each system gives the struct and the functions their names.

#[cfg(target_os = "linux")]
mod shm;
#[cfg(windows)]
mod win_shm;
#[cfg(target_os = "linux")]
use shm as imp;
#[cfg(windows)]
use win_shm as imp;

use std::{
    ffi::{c_char, c_void},
    path::Path,
    ptr,
    time::{Duration, Instant},
};

use netipc::{
    RegionError,
    raw::{Arrival, Region, RegionPlan},
};

pub(crate) use self::imp::Context;
use self::imp::{
    Code, ERR_BAD_HEADER, ERR_BAD_PARAM, ERR_CLOSED, ERR_MSG_TOO_LARGE, ERR_TIMEOUT, OK, fault_code,
};
use crate::{
    border::{bytes, bytes_mut, endpoint},
    errors::{note, note_error},
    service::region_of_client,
};

const ROLE_SERVER: u32 = 1;
const ROLE_CLIENT: u32 = 2;

impl Context {
    /// A struct that shows `region`.
    fn showing(region: &Region<'_>, role: u32, client: *mut c_void) -> Self {
        let RegionPlan { start, size, request, response } = region.plan();
        let mut ctx = Context {
            role,
            base: start.as_ptr().cast(),
            region_size: size,
            request_offset: request.0,
            request_capacity: request.1,
            response_offset: response.0,
            response_capacity: response.1,
            _client: client,
            ..Context::of(region)
        };
        ctx.show_sequences(region);
        ctx
    }

    /// The struct of a client's session.
    pub(crate) fn of_client(region: &Region<'_>, client: *mut c_void) -> Self {
        Context::showing(region, ROLE_CLIENT, client)
    }

    pub(crate) fn show_sequences(&mut self, region: &Region<'_>) {
        let (incoming, outgoing) = region.sequences();
        (self.local_req_seq, self.local_resp_seq) = match self.role {
            ROLE_SERVER => (incoming, outgoing),
            _ => (outgoing, incoming),
        };
    }

    /// Lets `used` use the region, then shows what became of it. `None` when closed; without its
    /// base, a region counts as closed.
    ///
    /// # Safety
    ///
    /// The struct was filled by this library, or is all zero.
    unsafe fn with<T>(&mut self, used: impl FnOnce(&mut Region<'_>) -> T) -> Option<T> {
        let &mut Context { spin_tries: spins, _region, _client, .. } = self;
        if self.base.is_null() {
            return None;
        }
        let run = |region: &mut Region<'_>| {
            region.set_spins(spins);
            let result = used(region);
            self.show_sequences(region);
            result
        };
        // SAFETY: null, or what `open` boxed.
        match unsafe { _region.cast::<Region<'static>>().as_mut() } {
            Some(region) => Some(run(region)),
            None => {
                // SAFETY: null, or the `_client` of a client whose struct this is.
                let mut region = unsafe { region_of_client(_client) }?;
                Some(run(&mut region))
            }
        }
    }

    /// Takes the region out of the struct, to be dropped.
    ///
    /// # Safety
    ///
    /// As of [`with`](Self::with).
    unsafe fn close(&mut self) {
        if !self._region.is_null() {
            // SAFETY: what `open` boxed, and nothing points to it any more.
            drop(unsafe { Box::from_raw(self._region.cast::<Region<'static>>()) });
            *self = self.remains();
        }
    }
}

/// Makes a region and writes its context, or a closed one, to `out`.
///
/// # Safety
///
/// The pointers are what the header asks for, or null.
unsafe fn open(
    run_dir: *const c_char,
    service_name: *const c_char,
    out: *mut Context,
    role: u32,
    make: impl FnOnce(&Path, &str) -> Result<Region<'static>, RegionError>,
) -> Code {
    if out.is_null() {
        return bad_param("open a region without a place for it");
    }
    // SAFETY: as promised by the caller.
    let named = unsafe {
        out.write(Context::CLOSED);
        endpoint(run_dir, service_name)
    };
    let Some((dir, service)) = named else {
        return bad_param("open a region without a directory or a name that can be one");
    };
    match make(&dir, service) {
        Ok(region) => {
            let mut ctx = Context::showing(&region, role, ptr::null_mut());
            ctx._region = Box::into_raw(Box::new(region)).cast();
            // SAFETY: as promised by the caller.
            unsafe { out.write(ctx) };
            OK
        }
        Err(error) => {
            note(error.to_string());
            if let Some(number) = error.raw_os_error() {
                errno::set_errno(errno::Errno(number));
            }
            fault_code(error.fault())
        }
    }
}

/// # Safety
///
/// The pointers are what the header asks for, or null.
unsafe fn send(ctx: *mut Context, msg: *const c_void, msg_len: usize) -> Code {
    // SAFETY: as promised by the caller.
    let (Some(ctx), Some(message)) = (unsafe { (ctx.as_mut(), bytes(msg, msg_len)) }) else {
        return bad_param("send without a region or a message");
    };
    if message.is_empty() {
        return bad_param("send a message of no bytes");
    }
    // SAFETY: as promised by the caller.
    match unsafe { ctx.with(|region| region.send(message)) } {
        None => bad_param("send through a region that is closed"),
        Some(Ok(())) => OK,
        Some(Err(error)) => {
            note_error(&error);
            ERR_MSG_TOO_LARGE
        }
    }
}

/// # Safety
///
/// The pointers are what the header asks for, or null.
unsafe fn receive(
    ctx: *mut Context,
    buf: *mut c_void,
    buf_size: usize,
    msg_len_out: *mut usize,
    timeout_ms: u32,
) -> Code {
    // SAFETY: as promised by the caller.
    let (ctx, buf) = unsafe { (ctx.as_mut(), bytes_mut(buf, buf_size)) };
    let (Some(ctx), Some(buf), false) = (ctx, buf, msg_len_out.is_null()) else {
        return bad_param("receive without a region, a buffer or a place for the length");
    };
    if buf.is_empty() {
        return bad_param("receive into a buffer of no bytes");
    }
    let timeout = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms.into()));
    let until = timeout.map(|timeout| Instant::now() + timeout);
    // SAFETY: as promised by the caller.
    let (len, code) = match unsafe { ctx.with(|region| region.receive(buf, until)) } {
        None => return bad_param("receive from a region that is closed"),
        Some(Arrival::TimedOut) => {
            note(format!("receive from a region: nothing came in {timeout_ms} ms"));
            return ERR_TIMEOUT;
        }
        Some(Arrival::Closed) => {
            note("receive from a region: the peer has left");
            return ERR_CLOSED;
        }
        Some(Arrival::Empty) => {
            note("receive from a region: the message is empty");
            return ERR_BAD_HEADER;
        }
        Some(Arrival::Message(len)) => (len, OK),
        Some(Arrival::TooLarge(len)) => {
            note(format!("receive from a region: a message of {len} bytes, too large"));
            (len, ERR_MSG_TOO_LARGE)
        }
    };
    // SAFETY: as promised by the caller.
    unsafe { msg_len_out.write(len) };
    code
}

/// What a function needs was NULL, or of no use.
fn bad_param(why: &str) -> Code {
    note(why);
    ERR_BAD_PARAM
}
