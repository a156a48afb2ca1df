//! The one notion of waiting: until when, and who may call it off.

use std::time::{Duration, Instant};

use crate::{
    error::{Error, ErrorKind, Result},
    sys::Abort,
};

/// How long to wait, and who may call it off.
///
/// Everything in this crate that can wait takes one of these. It is made once per call, so that
/// connecting, sending, every part of a message and every retry share one deadline.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    deadline: Option<Instant>,
    abort: Option<&'a Abort>,
}

impl<'a> Wait<'a> {
    /// Waits for as long as it takes.
    pub const FOREVER: Wait<'static> = Wait { deadline: None, abort: None };

    /// Waits for `timeout` from now on.
    pub fn at_most(timeout: Duration) -> Wait<'static> {
        Self::at_most_from(Instant::now(), timeout)
    }

    /// As [`at_most`](Self::at_most), for who has just asked what time it is.
    pub(crate) fn at_most_from(now: Instant, timeout: Duration) -> Wait<'static> {
        Wait { deadline: now.checked_add(timeout), abort: None }
    }

    /// Waits until `deadline`.
    pub fn until(deadline: Instant) -> Wait<'static> {
        Wait { deadline: Some(deadline), abort: None }
    }

    /// The same wait, ended as well when `abort` is set.
    pub fn or<'b>(self, abort: &'b Abort) -> Wait<'b> {
        Wait { deadline: self.deadline, abort: Some(abort) }
    }

    /// The same wait, but no longer than `limit` from now on.
    pub fn capped(self, limit: Duration) -> Wait<'a> {
        let capped = Instant::now().checked_add(limit);
        let deadline = match (self.deadline, capped) {
            (Some(own), Some(other)) => Some(own.min(other)),
            (own, other) => own.or(other),
        };
        Wait { deadline, ..self }
    }

    /// When the wait ends by itself.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Who may call the wait off.
    pub fn abort(&self) -> Option<&'a Abort> {
        self.abort
    }

    /// How long there is left to wait; `None` for ever.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Aborted`] when it was called off, [`ErrorKind::TimedOut`] when the time is over.
    pub fn remaining(&self) -> Result<Option<Duration>> {
        self.remaining_at(Instant::now())
    }

    /// As [`remaining`](Self::remaining), for who has just asked what time it is.
    pub(crate) fn remaining_at(&self, now: Instant) -> Result<Option<Duration>> {
        self.check_abort()?;
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.checked_duration_since(now) {
            Some(left) if !left.is_zero() => Ok(Some(left)),
            _ => Err(Error::from(ErrorKind::TimedOut)),
        }
    }

    /// [`ErrorKind::Aborted`] when it was called off.
    pub(crate) fn check_abort(&self) -> Result<()> {
        match self.abort {
            Some(abort) if abort.is_set() => Err(ErrorKind::Aborted.into()),
            _ => Ok(()),
        }
    }
}
