//! What a server does at times that no socket tells of.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{greeting::HANDSHAKE, sys::Alarm};

/// Between two attempts to accept when the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Knows what is due when. It runs only while something is, so an idle server is not woken.
#[derive(Debug)]
pub(super) struct Clock {
    alarm: Alarm,
    due: Mutex<Due>,
}

#[derive(Debug, Default)]
struct Due {
    /// Until when those who have not agreed on a session must have. The first is the next: tokens
    /// ascend.
    greetings: BTreeMap<u64, Instant>,
    accept: Option<Instant>,
    /// What the alarm is set to. It may be too early, but not too late.
    alarm: Option<Instant>,
}

/// What it is time for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Overdue {
    /// Who has not agreed on a session in time.
    pub(super) greetings: Vec<u64>,
    /// Accepting again.
    pub(super) accept: bool,
}

impl Clock {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Clock { alarm: Alarm::new()?, due: Mutex::default() })
    }

    /// A client has until then to agree on a session.
    pub(super) fn expect_greeting(&self, token: u64) {
        let mut due = self.lock();
        due.greetings.insert(token, Instant::now() + HANDSHAKE);
        self.reset(due);
    }

    /// A client has agreed, or is gone. Whether nobody was told that it is overdue.
    pub(super) fn greeted(&self, token: u64) -> bool {
        let mut due = self.lock();
        let in_time = due.greetings.remove(&token).is_some();
        self.reset(due);
        in_time
    }

    /// Accepting failed and is to be tried again.
    pub(super) fn accept_later(&self) {
        let mut due = self.lock();
        due.accept = Some(Instant::now() + ACCEPT_PAUSE);
        self.reset(due);
    }

    /// When something is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.lock().next()
    }

    /// Blocks until something may be due. `false`: it was stopped.
    pub(super) fn wait(&self) -> bool {
        let rang = self.alarm.wait();
        if rang {
            self.lock().alarm = None;
        }
        rang
    }

    /// What is due by `now`, once.
    pub(super) fn take_overdue(&self, now: Instant) -> Overdue {
        let mut due = self.lock();
        let mut overdue = Overdue::default();
        while let Some(first) = due.greetings.first_entry().filter(|first| *first.get() <= now) {
            overdue.greetings.push(first.remove_entry().0);
        }
        overdue.accept = due.accept.take_if(|at| *at <= now).is_some();
        self.reset(due);
        overdue
    }

    /// Ends every wait, now and from now on.
    pub(super) fn stop(&self) {
        self.alarm.turn_off();
    }

    /// Sets the alarm if it would go off too late, or for nothing.
    fn reset(&self, mut due: MutexGuard<'_, Due>) {
        let next = due.next();
        let fits = match (due.alarm, next) {
            (Some(set), Some(next)) => set <= next,
            (set, next) => set == next,
        };
        if !fits {
            due.alarm = next;
            self.alarm.set(next);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Due {
    fn next(&self) -> Option<Instant> {
        let greeting = self.greetings.values().next().copied();
        greeting.into_iter().chain(self.accept).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_once_what_is_overdue_and_who_was_in_time() {
        let clock = Clock::new().unwrap();
        let begun = Instant::now();
        for token in [1, 2, 3] {
            clock.expect_greeting(token);
        }
        assert!(clock.greeted(2));
        assert_eq!(clock.take_overdue(begun), Overdue::default());
        let overdue = clock.take_overdue(Instant::now() + HANDSHAKE);
        assert_eq!(overdue, Overdue { greetings: vec![1, 3], accept: false });
        assert!(!clock.greeted(1), "it was called overdue");
        assert_eq!(clock.take_overdue(Instant::now() + HANDSHAKE), Overdue::default());
        assert_eq!(clock.next(), None);
    }

    #[test]
    fn goes_off_when_something_is_due_and_can_be_stopped() {
        let clock = Clock::new().unwrap();
        let begun = Instant::now();
        // What is due later must not hide what is due first.
        clock.expect_greeting(1);
        clock.accept_later();
        assert!(clock.wait());
        assert!(begun.elapsed() >= ACCEPT_PAUSE);
        assert_eq!(
            clock.take_overdue(Instant::now()),
            Overdue { greetings: Vec::new(), accept: true }
        );
        clock.stop();
        assert!(!clock.wait());
    }

    #[test]
    fn runs_only_while_something_is_due() {
        let clock = Clock::new().unwrap();
        clock.expect_greeting(1);
        clock.expect_greeting(2);
        let first = clock.lock().alarm;
        assert!(clock.greeted(1));
        assert_eq!(clock.lock().alarm, first, "set again for each client");
        assert!(clock.greeted(2));
        assert_eq!(clock.lock().alarm, None);
    }
}
