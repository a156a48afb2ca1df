//! When to look again and when to sleep: the one policy of waiting, for every carrier.
//!
//! Who sleeps is woken late, by 3 µs on the same CPU and by tens of µs on another; who looks again
//! and again is there at once, but takes a CPU, maybe the very one that the awaited side needs. Which
//! of the two is better depends on where the scheduler put the sides and on how fast they answer.
//! Nobody can be asked, so a [`Spinner`] learns it from what happens:
//!
//! - It sleeps, until waits have been short for a while. Long ones (who waits is idle, or work comes
//!   slowly) do not count: they never lead to a look.
//! - Then it tries for some waits in a row. In a row, because the other side may be asleep: it takes
//!   a few prompt messages until the other side finds that looking pays for it as well.
//! - It goes on looking while that takes little time on average, well below the price of a sleep,
//!   counting the time of those waits that looking did not end. Where the other side can be looking
//!   as well, since this one is seldom away for long, looking spares both a sleep in each turn, and
//!   may take as long as being woken.
//! - When that is over it sleeps again. The longer the attempts were in vain, the longer it is until
//!   the next; if sleeps become shorter than they were, the other side has begun to look, and
//!   the next attempt comes soon.
//!
//! All of it is arithmetic on times that are handed in; only [`Spinner::look`] and
//! [`Spinner::wake`] read a clock.

use std::{
    hint, mem,
    time::{Duration, Instant},
};

/// How a side of a session waits for messages.
///
/// ```
/// use std::time::Duration;
/// use netipc::{SessionOptions, Spin};
///
/// // On a machine whose CPUs are all needed for something else.
/// let frugal = SessionOptions { spin: Spin::Off, ..SessionOptions::default() };
/// // A little, where that pays.
/// let limited = Spin::AtMost(Duration::from_micros(10));
/// # let _ = (frugal, limited);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// Looks for the next message again and again before it sleeps, while that pays: if the peer
    /// runs on another CPU and answers within some microseconds. It finds out by itself.
    #[default]
    Adaptive,
    /// Sleeps until a message comes.
    Off,
    /// As [`Adaptive`](Spin::Adaptive), but looks no longer than this before a sleep.
    AtMost(Duration),
}

/// The longest look before a sleep. It covers the time in which a peer that sleeps is woken and
/// answers, so one sleep of one side does not put the other to sleep as well.
const LONGEST: u64 = 75_000;
/// What looking may take on average: less than a sleep and the two switches of it cost.
const WORTH: u64 = 10_000;
/// What it may take if the other side can be looking as well: what a wake-up from another CPU takes
/// at most. No longer may this side be away on average, from one message to the wait for the next,
/// for that to be so: the other waits as long. Who calls at a pace is away for longer.
const MUTUAL: u64 = 40_000;
/// What is taken for the average before there is one.
const PRESUMED: u64 = 4_000;
/// So many waits make an average.
const MEMORY: u64 = 16;
/// So many looks in vain, one after the other, are enough.
const IN_VAIN: u32 = 2;
/// A longer wait says nothing about how fast the peer answers.
const LONG_WAIT: u64 = 100_000;
/// Short waits before the first attempt: a session of a few calls is not worth one.
const FIRST_PAUSE: u32 = 64;
/// Short waits between an attempt that had success, until something came in between, and the next.
const SHORT_PAUSE: u32 = 8;
/// The most short waits between two attempts.
const LONGEST_PAUSE: u32 = 8192;
/// What part of the way is the least, however much shorter sleeps have become.
const LEAST_PART: u32 = 4;
/// On a way at least so long one of so many sleeps is timed, and stands for the others: two looks at
/// the clock are a hundredth of a call.
const LONG_PAUSE: u32 = 1024;
const SAMPLE: u32 = 8;
/// Who was looking for so many messages did so with success.
const SUCCESS: u32 = 256;
/// So many first looks that found nothing make the next look seem too early, but for one in so many.
const EARLY: u32 = 16;
const SELDOM: u32 = 16;
/// Looks without asking the clock.
const QUICK_LOOKS: u32 = 16;

