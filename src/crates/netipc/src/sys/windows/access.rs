//! Who may use what we make: access lists, and users by their security identifiers.

use std::{
    ffi::c_void,
    io,
    os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle},
    ptr, slice,
};

use windows_sys::Win32::{
    Foundation::LocalFree,
    Security::{
        Authorization::{
            ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW,
            SDDL_REVISION_1,
        },
        GetTokenInformation, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER,
        TokenUser,
    },
    System::Threading::{GetCurrentProcess, OpenProcessToken},
};

use super::wide;

/// What an access list lets every local user do with a pipe, where it lets them anything: all that
/// a client needs, and not to make instances of the pipe of their own.
const CONNECT: u32 = 0x0012_019b;

/// Who may use a pipe or a region: an access list, of which the default would be too generous.
pub(crate) struct Access {
    descriptor: PSECURITY_DESCRIPTOR,
}

// SAFETY: the descriptor is never changed, and it belongs to no thread.
unsafe impl Send for Access {}
// SAFETY: as above.
unsafe impl Sync for Access {}

impl Access {
    /// For the user this process runs as, and if `for_all` for connections of every other user.
    pub(crate) fn new(for_all: bool) -> io::Result<Self> {
        Self::from_list(&access_list(&own_user()?, for_all))
    }

    /// As the security descriptor definition language says.
    fn from_list(list: &str) -> io::Result<Self> {
        let mut descriptor = ptr::null_mut();
        // SAFETY: the text ends with a NUL, and there is room for the answer.
        let made = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                wide(list).as_ptr(),
                SDDL_REVISION_1,
                &mut descriptor,
                ptr::null_mut(),
            )
        };
        match made {
            0 => Err(io::Error::last_os_error()),
            _ => Ok(Access { descriptor }),
        }
    }

    /// What objects are made with. Children do not inherit them. Not to be used after `self`.
    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: size_of::<SECURITY_ATTRIBUTES>() as u32,
            lpSecurityDescriptor: self.descriptor,
            bInheritHandle: 0,
        }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        // SAFETY: the system made it, to be freed like this, and nobody uses it any more.
        unsafe { LocalFree(self.descriptor) };
    }
}

/// The list that gives `user` everything, and others nothing or, if `for_all`, connections. It
/// takes nothing over from a parent.
fn access_list(user: &str, for_all: bool) -> String {
    let others = if for_all { format!("(A;;{CONNECT:#x};;;AU)") } else { String::new() };
    format!("D:P(A;;GA;;;{user}){others}")
}

/// Who this process runs as.
fn own_user() -> io::Result<String> {
    // SAFETY: it is a constant that stands for this process, and never closed.
    let process = unsafe { BorrowedHandle::borrow_raw(GetCurrentProcess()) };
    user_of(process)
}

/// Who `process` runs as: a security identifier such as `S-1-5-18`.
pub(super) fn user_of(process: BorrowedHandle<'_>) -> io::Result<String> {
    let mut token = ptr::null_mut();
    // SAFETY: the process is open, and there is room for the answer.
    if unsafe { OpenProcessToken(process.as_raw_handle(), TOKEN_QUERY, &mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was just opened, and nobody else has it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // As long as the longest identifier, and aligned for the structure before it.
    let mut about = [0u64; 16];
    let (mut needed, room) = (0, size_of_val(&about) as u32);
    let about = (&raw mut about).cast::<c_void>();
    // SAFETY: the token is open, and there is as much room as is said.
    let told =
        unsafe { GetTokenInformation(token.as_raw_handle(), TokenUser, about, room, &mut needed) };
    if told == 0 {
        return Err(io::Error::last_os_error());
    }
    let mut text = ptr::null_mut();
    // SAFETY: the answer starts with this structure, whose identifier lies in the same memory.
    if unsafe { ConvertSidToStringSidW((*about.cast::<TOKEN_USER>()).User.Sid, &mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system made a text that ends with a NUL, to be freed like this, and it is not
    // used afterwards.
    unsafe {
        let len = (0..).take_while(|&at| *text.add(at) != 0).count();
        let user = String::from_utf16_lossy(slice::from_raw_parts(text, len));
        LocalFree(text.cast());
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_the_own_user_everything_and_others_nothing_unless_asked_to() {
        assert_eq!(access_list("S-1-5-18", false), "D:P(A;;GA;;;S-1-5-18)");
        assert_eq!(access_list("S-1-5-18", true), "D:P(A;;GA;;;S-1-5-18)(A;;0x12019b;;;AU)");
    }

    #[test]
    fn lets_others_connect_and_not_serve() {
        use windows_sys::Win32::Storage::FileSystem::{
            FILE_APPEND_DATA, FILE_GENERIC_READ, FILE_GENERIC_WRITE,
        };
        // On a pipe, the right to append is the right to make instances.
        let all = FILE_GENERIC_READ | FILE_GENERIC_WRITE;
        assert_eq!(CONNECT, all & !FILE_APPEND_DATA);
    }

    #[test]
    fn the_system_understands_the_lists_and_knows_the_own_user() {
        let user = own_user().unwrap();
        assert!(user.starts_with("S-1-"), "{user}");
        Access::new(false).unwrap();
        Access::new(true).unwrap();
        assert!(Access::from_list("no list").is_err());
    }
}
