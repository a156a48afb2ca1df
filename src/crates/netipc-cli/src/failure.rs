//! What went wrong, for people and for the programs that look at the exit code.

use std::{fmt, io, process::ExitCode};

/// The exit codes of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// A call failed, or anything else that has no code of its own.
    Failed = 1,
    /// The command line cannot be understood.
    Usage = 2,
    /// No provider, no run directory, or nothing known of any key.
    NotFound = 3,
    /// The system forbids it.
    Permission = 4,
    /// The provider expects another token.
    Authentication = 5,
    /// Client and provider have no protocol, profile or transport in common.
    Incompatible = 6,
    /// Time is over.
    Timeout = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why the command ends without success.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was tried, on what, and why it failed.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with an exit code and what was tried, on what, why.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Failure { exit, message: message.to_string(), hint: None }
    }

    /// The failure of a system call: `what` was tried and on what.
    pub fn system(what: impl fmt::Display, why: &io::Error) -> Self {
        let exit = match why.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            io::ErrorKind::PermissionDenied => Exit::Permission,
            io::ErrorKind::TimedOut => Exit::Timeout,
            _ => Exit::Failed,
        };
        Failure::new(exit, format_args!("{what}: {}", reason(why)))
    }

    /// The same failure, and what to do about it.
    pub fn hint(self, hint: impl fmt::Display) -> Self {
        Failure { hint: Some(hint.to_string()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n  hint: {hint}"))
    }
}

impl std::error::Error for Failure {}

/// The reason an operating system gives, as the end of a sentence: `permission denied`.
pub fn reason(why: &io::Error) -> String {
    let text = why.to_string();
    let text = text.split_once(" (os error").map_or(&text[..], |(text, _)| text);
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return text.to_owned() };
    // An acronym keeps its capitals.
    let is_word = chars.clone().next().is_none_or(|second| !second.is_uppercase());
    if is_word { first.to_lowercase().chain(chars).collect() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_the_end_of_a_sentence() {
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(reason(&missing), "no such file or directory");
        assert_eq!(reason(&io::Error::other("RPC version wrong")), "RPC version wrong");
        assert_eq!(reason(&io::Error::other("")), "");
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let failure =
            Failure::system("open /run/x", &io::Error::from_raw_os_error(13)).hint("ask its owner");
        assert_eq!(failure.exit, Exit::Permission);
        assert_eq!(failure.to_string(), "open /run/x: permission denied\n  hint: ask its owner");
    }
}
