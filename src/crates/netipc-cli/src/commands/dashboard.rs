//! How a followed service looks on a screen.

use std::time::Duration;

use netipc::ClientState;

use crate::{
    follow::View,
    rows,
    term::{
        screen::Key,
        style::{self, paint},
        table::{Cut, Look, shorten},
    },
};

/// How things stand, in a line.
pub fn state_line(view: &View, look: Look) -> String {
    let width = look.width.unwrap_or(usize::MAX);
    let (word, style) = match view.state {
        _ if view.fresh => ("live", style::GOOD),
        ClientState::NotFound => ("no provider", style::BAD),
        ClientState::AuthFailed => ("wrong token", style::BAD),
        ClientState::Incompatible => ("incompatible", style::BAD),
        ClientState::Ready | ClientState::Connecting => ("connected", style::ODD),
        _ if view.tally == (0, 0) => ("connecting", style::ODD),
        _ => ("provider lost", style::BAD),
    };
    let carrier = view.carrier.map(|carrier| {
        let over = rows::carrier_words(carrier);
        if view.fresh { format!("over {over}") } else { format!("was over {over}") }
    });
    let took = view.refreshes.took.map(|took| format!("snapshot in {}", rows::time(took)));
    let kept = (!view.fresh && view.age.is_some())
        .then(|| format!("showing what was known {} ago", age(view.age.unwrap_or_default())));
    let facts = [
        carrier,
        kept,
        view.generation.map(|generation| format!("generation {generation}")),
        Some(rows::count(view.rows.len(), "cgroup")),
        took.filter(|_| view.fresh),
        (view.reconnects > 0).then(|| rows::count(view.reconnects as usize, "reconnect")),
    ];
    let facts: Vec<_> = facts.into_iter().flatten().collect();
    let plain = format!("● {word}  {}", facts.join(" · "));
    let plain = shorten(&plain, width, Cut::Back);
    let mark = format!("● {word}");
    match plain.strip_prefix(&mark) {
        Some(rest) => format!("{}{rest}", paint(&mark, style, look.colors)),
        None => plain,
    }
}

/// A span of time in whole seconds, or tenths of one.
fn age(age: Duration) -> String {
    if age < Duration::from_secs(10) {
        format!("{:.1} s", age.as_secs_f64())
    } else {
        format!("{} s", age.as_secs())
    }
}

/// Which part of a long list is seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scroll {
    top: usize,
}

impl Scroll {
    /// Moves as `key` says, through `len` rows of which `page` are seen at once.
    pub fn go(&mut self, key: Key, len: usize, page: usize) {
        self.top = match key {
            Key::Up => self.top.saturating_sub(1),
            Key::Down => self.top + 1,
            Key::PageUp => self.top.saturating_sub(page),
            Key::PageDown => self.top + page,
            Key::Home => 0,
            Key::End => len,
            Key::Letter(_) => self.top,
        };
        self.top = self.top.min(len.saturating_sub(page));
    }
}

/// The cgroups as a table of at most `height` lines, with a last one that tells what is not seen.
///
/// Without a `scroll` nobody can move to those.
pub fn table_lines(
    view: &View,
    scroll: Option<&mut Scroll>,
    look: Look,
    height: usize,
) -> Vec<String> {
    if view.rows.is_empty() || height < 3 {
        return Vec::new();
    }
    let page = height - 2;
    let len = view.rows.len();
    let moves = scroll.is_some();
    let top = scroll.map_or(0, |scroll| {
        scroll.top = scroll.top.min(len.saturating_sub(page));
        scroll.top
    });
    let seen = &view.rows[top..len.min(top + page)];
    let mut lines: Vec<_> = rows::snapshot_table(seen).lines(look).collect();
    let (above, below) = (top, len - top - seen.len());
    if above + below > 0 {
        let text = match moves {
            true => format!("{above} above, {below} below: ↑ ↓ PgUp PgDn Home End"),
            false => format!("… and {below} more"),
        };
        let text = shorten(&text, look.width.unwrap_or(usize::MAX), Cut::Back);
        lines.push(paint(&text, style::FAINT, look.colors));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use netipc::transport::Carrier;

    use crate::follow::Refreshes;

    const LOOK: Look = Look { width: Some(200), colors: false };

    fn view(rows: usize) -> View {
        let row = |number: usize| rows::SnapshotRow {
            name: format!("cgroup_{number}").into_bytes(),
            path: Vec::new(),
            hash: 0,
            options: 0,
            enabled: 1,
        };
        View {
            rows: (0..rows).map(row).collect(),
            generation: Some(7),
            fresh: true,
            age: Some(Duration::from_millis(300)),
            state: ClientState::Ready,
            reconnects: 0,
            carrier: Some(Carrier::SharedMemory),
            error: None,
            refreshes: Refreshes { count: 1, took: Some(Duration::from_micros(84)) },
            tally: (1, 0),
        }
    }

    #[test]
    fn says_how_things_stand() {
        assert_eq!(
            state_line(&view(2), LOOK),
            "● live  over shared memory · generation 7 · 2 cgroups · snapshot in 84.0 µs"
        );
        let lost = View { fresh: false, state: ClientState::NotFound, reconnects: 1, ..view(2) };
        assert_eq!(
            state_line(&lost, LOOK),
            "● no provider  was over shared memory · showing what was known 0.3 s ago · \
             generation 7 · 2 cgroups · 1 reconnect"
        );
    }

    #[test]
    fn a_long_list_is_seen_in_parts() {
        let (view, mut scroll) = (view(100), Scroll::default());
        let lines = table_lines(&view, Some(&mut scroll), LOOK, 12);
        assert_eq!((lines.len(), lines[11].starts_with("0 above, 90 below")), (12, true));
        scroll.go(Key::End, 100, 10);
        let lines = table_lines(&view, Some(&mut scroll), LOOK, 12);
        assert!(lines[10].contains("cgroup_99") && lines[11].starts_with("90 above, 0 below"));
        scroll.go(Key::PageUp, 100, 10);
        scroll.go(Key::Down, 100, 10);
        assert!(table_lines(&view, Some(&mut scroll), LOOK, 12)[1].contains("cgroup_81"));
        scroll.go(Key::Home, 100, 10);
        assert!(table_lines(&view, Some(&mut scroll), LOOK, 12)[1].contains("cgroup_0"));
        assert_eq!(table_lines(&view, None, LOOK, 12)[11], "… and 90 more");
    }
}
