//! What the numbers of system errors mean for programs.

use std::io;

use windows_sys::Win32::Foundation::{
    ERROR_BROKEN_PIPE, ERROR_COMMITMENT_LIMIT, ERROR_HANDLE_EOF, ERROR_NO_DATA,
    ERROR_NO_SYSTEM_RESOURCES, ERROR_NONPAGED_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_MEMORY,
    ERROR_NOT_ENOUGH_QUOTA, ERROR_OPERATION_ABORTED, ERROR_OUTOFMEMORY,
    ERROR_PAGED_SYSTEM_RESOURCES, ERROR_PIPE_NOT_CONNECTED, ERROR_TOO_MANY_OPEN_FILES,
};

/// Whether the system failed for want of memory, handles or space: it may work later.
pub(crate) fn is_exhaustion(cause: &io::Error) -> bool {
    number(cause).is_some_and(|number| {
        matches!(
            number,
            ERROR_TOO_MANY_OPEN_FILES
                | ERROR_NOT_ENOUGH_MEMORY
                | ERROR_OUTOFMEMORY
                | ERROR_NOT_ENOUGH_QUOTA
                | ERROR_COMMITMENT_LIMIT
                | ERROR_NO_SYSTEM_RESOURCES
                | ERROR_NONPAGED_SYSTEM_RESOURCES
                | ERROR_PAGED_SYSTEM_RESOURCES
        )
    })
}

/// Whether it says that the other end of a pipe is gone, or that this end was hung up.
pub(super) fn is_end(cause: &io::Error) -> bool {
    number(cause).is_some_and(|number| {
        matches!(
            number,
            ERROR_BROKEN_PIPE
                | ERROR_NO_DATA
                | ERROR_PIPE_NOT_CONNECTED
                | ERROR_HANDLE_EOF
                | ERROR_OPERATION_ABORTED
        )
    })
}

/// The number of a system error, as the system counts.
pub(super) fn number(cause: &io::Error) -> Option<u32> {
    cause.raw_os_error().map(i32::cast_unsigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_may_work_later() {
        for code in [ERROR_TOO_MANY_OPEN_FILES, ERROR_NO_SYSTEM_RESOURCES, ERROR_COMMITMENT_LIMIT] {
            assert!(is_exhaustion(&io::Error::from_raw_os_error(code.cast_signed())), "{code}");
        }
        let not_found = io::Error::from_raw_os_error(2);
        assert!(!is_exhaustion(&not_found) && !is_end(&not_found));
        assert!(!is_exhaustion(&io::Error::other("no number")));
    }

    #[test]
    fn knows_the_end_of_a_pipe() {
        for code in [109, 232, 233] {
            assert!(is_end(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }
}