/// Decides for one waiting side of one session. Times are in nanoseconds.
#[derive(Debug)]
pub(crate) struct Spinner {
    longest: u64,
    mode: Mode,
    /// Short waits between the last attempt and the next.
    pause: u32,
    /// How long short sleeps take of late, on average, and what that was at most since the last
    /// attempt.
    sleeps: u64,
    longest_sleeps: u64,
    /// Since when it sleeps, if that is timed. `None` if it looked before: how long that sleep is
    /// says nothing.
    asleep: Option<Instant>,
    is_timed: bool,
    /// So many sleeps come before the next that is timed.
    untimed: u32,
    has_looked: bool,
    /// How long this side is away on average between two waits, and since when it is, if that is
    /// known.
    away: u64,
    left: Option<Instant>,
    /// How many first looks in a row found nothing.
    too_early: u32,
}

#[derive(Debug)]
enum Mode {
    Sleeping { short_waits: u32 },
    Looking { average: u64, found: u32, in_vain: u32 },
}

impl Default for Spinner {
    fn default() -> Self {
        Spinner::new(Spin::default())
    }
}

impl Spinner {
    pub(crate) fn new(spin: Spin) -> Self {
        Spinner {
            longest: match spin {
                Spin::Adaptive => LONGEST,
                Spin::Off => 0,
                Spin::AtMost(most) => nanos(most).min(LONGEST),
            },
            mode: Mode::Sleeping { short_waits: 0 },
            pause: FIRST_PAUSE,
            sleeps: 0,
            longest_sleeps: 0,
            asleep: None,
            is_timed: false,
            untimed: 0,
            has_looked: false,
            away: 0,
            left: None,
            too_early: 0,
        }
    }

    /// Whether looking again pays now.
    pub(crate) fn pays(&self) -> bool {
        matches!(self.mode, Mode::Looking { .. })
    }

    /// Whether there may be something at once, or looking on pays. Now and then it says so without
    /// a reason, to find out.
    pub(crate) fn is_worth_a_look(&mut self) -> bool {
        let is_worth =
            self.pays() || self.too_early < EARLY || self.too_early.is_multiple_of(SELDOM);
        if !is_worth {
            self.too_early = self.too_early.wrapping_add(1);
        }
        is_worth
    }

    /// Looks, more than once if that pays and as long as `may_go_on`, which is asked now and then.
    /// `None`: it is time to sleep.
    ///
    /// # Errors
    ///
    /// What `look` says.
    pub(crate) fn look<T, E>(
        &mut self,
        mut look: impl FnMut() -> Result<Option<T>, E>,
        may_go_on: impl FnMut() -> bool,
    ) -> Result<Option<T>, E> {
        let first = look()?;
        if !self.pays_to_go_on(first.is_some()) {
            return Ok(first);
        }
        self.go_on(look, may_go_on)
    }

    /// The first look of a [`look`](Self::look) has found something or not. Whether it pays to
    /// [go on](Self::go_on).
    pub(crate) fn pays_to_go_on(&mut self, has_found: bool) -> bool {
        if has_found {
            (self.too_early, self.left) = (0, None);
            return false;
        }
        self.too_early = self.too_early.wrapping_add(1);
        self.pays()
    }

    /// What follows the first look of a [`look`](Self::look).
    ///
    /// # Errors
    ///
    /// What `look` says.
    pub(crate) fn go_on<T, E>(
        &mut self,
        mut look: impl FnMut() -> Result<Option<T>, E>,
        mut may_go_on: impl FnMut() -> bool,
    ) -> Result<Option<T>, E> {
        let mut begun = None;
        loop {
            for _ in 0..QUICK_LOOKS {
                hint::spin_loop();
                if let Some(found) = look()? {
                    let now = begun.map(|_| Instant::now());
                    let looked = now.zip(begun).map_or(0, |(now, begun)| nanos(now - begun));
                    self.left = now;
                    self.looked(looked, true);
                    return Ok(Some(found));
                }
            }
            let now = Instant::now();
            let begun = *begun.get_or_insert_with(|| {
                self.came_back(now);
                now
            });
            let looked = nanos(now - begun);
            if looked >= self.longest || !may_go_on() {
                // What is awaited may be the very reason not to go on.
                let last = look()?;
                self.looked(looked, last.is_some());
                return Ok(last);
            }
        }
    }

