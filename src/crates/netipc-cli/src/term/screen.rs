//! The whole screen, drawn again and again, and the keys pressed meanwhile.

use std::{
    io::{self, IsTerminal, Write},
    os::fd::{AsFd, OwnedFd},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    termios::{
        InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    },
};

use super::{
    output,
    table::{Cut, shorten},
};
use crate::signals::Signals;

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The time is over.
    Due,
    /// A person or the system wants the end.
    Quit,
    /// The screen is to be drawn again.
    Redraw,
    /// A key was pressed.
    Key(Key),
}

/// The keys that mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "keys are what they are called")]
pub enum Key {
    Up,
    Down,
    PageUp,
    PageDown,
    Home,
    End,
    Letter(u8),
}

/// The screen of a terminal, taken until dropped; then all is as before.
#[derive(Debug)]
pub struct Screen {
    signals: Signals,
    keyboard: Option<Keyboard>,
}

#[derive(Debug)]
struct Keyboard {
    fd: OwnedFd,
    before: Termios,
}

const ENTER: &[u8] = b"\x1b[?1049h\x1b[?25l";
const LEAVE: &[u8] = b"\x1b[?25h\x1b[?1049l";

impl Screen {
    /// Takes the screen. The keyboard too, if standard input is one.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written.
    pub fn take(signals: Signals) -> io::Result<Self> {
        let keyboard = Keyboard::take()?;
        let screen = Screen { signals, keyboard };
        write(ENTER)?;
        Ok(screen)
    }

    /// The signals, which this waits for beside the keys.
    pub fn signals(&self) -> &Signals {
        &self.signals
    }

    /// Shows `lines` and nothing else; what does not fit is cut.
    ///
    /// # Errors
    ///
    /// The terminal cannot be written.
    pub fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let (columns, rows) = output::size();
        // One write of the whole, over what was there: nothing flickers.
        let mut frame = String::from("\x1b[H");
        for (row, line) in lines.iter().take(rows).enumerate() {
            let is_styled = line.contains('\x1b');
            let line = if is_styled { line.clone() } else { shorten(line, columns, Cut::Back) };
            frame.push_str(if row == 0 { "" } else { "\r\n" });
            frame.push_str(&line);
            frame.push_str("\x1b[K");
        }
        frame.push_str("\x1b[J");
        write(frame.as_bytes())
    }

    /// Waits for a key, a signal, or until `due`.
    ///
    /// # Errors
    ///
    /// What the system reports when it cannot wait at all.
    pub fn wait(&mut self, due: Instant) -> io::Result<Event> {
        loop {
            if self.signals.has_ended() {
                return Ok(Event::Quit);
            }
            if self.signals.take_resize() {
                return Ok(Event::Redraw);
            }
            if let Some(event) = self.keyboard.as_ref().and_then(Keyboard::pressed) {
                return Ok(event);
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Event::Due);
            }
            let mut fds = vec![
                PollFd::new(self.signals.end(), PollFlags::IN),
                PollFd::new(self.signals.resize(), PollFlags::IN),
            ];
            fds.extend(self.keyboard.iter().map(|keys| PollFd::new(&keys.fd, PollFlags::IN)));
            match poll(&mut fds, Timespec::try_from(left).ok().as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(why) => return Err(why.into()),
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that went away needs no restoring.
        let _ = write(LEAVE);
    }
}

impl Keyboard {
    /// Reads keys as they are pressed, unseen; `None` if standard input is no keyboard.
    fn take() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let fd = stdin.as_fd().try_clone_to_owned()?;
        let before = tcgetattr(&fd)?;
        let mut keys = before.clone();
        // Signals stay, so that Ctrl-C works even if this program does not.
        keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        keys.input_modes.remove(InputModes::IXON);
        keys.special_codes[SpecialCodeIndex::VMIN] = 0;
        keys.special_codes[SpecialCodeIndex::VTIME] = 0;
        // A stop would leave the terminal to the shell as it is now.
        keys.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(&fd, OptionalActions::Now, &keys)?;
        Ok(Some(Keyboard { fd, before }))
    }

    /// The key pressed since the last time, if any.
    fn pressed(&self) -> Option<Event> {
        let mut ready = [PollFd::new(&self.fd, PollFlags::IN)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut ready, Some(&now)) != Ok(1) {
            return None;
        }
        let mut keys = [0; 16];
        match rustix::io::read(&self.fd, &mut keys) {
            Ok(read) if read > 0 => meaning(&keys[..read]),
            // Readable and at its end, or broken: the terminal was closed.
            _ => Some(Event::Quit),
        }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        // A terminal that went away needs no restoring.
        let _ = tcsetattr(&self.fd, OptionalActions::Now, &self.before);
    }
}

fn meaning(keys: &[u8]) -> Option<Event> {
    Some(match keys {
        b"q" | b"Q" | b"\x03" | b"\x04" => Event::Quit,
        b"\x1b[A" | b"\x1bOA" | b"k" => Event::Key(Key::Up),
        b"\x1b[B" | b"\x1bOB" | b"j" => Event::Key(Key::Down),
        b"\x1b[5~" | b"b" => Event::Key(Key::PageUp),
        b"\x1b[6~" | b" " => Event::Key(Key::PageDown),
        b"\x1b[H" | b"\x1b[1~" | b"g" => Event::Key(Key::Home),
        b"\x1b[F" | b"\x1b[4~" | b"G" => Event::Key(Key::End),
        [letter @ b'!'..=b'~'] => Event::Key(Key::Letter(*letter)),
        _ => return None,
    })
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_people_expect() {
        assert_eq!(meaning(b"q"), Some(Event::Quit));
        assert_eq!(meaning(b"\x1b[A"), Some(Event::Key(Key::Up)));
        assert_eq!(meaning(b"x"), Some(Event::Key(Key::Letter(b'x'))));
        assert_eq!(meaning(b"\x1b[200~pasted"), None);
    }
}
