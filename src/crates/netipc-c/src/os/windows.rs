//! Windows: paths are text.

use std::{
    borrow::Cow,
    ffi::OsString,
    os::windows::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use windows_sys::Win32::{
    Foundation::{ERROR_NO_DATA, ERROR_PIPE_BUSY},
    System::SystemInformation::GetTickCount64,
};

/// The number of an endpoint that a live server has.
pub(crate) const ADDRESS_IN_USE: i32 = ERROR_PIPE_BUSY.cast_signed();

/// The number of a session over which nothing can be sent any more.
pub(crate) const CANNOT_SEND: i32 = ERROR_NO_DATA.cast_signed();

/// A directory as C names it, in UTF-8. What is no text becomes what no directory of a service is.
pub(crate) fn path(bytes: &[u8]) -> Cow<'_, Path> {
    const HALF_A_CHARACTER: u16 = 0xD800;
    match std::str::from_utf8(bytes) {
        Ok(text) => Path::new(text).into(),
        Err(_) => PathBuf::from(OsString::from_wide(&[HALF_A_CHARACTER])).into(),
    }
}

/// Milliseconds on a clock that never is set.
pub(crate) fn now_ms() -> u64 {
    // SAFETY: it takes no pointers.
    unsafe { GetTickCount64() }
}
