//! Listeners: a struct that shows an instance of a pipe.

use std::{ffi::c_void, io, path::Path, ptr};

use netipc::{
    Error, ErrorKind, Wait,
    raw::{self, Socket},
};
use windows_sys::Win32::Foundation::{ERROR_INVALID_HANDLE, HANDLE, INVALID_HANDLE_VALUE};

use super::nipc_np_server_config_t;

/// A character of Windows, where C has no other type of that name.
pub(crate) type wchar_t = u16;

#[repr(C)]
pub(crate) struct nipc_np_listener_t {
    pub(super) pipe: HANDLE,
    pub(in super::super) config: nipc_np_server_config_t,
    pipe_name: [wchar_t; 256],
    /// A boxed [`raw::Listener`], null when closed.
    _endpoint: *mut c_void,
}

impl nipc_np_listener_t {
    pub(crate) const CLOSED: Self = nipc_np_listener_t {
        pipe: INVALID_HANDLE_VALUE,
        config: nipc_np_server_config_t {
            supported_profiles: 0,
            preferred_profiles: 0,
            max_request_payload_bytes: 0,
            max_request_batch_items: 0,
            max_response_payload_bytes: 0,
            max_response_batch_items: 0,
            auth_token: 0,
            packet_size: 0,
            spin_us: 0,
        },
        pipe_name: [0; 256],
        _endpoint: ptr::null_mut(),
    };

    /// The struct of what listens.
    pub(in super::super) fn of(
        listener: raw::Listener,
        config: nipc_np_server_config_t,
    ) -> Result<Self, Error> {
        let mut pipe_name = [0; 256];
        wide(listener.path(), &mut pipe_name)
            .ok_or_else(|| Error::new(ErrorKind::NameTooLong, "name of the pipe"))?;
        let pipe = listener.instance();
        let _endpoint = Box::into_raw(Box::new(listener)).cast();
        Ok(nipc_np_listener_t { pipe, config, pipe_name, _endpoint })
    }

    /// Waits for a client.
    ///
    /// # Safety
    ///
    /// The struct was made by [`of`](Self::of), or is closed or all zero.
    pub(in super::super) unsafe fn accept(&mut self) -> Result<Socket, Error> {
        // SAFETY: null, or what `of` boxed.
        let Some(endpoint) = (unsafe { self._endpoint.cast::<raw::Listener>().as_ref() }) else {
            let cause = io::Error::from_raw_os_error(ERROR_INVALID_HANDLE.cast_signed());
            return Err(Error::system("accept", cause));
        };
        let socket = endpoint.accept(Wait::FOREVER)?;
        self.pipe = endpoint.instance();
        Ok(socket)
    }

    /// Gives the endpoint up.
    ///
    /// # Safety
    ///
    /// As of [`accept`](Self::accept).
    pub(super) unsafe fn close(&mut self) {
        if !self._endpoint.is_null() {
            // SAFETY: what `of` boxed, and nothing points to it any more.
            drop(unsafe { Box::from_raw(self._endpoint.cast::<raw::Listener>()) });
            (self.pipe, self._endpoint) = (INVALID_HANDLE_VALUE, ptr::null_mut());
        }
    }
}

/// Writes a name and a NUL. `None` if there is no room for them.
pub(super) fn wide(name: &Path, out: &mut [wchar_t]) -> Option<()> {
    let name: Vec<u16> = name.to_str()?.encode_utf16().chain([0]).collect();
    out.get_mut(..name.len())?.copy_from_slice(&name);
    Some(())
}
