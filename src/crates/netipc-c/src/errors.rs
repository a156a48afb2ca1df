//! Codes for programs, words for people.

use std::{
    cell::RefCell,
    ffi::{CString, c_char},
};

use netipc_proto::{Defect, Malformed, Unwritable};

pub(crate) type nipc_error_t = u32;

/// Declares the values of a C enum and the function that names them.
macro_rules! error_codes {
    ($ty:ty, $name_of:ident: $($name:ident = $value:literal $text:literal,)*) => {
        $(
            #[allow(dead_code, reason = "the table is the whole enum, used or not")]
            pub(crate) const $name: $ty = $value;
        )*

        abi! {
            fn $name_of(error: $ty) -> *const c_char, or(c"unknown".as_ptr()) {
                let name: &std::ffi::CStr = match error { $($value => $text,)* _ => c"unknown" };
                name.as_ptr()
            }
        }
    };
}
error_codes! { nipc_error_t, nipc_error_name:
    NIPC_OK = 0 c"OK",
    NIPC_ERR_TRUNCATED = 1 c"TRUNCATED",
    NIPC_ERR_BAD_MAGIC = 2 c"BAD_MAGIC",
    NIPC_ERR_BAD_VERSION = 3 c"BAD_VERSION",
    NIPC_ERR_BAD_HEADER_LEN = 4 c"BAD_HEADER_LEN",
    NIPC_ERR_BAD_KIND = 5 c"BAD_KIND",
    NIPC_ERR_BAD_LAYOUT = 6 c"BAD_LAYOUT",
    NIPC_ERR_OUT_OF_BOUNDS = 7 c"OUT_OF_BOUNDS",
    NIPC_ERR_MISSING_NUL = 8 c"MISSING_NUL",
    NIPC_ERR_BAD_ALIGNMENT = 9 c"BAD_ALIGNMENT",
    NIPC_ERR_BAD_ITEM_COUNT = 10 c"BAD_ITEM_COUNT",
    NIPC_ERR_OVERFLOW = 11 c"OVERFLOW",
    NIPC_ERR_HANDLER_FAILED = 12 c"HANDLER_FAILED",
    NIPC_ERR_NOT_READY = 13 c"NOT_READY",
    NIPC_ERR_TIMEOUT = 14 c"TIMEOUT",
    NIPC_ERR_ABORTED = 15 c"ABORTED",
}

pub(crate) use error_codes;

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// Leaves `message` for `nipc_last_error`.
pub(crate) fn note(message: impl Into<String>) {
    let mut message = message.into();
    message.retain(|c| c != '\0');
    let message = CString::new(message).expect("it has no NUL left");
    // A thread that is ending has no place for it any more, and nobody to read it.
    let _ = LAST.try_with(|last| *last.borrow_mut() = message);
}

/// Leaves an error for `nipc_last_error`, and the system's number of it in `errno`.
pub(crate) fn note_error(error: &netipc::Error) {
    note(error.to_string());
    if let Some(number) = error.raw_os_error() {
        errno::set_errno(errno::Errno(number));
    }
}

abi! {
    fn nipc_last_error() -> *const c_char, or(c"".as_ptr()) {
        LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"".as_ptr())
    }
}

/// What a function needs was NULL, or too long to be real.
pub(crate) const NO_ARGUMENT: nipc_error_t = NIPC_ERR_BAD_LAYOUT;

/// The code of a malformed message.
pub(crate) fn malformed(malformed: Malformed) -> nipc_error_t {
    note(malformed.to_string());
    defect_code(malformed.defect)
}

/// The code of what is wrong with a message.
pub(crate) fn defect_code(defect: Defect) -> nipc_error_t {
    match defect {
        Defect::Truncated => NIPC_ERR_TRUNCATED,
        Defect::BadMagic => NIPC_ERR_BAD_MAGIC,
        Defect::BadVersion => NIPC_ERR_BAD_VERSION,
        Defect::BadHeaderLen => NIPC_ERR_BAD_HEADER_LEN,
        Defect::BadKind => NIPC_ERR_BAD_KIND,
        Defect::OutOfBounds => NIPC_ERR_OUT_OF_BOUNDS,
        Defect::MissingNul => NIPC_ERR_MISSING_NUL,
        Defect::BadAlignment => NIPC_ERR_BAD_ALIGNMENT,
        Defect::BadItemCount => NIPC_ERR_BAD_ITEM_COUNT,
        _ => NIPC_ERR_BAD_LAYOUT,
    }
}

/// The code of a value that could not be written.
pub(crate) fn unwritable(unwritable: Unwritable) -> nipc_error_t {
    note(unwritable.to_string());
    match unwritable {
        Unwritable::Full => NIPC_ERR_OVERFLOW,
        Unwritable::Invalid(_) => NIPC_ERR_BAD_LAYOUT,
        Unwritable::TooFew => NIPC_ERR_BAD_ITEM_COUNT,
    }
}

/// The code of how something went.
pub(crate) fn code(done: Result<(), nipc_error_t>) -> nipc_error_t {
    match done {
        Ok(()) => NIPC_OK,
        Err(error) => error,
    }
}
