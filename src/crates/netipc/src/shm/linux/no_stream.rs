//! Where nothing is known to be faster than an ordinary copy.

/// None is that long.
pub(super) const LEAST: usize = usize::MAX;

/// Copies `from` to `to`.
///
/// # Safety
///
/// `to` is valid for writes of as many bytes, and does not overlap `from`.
pub(super) unsafe fn copy(to: *mut u8, from: &[u8]) {
    // SAFETY: as the caller promises.
    unsafe { to.copy_from_nonoverlapping(from.as_ptr(), from.len()) }
}
