//! Where C calls in: no panic leaves, and no pointer is trusted to be more than what C can promise.

use std::{
    any::Any,
    borrow::Cow,
    ffi::{CStr, c_char, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    slice,
};

use crate::os;

/// Declares exported functions, each with what it returns if it panics.
///
/// The body is unsafe as a whole: every pointer argument is what the header asks of it, or NULL.
macro_rules! abi {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty, or($or:expr))? { $($body:tt)* }
    )*) => {$(
        $(#[$meta])*
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name($($arg: $ty),*) $(-> $ret)? {
            #[allow(unused_unsafe, reason = "some take no pointers")]
            // SAFETY: whoever calls keeps to the header, and so the pointers are as it says.
            let body = move || unsafe { $($body)* };
            $crate::border::contain(stringify!($name), ($($or)?), body)
        }
    )*};
}

/// Runs `body`; a panic in it becomes `failed` and a message for `nipc_last_error`.
pub(crate) fn contain<T>(name: &str, failed: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        crate::errors::note(format!("{name}: internal error: {}", panic_text(&*panic)));
        failed
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic")
}

/// The bytes at `ptr`. `None` if there are none to point at, or more than memory can hold.
///
/// # Safety
///
/// Unless `ptr` is null, `len` bytes can be read there for as long as `'a`.
pub(crate) unsafe fn bytes<'a>(ptr: *const c_void, len: usize) -> Option<&'a [u8]> {
    if ptr.is_null() {
        return (len == 0).then_some(&[]);
    }
    // SAFETY: not null, and the caller vouches for the rest; the length fits as checked.
    isize::try_from(len).ok().map(|_| unsafe { slice::from_raw_parts(ptr.cast(), len) })
}

/// The bytes at `ptr`, to be written. `None` as with [`bytes`].
///
/// # Safety
///
/// Unless `ptr` is null, `len` bytes can be written there by nobody else for as long as `'a`.
pub(crate) unsafe fn bytes_mut<'a>(ptr: *mut c_void, len: usize) -> Option<&'a mut [u8]> {
    if ptr.is_null() {
        return (len == 0).then_some(&mut []);
    }
    // SAFETY: as in `bytes`, and the caller vouches that nobody else uses them.
    isize::try_from(len).ok().map(|_| unsafe { slice::from_raw_parts_mut(ptr.cast(), len) })
}

/// The elements of an array. `None` as with [`bytes`], or if it is not aligned.
///
/// # Safety
///
/// Unless `ptr` is null, `len` elements can be read there for as long as `'a`.
pub(crate) unsafe fn array<'a, T>(ptr: *const T, len: usize) -> Option<&'a [T]> {
    if ptr.is_null() {
        return (len == 0).then_some(&[]);
    }
    let size = len.checked_mul(size_of::<T>())?;
    let fits = isize::try_from(size).is_ok() && ptr.is_aligned();
    // SAFETY: not null, aligned, and the caller vouches for the rest; the length fits as checked.
    fits.then(|| unsafe { slice::from_raw_parts(ptr, len) })
}

/// The bytes of the string at `ptr`, without its NUL.
///
/// # Safety
///
/// Unless `ptr` is null, a string ending in NUL can be read there for as long as `'a`.
pub(crate) unsafe fn string<'a>(ptr: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: not null, and the caller vouches for the rest.
    (!ptr.is_null()).then(|| unsafe { CStr::from_ptr(ptr) }.to_bytes())
}

/// Where a service is: its directory, and its name. `None` if one is NULL or the name is no text,
/// which no name can be.
///
/// # Safety
///
/// Unless null, strings ending in NUL can be read there for as long as `'a`.
pub(crate) unsafe fn endpoint<'a>(
    run_dir: *const c_char,
    service: *const c_char,
) -> Option<(Cow<'a, Path>, &'a str)> {
    // SAFETY: as promised by the caller.
    let (run_dir, service) = unsafe { (string(run_dir)?, string(service)?) };
    Some((os::path(run_dir), std::str::from_utf8(service).ok()?))
}

/// Copies a path or a name into an array of C, with a NUL behind it. `None` if it does not fit.
pub(crate) fn text<const N: usize>(text: &[u8]) -> Option<[c_char; N]> {
    let mut array = [0; N];
    let (start, _nul) =
        array.split_at_mut_checked(text.len()).filter(|(_, rest)| !rest.is_empty())?;
    for (to, &from) in start.iter_mut().zip(text) {
        *to = from as c_char;
    }
    Some(array)
}

/// What a configured number means if it is 0.
pub(crate) fn or_usual(configured: u32, usual: u32) -> u32 {
    if configured == 0 { usual } else { configured }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_value_and_a_message() {
        let number = contain("nipc_test", 7, || -> i32 { panic!("out of cheese") });
        assert_eq!(number, 7);
        // SAFETY: it takes no pointers.
        let message = unsafe { CStr::from_ptr(crate::errors::nipc_last_error()) };
        assert_eq!(message.to_str(), Ok("nipc_test: internal error: out of cheese"));
    }

    #[test]
    fn null_is_no_bytes_only_where_none_are_claimed() {
        // SAFETY: null is allowed, and nothing is read from an address that cannot be.
        unsafe {
            assert_eq!(bytes(std::ptr::null(), 0), Some(&[][..]));
            assert_eq!(bytes(std::ptr::null(), 1), None);
            assert_eq!(bytes(std::ptr::dangling(), usize::MAX), None);
            assert_eq!(array(std::ptr::dangling::<u64>(), usize::MAX / 4), None);
            assert_eq!(array(std::ptr::without_provenance::<u64>(9), 1), None);
        }
    }

    #[test]
    fn text_that_leaves_no_room_for_its_nul_does_not_fit() {
        assert_eq!(text::<3>(b"ab").map(|text| text.map(|c| c as u8)), Some(*b"ab\0"));
        assert_eq!(text::<3>(b"abc"), None);
    }
}
