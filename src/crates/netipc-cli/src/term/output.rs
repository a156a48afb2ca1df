//! Standard output: data and nothing else.

use std::{
    fmt,
    io::{self, BufWriter, IsTerminal, Stdout, Write},
};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use super::table::{Look, Table};
use crate::failure::{Exit, Failure, reason};

/// Why a command ends before its end.
#[derive(Debug)]
pub enum Stop {
    /// It failed.
    Failed(Failure),
    /// Nobody reads what it prints any more, as behind `| head`: no failure.
    OutputClosed,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failed(failure)
    }
}

impl From<io::Error> for Stop {
    /// What writing to standard output fails with.
    fn from(why: io::Error) -> Self {
        match why.kind() {
            io::ErrorKind::BrokenPipe => Stop::OutputClosed,
            _ => {
                let message = format!("write standard output: {}", reason(&why));
                Stop::Failed(Failure::new(Exit::Failed, message))
            }
        }
    }
}

/// Standard output, and how it is to look.
#[derive(Debug)]
pub struct Output {
    writer: BufWriter<Stdout>,
    is_terminal: bool,
    colors: bool,
}

impl Output {
    /// Standard output of this process.
    pub fn new(colors: ColorChoice) -> Self {
        let stdout = io::stdout();
        let colors = match colors {
            ColorChoice::Auto => AutoStream::choice(&stdout) != ColorChoice::Never,
            choice => choice != ColorChoice::Never,
        };
        let is_terminal = stdout.is_terminal();
        Output { writer: BufWriter::with_capacity(64 << 10, stdout), is_terminal, colors }
    }

    /// Whether a person sees it.
    pub fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// How to show tables now: the screen may have changed.
    pub fn look(&self) -> Look {
        let width = self.is_terminal.then(|| size().0);
        Look { width, colors: self.colors }
    }

    /// Prints a line.
    ///
    /// # Errors
    ///
    /// It is closed, or full.
    pub fn line(&mut self, line: impl fmt::Display) -> io::Result<()> {
        writeln!(self.writer, "{line}")
    }

    /// Prints a table.
    ///
    /// # Errors
    ///
    /// It is closed, or full.
    pub fn table(&mut self, table: &Table) -> io::Result<()> {
        let look = self.look();
        table.lines(look).try_for_each(|line| self.line(line))
    }

    /// Prints a value for programs: one line of JSON.
    ///
    /// # Errors
    ///
    /// It is closed, or full.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        // What cannot be written is an error of the writer: the values here all have a form.
        serde_json::to_writer(&mut self.writer, value).map_err(io::Error::from)?;
        self.line("")?;
        self.flush()
    }

    /// Makes sure that everything printed is seen.
    ///
    /// # Errors
    ///
    /// It is closed, or full.
    pub fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Columns and rows of the screen.
pub fn size() -> (usize, usize) {
    const USUAL: (usize, usize) = (80, 24);
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => USUAL,
    }
}

/// Tells a person something on standard error. Nobody there to read it is no reason to fail.
pub fn note(what: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "netipc: {what}");
}
