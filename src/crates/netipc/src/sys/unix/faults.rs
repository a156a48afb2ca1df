//! What the numbers of system errors mean, for programs and for people.

use std::{fmt, io};

use rustix::io::Errno;

/// Whether the system failed for want of memory, descriptors or space: it may work later.
pub(crate) fn is_exhaustion(cause: &io::Error) -> bool {
    let Some(errno) = Errno::from_io_error(cause) else { return false };
    matches!(
        errno,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::NOBUFS | Errno::NOSPC | Errno::DQUOT
    )
}

/// The error as it stands within a sentence: lower case, without its number.
pub(crate) fn describe(cause: &io::Error) -> impl fmt::Display {
    let mut text = cause.to_string();
    if cause.raw_os_error().is_some()
        && let Some(end) = text.rfind(" (os error ")
    {
        text.truncate(end);
    }
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        // An abbreviation keeps its capitals.
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            let rest = &text[first.len_utf8()..];
            format!("{}{rest}", first.to_lowercase())
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_a_system_error_without_its_number() {
        let text = |errno: Errno| describe(&errno.into()).to_string();
        assert_eq!(text(Errno::CONNREFUSED), "connection refused");
        assert_eq!(text(Errno::NOENT), "no such file or directory");
        assert_eq!(describe(&io::Error::other("RPC is down")).to_string(), "RPC is down");
        assert_eq!(describe(&io::Error::other("")).to_string(), "");
    }

    #[test]
    fn knows_what_may_work_later() {
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOSPC, Errno::DQUOT] {
            assert!(is_exhaustion(&errno.into()), "{errno}");
        }
        assert!(!is_exhaustion(&Errno::NOENT.into()));
        assert!(!is_exhaustion(&io::Error::other("no number")));
    }
}
