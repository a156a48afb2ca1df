//! Listeners: a struct that shows a socket at which clients connect.

use std::{
    ffi::{c_char, c_void},
    io,
    os::fd::{AsFd, AsRawFd, RawFd},
    ptr,
};

use netipc::{
    Error, ErrorKind, Wait,
    raw::{self, Socket},
};

use super::nipc_uds_server_config_t;
use crate::border::text;

#[repr(C)]
pub(crate) struct nipc_uds_listener_t {
    pub(super) fd: RawFd,
    pub(in super::super) config: nipc_uds_server_config_t,
    path: [c_char; 108],
    /// A boxed [`raw::Listener`], null when closed.
    _endpoint: *mut c_void,
}

impl nipc_uds_listener_t {
    pub(crate) const CLOSED: Self = nipc_uds_listener_t {
        fd: -1,
        config: nipc_uds_server_config_t {
            supported_profiles: 0,
            preferred_profiles: 0,
            max_request_payload_bytes: 0,
            max_request_batch_items: 0,
            max_response_payload_bytes: 0,
            max_response_batch_items: 0,
            auth_token: 0,
            packet_size: 0,
            backlog: 0,
            spin_us: 0,
        },
        path: [0; 108],
        _endpoint: ptr::null_mut(),
    };

    /// The struct of what listens.
    pub(in super::super) fn of(
        listener: raw::Listener,
        config: nipc_uds_server_config_t,
    ) -> Result<Self, Error> {
        let path = text(listener.path().as_os_str().as_encoded_bytes())
            .ok_or_else(|| Error::new(ErrorKind::NameTooLong, "path of the socket"))?;
        let fd = listener.as_fd().as_raw_fd();
        let _endpoint = Box::into_raw(Box::new(listener)).cast();
        Ok(nipc_uds_listener_t { fd, config, path, _endpoint })
    }

    /// Waits for a client.
    ///
    /// # Safety
    ///
    /// The struct was made by [`of`](Self::of), or is closed or all zero.
    pub(in super::super) unsafe fn accept(&mut self) -> Result<Socket, Error> {
        let closed = || Error::system("accept", io::Error::from_raw_os_error(libc::EBADF));
        // SAFETY: as promised by the caller.
        unsafe { self.endpoint() }.ok_or_else(closed)?.accept(Wait::FOREVER)
    }

    /// What listens; `None` when closed, by the library or by the program behind its back.
    ///
    /// # Safety
    ///
    /// As of [`accept`](Self::accept).
    unsafe fn endpoint(&self) -> Option<&raw::Listener> {
        // SAFETY: null, or what `of` boxed.
        let endpoint = unsafe { self._endpoint.cast::<raw::Listener>().as_ref() };
        endpoint.filter(|endpoint| endpoint.as_fd().as_raw_fd() == self.fd)
    }

    /// Gives the endpoint up.
    ///
    /// # Safety
    ///
    /// As of [`accept`](Self::accept).
    pub(super) unsafe fn close(&mut self) {
        if self._endpoint.is_null() {
            return;
        }
        // SAFETY: as promised by the caller.
        let is_open = unsafe { self.endpoint() }.is_some();
        // SAFETY: what `of` boxed, and nothing points to it any more.
        let endpoint = unsafe { Box::from_raw(self._endpoint.cast::<raw::Listener>()) };
        (self.fd, self._endpoint) = (-1, ptr::null_mut());
        if !is_open {
            endpoint.disown();
        }
    }
}
