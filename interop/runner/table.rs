//! How the matrix looks: cells appear as they are done, in columns that were measured before.

use std::io::{self, Write};

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};

use crate::{cell::Outcome, plan::Section};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const DIM: Style = Style::new().dimmed();
const TITLE: Style = Style::new().bold();
/// The widest word in a cell is FAIL.
const NARROWEST: usize = 4;

/// A table being written.
pub(crate) struct Table {
    out: AutoStream<io::Stdout>,
    names: (usize, usize),
    widths: Vec<usize>,
}

impl Table {
    pub(crate) fn on_stdout() -> Self {
        Table { out: anstream::stdout(), names: (0, 0), widths: Vec::new() }
    }

    /// Starts the part of a transport with its headings.
    pub(crate) fn section(&mut self, section: &Section) -> io::Result<()> {
        let cells = || section.rows.iter().flatten().flatten();
        let widest = |title: &str, names: &mut dyn Iterator<Item = usize>| {
            names.chain([title.len()]).max().unwrap_or_default()
        };
        self.names = (
            widest("client", &mut cells().map(|cell| cell.client.name.len())),
            widest("server", &mut cells().map(|cell| cell.server.name.len())),
        );
        self.widths = section.columns.iter().map(|c| c.title.len().max(NARROWEST)).collect();
        let transport = section.transport.to_string();
        let mut line = format!("{transport:<0$} ", self.names.0 + self.names.1 + 1);
        for (at, column) in section.columns.iter().enumerate() {
            // The title of a group begins above the first of its columns.
            let begins = at == 0 || section.columns[at - 1].group != column.group;
            let start = self.names.0
                + self.names.1
                + 3
                + self.widths[..at].iter().map(|w| w + 1).sum::<usize>();
            if begins && !column.group.is_empty() {
                line = format!("{line:<start$}{}", column.group);
            }
        }
        writeln!(self.out, "{TITLE}{}{TITLE:#}", line.trim_end())?;
        let (client, server) = self.names;
        write!(self.out, "{TITLE}{:<client$} {:<server$} ", "client", "server")?;
        for (column, width) in section.columns.iter().zip(&self.widths) {
            write!(self.out, " {:>width$}", column.title)?;
        }
        writeln!(self.out, "{TITLE:#}")
    }

    pub(crate) fn row(&mut self, client: &str, server: &str) -> io::Result<()> {
        let widths = self.names;
        write!(self.out, "{client:<0$} {server:<1$} ", widths.0, widths.1)?;
        self.out.flush()
    }

    /// The next cell of the row; nothing if there is none.
    pub(crate) fn cell(&mut self, column: usize, outcome: Option<&Outcome>) -> io::Result<()> {
        let width = self.widths[column];
        let (word, style) = match outcome {
            None => ("", Style::new()),
            Some(Outcome::Passed { .. }) => ("ok", GOOD),
            Some(Outcome::NotDone) => ("-", DIM),
            Some(Outcome::Failed { .. }) => ("FAIL", BAD),
        };
        write!(self.out, " {style}{word:>width$}{style:#}")?;
        self.out.flush()
    }

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")
    }

    /// A cell that failed, with all there is to know.
    pub(crate) fn failure(&mut self, name: &str, why: &str, said: &[String]) -> io::Result<()> {
        writeln!(self.out, "\n{BAD}FAIL{BAD:#} {name}\n  {why}")?;
        said.iter().try_for_each(|line| writeln!(self.out, "    {line}"))
    }
}