    /// It sleeps, from what is `now` on.
    pub(crate) fn lie_down(&mut self, now: impl FnOnce() -> Instant) {
        let says_something = !mem::take(&mut self.has_looked);
        self.is_timed = self.longest > 0 && self.is_its_turn();
        self.asleep = None;
        if self.is_timed || self.left.is_some() {
            let now = now();
            self.came_back(now);
            self.asleep = (self.is_timed && says_something).then_some(now);
        }
    }

    /// Whether the next sleep is to be timed.
    fn is_its_turn(&mut self) -> bool {
        let is_its_turn = self.untimed == 0;
        self.untimed = if is_its_turn { self.stands_for() } else { self.untimed } - 1;
        is_its_turn
    }

    /// How many sleeps one that is timed stands for.
    fn stands_for(&self) -> u32 {
        if self.pays() || self.pause < LONG_PAUSE { 1 } else { SAMPLE }
    }

    /// A message has ended the sleep.
    pub(crate) fn wake(&mut self) {
        if !mem::take(&mut self.is_timed) {
            return;
        }
        let now = Instant::now();
        self.left = Some(now);
        if let Some(asleep) = self.asleep.take() {
            self.slept(nanos(now - asleep));
        }
    }

    /// It waits again since `now`.
    fn came_back(&mut self, now: Instant) {
        if let Some(left) = self.left.take() {
            self.was_away(nanos(now - left));
        }
    }

    /// So long it was before this side waited again.
    fn was_away(&mut self, nanos: u64) {
        self.away = mean(self.away, nanos.min(LONG_WAIT));
    }

    /// Looking took so long, and was in vain or not.
    fn looked(&mut self, nanos: u64, found: bool) {
        let Mode::Looking { average, found: messages, in_vain } = &mut self.mode else { return };
        self.has_looked = !found;
        // The thread may have been held up: what it found late it did not find by looking.
        let found = found && nanos <= self.longest;
        let nanos = nanos.min(self.longest);
        *average = mean(*average, nanos);
        (*messages, *in_vain) = if found { (*messages + 1, 0) } else { (*messages, *in_vain + 1) };
        let most = if self.away <= MUTUAL { MUTUAL } else { WORTH };
        if *average <= most && *in_vain < IN_VAIN {
            return;
        }
        self.pause = match *messages {
            SUCCESS.. => SHORT_PAUSE,
            _ => (self.pause * 2).min(LONGEST_PAUSE),
        };
        (self.sleeps, self.longest_sleeps) = (0, 0);
        self.mode = Mode::Sleeping { short_waits: 0 };
    }

    /// A sleep took so long until there was a message.
    fn slept(&mut self, nanos: u64) {
        let sleeps = self.stands_for();
        let Mode::Sleeping { short_waits } = &mut self.mode else { return };
        if nanos > LONG_WAIT {
            return;
        }
        self.sleeps = if self.sleeps == 0 { nanos } else { (self.sleeps * 3 + nanos) / 4 };
        self.longest_sleeps = self.longest_sleeps.max(self.sleeps);
        *short_waits += sleeps;
        let shorter = self.sleeps < self.longest_sleeps / 8 * 7;
        let soon = (self.pause / LEAST_PART).max(FIRST_PAUSE);
        let due = if shorter { soon.min(self.pause) } else { self.pause };
        if *short_waits >= due {
            // If the first look is in vain it is the last.
            let in_vain = IN_VAIN - 1;
            self.mode = Mode::Looking { average: PRESUMED, found: 0, in_vain };
            self.untimed = 0;
        }
    }
}

/// An average over some waits, with one more.
fn mean(average: u64, nanos: u64) -> u64 {
    (average * (MEMORY - 1) + nanos) / MEMORY
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
