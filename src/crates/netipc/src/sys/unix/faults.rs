//! What the numbers of system errors mean for programs.

use std::io;

use rustix::io::Errno;

/// Whether the system failed for want of memory, descriptors or space: it may work later.
pub(crate) fn is_exhaustion(cause: &io::Error) -> bool {
    let Some(errno) = Errno::from_io_error(cause) else { return false };
    matches!(
        errno,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::NOSPC | Errno::DQUOT
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_may_work_later() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOSPC, Errno::DQUOT] {
            assert!(is_exhaustion(&errno.into()), "{errno}");
        }
        assert!(!is_exhaustion(&Errno::NOENT.into()));
        assert!(!is_exhaustion(&io::Error::other("no number")));
    }
}
