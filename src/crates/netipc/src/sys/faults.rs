//! What system errors mean for people.

use std::{fmt, io};

/// The error as it stands within a sentence: lower case, without its number and full stop.
pub(crate) fn describe(cause: &io::Error) -> impl fmt::Display {
    let mut text = cause.to_string();
    if cause.raw_os_error().is_some()
        && let Some(end) = text.rfind(" (os error ")
    {
        text.truncate(end);
    }
    // Windows ends its sentences.
    if text.ends_with('.') {
        text.pop();
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
        let not_found = io::Error::from_raw_os_error(2);
        let text = describe(&not_found).to_string();
        let with_number = not_found.to_string();
        assert!(with_number.contains("(os error 2)"), "{with_number}");
        assert_eq!(text[1..], with_number[1..text.len()]);
        assert!(text.starts_with(char::is_lowercase) && !text.ends_with('.'), "{text}");
        for (said, expected) in [
            ("Connection refused (by the peer)", "connection refused (by the peer)"),
            ("All instances are busy.", "all instances are busy"),
            ("RPC is down", "RPC is down"),
            ("", ""),
        ] {
            assert_eq!(describe(&io::Error::other(said)).to_string(), expected);
        }
    }
}
