//! Looks into this process, and what the system does to processes.

use std::{process::ExitStatus, thread, time::Duration};

/// Whether a process ended because it was killed.
pub(super) fn was_killed(status: ExitStatus) -> bool {
    status.code() == Some(1)
}

/// The id of the calling thread, as the system knows it.
pub fn thread_id() -> u32 {
    // SAFETY: it takes nothing.
    unsafe { windows_sys::Win32::System::Threading::GetCurrentThreadId() }
}

/// Gives a thread time to fall asleep. The system does not tell whether it has.
pub fn await_sleep(_thread: u32) {
    thread::sleep(Duration::from_millis(100));
}

/// Whether the regions of sessions can be seen in the directory of the service.
pub const REGIONS_ARE_FILES: bool = false;

/// Whether a peer is a process of a user, of which this one's tests have one only.
pub fn is_own_user(peer: &netipc::PeerCredentials) -> bool {
    peer.user.starts_with("S-1-")
}
