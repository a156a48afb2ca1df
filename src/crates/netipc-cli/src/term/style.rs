//! The few styles there are, named after what they mean.

use anstyle::{AnsiColor, Style};

/// Nothing special.
pub const PLAIN: Style = Style::new();
/// Titles.
pub const TITLE: Style = Style::new().bold();
/// As it should be.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Worth a look.
pub const ODD: Style = AnsiColor::Yellow.on_default();
/// Wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// Of no importance.
pub const FAINT: Style = Style::new().dimmed();

/// `text` in `style`, or plain if there are no colours.
pub fn paint(text: &str, style: Style, colors: bool) -> String {
    if colors && !style.is_plain() { format!("{style}{text}{style:#}") } else { text.to_owned() }
}
