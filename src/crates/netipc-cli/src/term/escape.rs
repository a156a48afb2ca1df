//! Bytes of any kind as text that is safe on a screen.

use std::{fmt::Write, os::unix::ffi::OsStrExt, path::Path};

/// `bytes` as text: what is no UTF-8, controls the terminal or turns the direction of writing is
/// escaped (`\xff`, `\n`, `\u{202e}`). Backslashes stay as they are: paths of units are full of them.
pub fn bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_unsafe(c) {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// A path as text.
pub fn path(path: &Path) -> String {
    bytes(path.as_os_str().as_bytes())
}

/// Whether a character would do something else than show itself.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_comes_through() {
        let cases: [(&[u8], &str); 7] = [
            (b"plain", "plain"),
            (br"machine-qemu\x2d1", r"machine-qemu\x2d1"),
            (b"\x1b[2J", r"\u{1b}[2J"),
            (b"a\nb\tc\r", r"a\nb\tc\r"),
            (b"\xff\xc3(", r"\xff\xc3("),
            ("größe 漢".as_bytes(), "größe 漢"),
            ("\u{202e}gpj\u{9b}".as_bytes(), r"\u{202e}gpj\u{9b}"),
        ];
        for (input, text) in cases {
            assert_eq!(bytes(input), text);
        }
    }
}
