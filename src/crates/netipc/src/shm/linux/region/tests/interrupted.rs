//! A region whose memory is allocated while signals come.

use std::{cell::Cell, fs};

use super::{create, name};
use crate::testing::scratch;

thread_local! {
    /// How many signals are still to come while this thread allocates.
    static SIGNALS: Cell<u32> = const { Cell::new(0) };
}

/// In the place of libc's, to be interrupted as often as a test wants.
///
/// # Safety
///
/// As libc's: `fd` is open.
#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate(
    fd: libc::c_int,
    mode: libc::c_int,
    offset: libc::off_t,
    len: libc::off_t,
) -> libc::c_int {
    if let Some(left) = SIGNALS.get().checked_sub(1) {
        SIGNALS.set(left);
        // SAFETY: it is this thread's, always.
        unsafe { *libc::__errno_location() = libc::EINTR };
        return -1;
    }
    // SAFETY: promised by the caller; the call takes no pointers.
    unsafe { libc::syscall(libc::SYS_fallocate, fd, mode, offset, len) as libc::c_int }
}

#[test]
fn signals_do_not_keep_it_from_being_made() {
    let dir = scratch();
    SIGNALS.set(3);
    let region = create(dir.path()).unwrap();
    assert_eq!(SIGNALS.get(), 0, "it was interrupted");
    let size = fs::metadata(name(dir.path())).unwrap().len();
    assert_eq!(size, region.layout.size());
}
