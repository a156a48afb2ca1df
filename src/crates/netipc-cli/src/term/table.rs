//! Tables for people: columns under titles, no wider than the screen.

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{escape, style};

/// How a column gives way on a narrow screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It does not.
    Never,
    /// What it ends with is worth more: `…/nginx.service`.
    Front,
    /// What it begins with is worth more: `a long na…`.
    Back,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    right: bool,
    cut: Cut,
}

impl Column {
    /// A column of words.
    pub const fn left(title: &'static str) -> Self {
        Column { title, right: false, cut: Cut::Never }
    }

    /// A column of numbers.
    pub const fn right(title: &'static str) -> Self {
        Column { title, right: true, cut: Cut::Never }
    }

    /// The same column, giving way on a narrow screen.
    pub const fn cut(self, cut: Cut) -> Self {
        Column { cut, ..self }
    }
}

/// What stands in one place of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// Bytes of any kind, made safe; a dash for none.
    pub fn bytes(bytes: &[u8]) -> Self {
        if bytes.is_empty() { "-".into() } else { escape::bytes(bytes).into() }
    }

    /// The same in a style.
    pub fn styled(self, style: Style) -> Self {
        Cell { style, ..self }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell { text: text.into(), style: style::PLAIN }
    }
}

/// Rows under titles.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

/// How to show it.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The columns of the screen; `None` where there is none to fit.
    pub width: Option<usize>,
    /// Whether styles are shown.
    pub colors: bool,
}

const GAP: usize = 2;
/// A column is cut no shorter than this.
const NARROWEST: usize = 8;

impl Table {
    /// A table without rows.
    pub fn new(columns: impl Into<Vec<Column>>) -> Self {
        Table { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row: one cell for each column.
    pub fn push(&mut self, row: impl Into<Vec<Cell>>) {
        let row = row.into();
        debug_assert_eq!(row.len(), self.columns.len());
        self.rows.push(row);
    }

    /// The titles, and then a line for each row.
    pub fn lines(&self, look: Look) -> impl Iterator<Item = String> {
        let widths = self.widths(look.width);
        let titles: Vec<_> = self
            .columns
            .iter()
            .map(|column| Cell::from(column.title).styled(style::TITLE))
            .collect();
        let first = self.line(&titles, &widths, look.colors);
        let rest = self.rows.iter().map(move |row| self.line(row, &widths, look.colors));
        std::iter::once(first).chain(rest)
    }

    /// How wide each column is, so that all fit if that is possible.
    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let widest = |(index, column): (usize, &Column)| {
            let cells = self.rows.iter().map(|row| row[index].text.width());
            cells.max().unwrap_or(0).max(column.title.width())
        };
        let mut widths: Vec<_> = self.columns.iter().enumerate().map(widest).collect();
        let gaps = GAP * self.columns.len().saturating_sub(1);
        let Some(room) = limit.map(|limit| limit.saturating_sub(gaps)) else { return widths };
        // The widest of those that give way does so first.
        loop {
            let excess = widths.iter().sum::<usize>().saturating_sub(room);
            let mut flexible: Vec<_> = (0..widths.len())
                .filter(|&index| self.columns[index].cut != Cut::Never && widths[index] > NARROWEST)
                .collect();
            flexible.sort_by_key(|&index| std::cmp::Reverse(widths[index]));
            let (Some(&first), true) = (flexible.first(), excess > 0) else { return widths };
            let next = flexible.get(1).map_or(NARROWEST, |&index| widths[index] - 1);
            let least = next.min(widths[first] - 1).max(NARROWEST);
            widths[first] -= excess.min(widths[first] - least);
        }
    }

    fn line(&self, cells: &[Cell], widths: &[usize], colors: bool) -> String {
        let mut line = String::new();
        for (index, (cell, column)) in cells.iter().zip(&self.columns).enumerate() {
            let text = shorten(&cell.text, widths[index], column.cut);
            let space = " ".repeat(widths[index].saturating_sub(text.width()));
            let painted = style::paint(&text, cell.style, colors);
            let is_last = index + 1 == self.columns.len();
            match (column.right, is_last) {
                (true, _) => line.extend([space, painted]),
                (false, true) => line.push_str(&painted),
                (false, false) => line.extend([painted, space]),
            }
            if !is_last {
                line.push_str(&" ".repeat(GAP));
            }
        }
        line
    }
}

/// `text` in at most `width` columns of the screen.
pub fn shorten(text: &str, width: usize, cut: Cut) -> String {
    if text.width() <= width || cut == Cut::Never {
        return text.to_owned();
    }
    let room = width.saturating_sub(1);
    let mut used = 0;
    let mut fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= room
    };
    if cut == Cut::Back {
        text.chars().take_while(|c| fits(c)).chain(['…']).collect()
    } else {
        let tail: Vec<_> = text.chars().rev().take_while(|c| fits(c)).collect();
        std::iter::once('…').chain(tail.into_iter().rev()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: Look = Look { width: None, colors: false };

    fn table() -> Table {
        let columns = [
            Column::left("NAME").cut(Cut::Back),
            Column::right("PID"),
            Column::left("PATH").cut(Cut::Front),
        ];
        let mut table = Table::new(columns);
        table.push([
            Cell::bytes(b"nginx").styled(style::GOOD),
            "7".into(),
            "/system.slice/nginx.service".into(),
        ]);
        table.push([Cell::bytes("漢字\n".as_bytes()), "12345".into(), Cell::bytes(b"")]);
        table
    }

    fn shown(look: Look) -> Vec<String> {
        table().lines(look).collect()
    }

    #[test]
    fn columns_stand_under_their_titles() {
        assert_eq!(
            shown(WIDE),
            [
                "NAME      PID  PATH",
                "nginx       7  /system.slice/nginx.service",
                "漢字\\n  12345  -",
            ]
        );
    }

    #[test]
    fn a_narrow_screen_cuts_what_gives_way() {
        let lines = shown(Look { width: Some(30), ..WIDE });
        assert_eq!(lines[1], "nginx       7  …/nginx.service");
        assert!(lines.iter().all(|line| line.width() <= 30), "{lines:#?}");
        let lines = shown(Look { width: Some(1), ..WIDE });
        assert_eq!(lines[1], "nginx       7  …service");
    }

    #[test]
    fn styles_take_no_room() {
        let lines = shown(Look { colors: true, ..WIDE });
        assert!(lines[1].starts_with("\x1b[32mnginx\x1b[0m       7"), "{:?}", lines[1]);
    }

    #[test]
    fn wide_characters_are_cut_whole() {
        assert_eq!(shorten("漢字漢字", 4, Cut::Back), "漢…");
        assert_eq!(shorten("漢字漢字", 4, Cut::Front), "…字");
        assert_eq!(shorten("漢字", 4, Cut::Back), "漢字");
        assert_eq!(shorten("abc", 0, Cut::Back), "…");
    }
}
