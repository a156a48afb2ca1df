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
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Waking a sleeper on another CPU, and on the same.
    const FAR: u64 = 15_000;
    const NEAR: u64 = 2_500;
    /// What a side does between two messages, if it is awake.
    const WORK: u64 = 1_000;
    /// Work of sides that do much for a message, and more than one machine's price of a wake-up.
    const LOADS: [(u64, u64); 6] = [
        (WORK, FAR),
        (WORK, 2 * FAR),
        (10 * WORK, FAR),
        (10 * WORK, 2 * FAR),
        (35 * WORK, FAR),
        (35 * WORK, 2 * FAR),
    ];

    /// One wait for a message that comes after `nanos`, and `wake` later if the waiter sleeps. How
    /// long was looked.
    fn wait(spinner: &mut Spinner, nanos: u64, wake: u64) -> u64 {
        if !spinner.pays() {
            if spinner.is_its_turn() {
                spinner.slept(nanos + wake);
            }
            return 0;
        }
        let found = nanos <= spinner.longest;
        let looked = nanos.min(spinner.longest);
        spinner.looked(looked, found);
        looked
    }

    /// One call between two CPUs: who sleeps is late.
    fn call_across(client: &mut Spinner, server: &mut Spinner) {
        exchange(client, server, (WORK, FAR));
    }

    /// As [`call_across`], with so much work on both sides, and `far` to wake one.
    fn exchange(client: &mut Spinner, server: &mut Spinner, (work, far): (u64, u64)) {
        let late = |other: &Spinner| if other.pays() { work } else { work + far };
        let (answer, request) = (late(server), late(client));
        wait(client, answer, far);
        wait(server, request, far);
        client.was_away(work);
        server.was_away(work);
    }

    /// One wait for somebody who cannot run while this side looks.
    fn wait_on_one_cpu(spinner: &mut Spinner) -> u64 {
        let longest = spinner.longest;
        match spinner.pays() {
            true => wait(spinner, longest + WORK, NEAR),
            false => wait(spinner, WORK, NEAR),
        }
    }

    fn spinner() -> Spinner {
        Spinner::default()
    }

    #[test]
    fn both_sides_find_out_that_looking_pays_between_two_cpus() {
        for load in LOADS {
            let (mut client, mut server) = (spinner(), spinner());
            for _ in 0..FIRST_PAUSE {
                exchange(&mut client, &mut server, load);
            }
            for _ in 0..10_000 {
                exchange(&mut client, &mut server, load);
                assert!(client.pays() && server.pays(), "{load:?}");
            }
        }
    }

    #[test]
    fn a_side_that_had_given_up_notices_that_the_other_looks() {
        for load in LOADS {
            let (mut client, mut server) = (spinner(), spinner());
            // One side after the other waits for somebody on its own CPU, and grows tired.
            for _ in 0..100_000 {
                wait_on_one_cpu(&mut client);
                wait_on_one_cpu(&mut server);
                client.was_away(load.0);
                server.was_away(load.0);
            }
            assert_eq!((client.pause, server.pause), (LONGEST_PAUSE, LONGEST_PAUSE));
            // Their attempts fall far apart.
            for _ in 0..500 {
                exchange(&mut client, &mut Spinner::new(Spin::Off), load);
            }
            let mut calls = 0;
            while !(client.pays() && server.pays()) {
                exchange(&mut client, &mut server, load);
                calls += 1;
                assert!(calls <= 2 * LONGEST_PAUSE, "they never met: {load:?}");
            }
            for _ in 0..10_000 {
                exchange(&mut client, &mut server, load);
                assert!(client.pays() && server.pays(), "{load:?}");
            }
        }
    }

    #[test]
    fn calls_at_a_pace_are_slept_for() {
        const PERIOD: u64 = 100_000;
        let (mut client, mut server) = (spinner(), spinner());
        let mut looked = 0;
        for _ in 0..100_000 {
            let answer = if server.pays() { WORK } else { WORK + FAR };
            looked += wait(&mut client, answer, FAR);
            client.was_away(PERIOD - answer);
            looked += wait(&mut server, PERIOD - WORK, 0);
            server.was_away(WORK);
        }
        assert!(looked > 0, "they try now and then");
        assert!(looked < 100_000 * PERIOD / 200, "{looked} ns of looking");
    }

    #[test]
    fn one_sleep_of_one_side_does_not_end_it() {
        let (mut client, mut server) = (spinner(), spinner());
        for _ in 0..1000 {
            call_across(&mut client, &mut server);
        }
        for _ in 0..1000 {
            // The server was held up once: longer than anybody looks.
            wait(&mut client, LONGEST + FAR, FAR);
            wait(&mut server, WORK + FAR, FAR);
            for _ in 0..50 {
                call_across(&mut client, &mut server);
            }
            assert!(client.pays() && server.pays());
        }
    }

    #[test]
    fn on_one_cpu_next_to_nothing_is_lost() {
        let mut spinner = spinner();
        let looked: u64 = (0..100_000).map(|_| wait_on_one_cpu(&mut spinner)).sum();
        assert!(looked > 0, "it tries now and then");
        let slept = 100_000 * (WORK + NEAR);
        assert!(looked * 100 < slept, "{looked} ns of looking");
    }

    #[test]
    fn stops_at_once_when_the_other_side_moves_to_this_cpu() {
        let (mut client, mut server) = (spinner(), spinner());
        for _ in 0..10_000 {
            call_across(&mut client, &mut server);
        }
        let looked: u64 = (0..SHORT_PAUSE).map(|_| wait_on_one_cpu(&mut client)).sum();
        assert_eq!(looked, u64::from(IN_VAIN) * LONGEST);
    }

    #[test]
    fn who_waits_long_never_looks() {
        let mut spinner = spinner();
        for _ in 0..100_000 {
            assert_eq!(wait(&mut spinner, 10 * LONG_WAIT, FAR), 0);
        }
    }

    #[test]
    fn when_messages_stay_away_it_looks_once_more_and_sleeps() {
        let (mut client, mut server) = (spinner(), spinner());
        for _ in 0..1000 {
            call_across(&mut client, &mut server);
        }
        let looked: u64 = (0..1000).map(|_| wait(&mut server, 1_000_000, FAR)).sum();
        assert_eq!(looked, u64::from(IN_VAIN) * LONGEST);
    }

    #[test]
    fn a_slow_answer_is_slept_for() {
        let looked = |nanos, away| {
            let mut spinner = spinner();
            let looks = (0..100_000).map(|_| {
                spinner.was_away(away);
                wait(&mut spinner, nanos, FAR)
            });
            let looked = looks.filter(|&nanos| nanos > 0).count();
            (looked < 2_000, looked > 80_000)
        };
        let (slept_for, looked_for) = ((true, false), (false, true));
        assert_eq!(looked(WORTH / 2, 2 * MUTUAL), looked_for);
        assert_eq!(looked(WORTH * 2, 2 * MUTUAL), slept_for);
        // Where the other side can be looking as well, less is slow.
        assert_eq!(looked(WORTH * 2, MUTUAL / 2), looked_for);
        assert_eq!(looked(MUTUAL * 3 / 2, MUTUAL / 2), slept_for);
    }

    #[test]
    fn knows_how_long_it_is_away() {
        let mut spinner = spinner();
        let begun = Instant::now();
        let after = |micros| begun + Duration::from_micros(micros);
        spinner.left = Some(begun);
        spinner.lie_down(|| after(32));
        assert_eq!(spinner.away, 2_000);
        // Since when it was away now is not known: nothing has ended the sleep.
        spinner.lie_down(|| after(1000));
        assert_eq!(spinner.away, 2_000);
        spinner.wake();
        assert!(spinner.left.is_some());
        // Long is long.
        spinner.left = Some(begun);
        spinner.lie_down(|| after(1_000_000));
        assert_eq!(spinner.away, mean(2_000, LONG_WAIT));
        // What is there at once is found without a clock.
        spinner.left = Some(begun);
        assert_eq!(spinner.look(|| Ok::<_, Infallible>(Some(())), || true), Ok(Some(())));
        assert_eq!(spinner.left, None);
    }

    #[test]
    fn can_be_switched_off_and_capped() {
        let mut off = Spinner::new(Spin::Off);
        let mut capped = Spinner::new(Spin::AtMost(Duration::from_micros(4)));
        for _ in 0..10_000 {
            assert_eq!(wait(&mut off, WORK, FAR), 0);
            assert!(wait(&mut capped, WORK, FAR) <= 4_000);
        }
        assert!(capped.pays(), "it pays below the cap");
        let looked: u64 = (0..10_000).map(|_| wait(&mut capped, 5_000, FAR)).sum();
        assert!(looked < 10_000 * 5_000 / 100, "and not above: {looked} ns of looking");
        let most = Spinner::new(Spin::AtMost(Duration::MAX));
        assert_eq!(most.longest, LONGEST);
    }

    #[test]
    fn what_is_found_late_was_not_found_by_looking() {
        let mut spinner = spinner();
        for _ in 0..FIRST_PAUSE {
            wait(&mut spinner, WORK, NEAR);
        }
        assert!(spinner.pays());
        // The other side had its turn when this one was preempted.
        spinner.looked(4_000_000, true);
        spinner.looked(4_000_000, true);
        assert!(!spinner.pays());
    }

    #[test]
    fn a_first_look_that_always_comes_too_early_becomes_rare() {
        let mut spinner = Spinner::new(Spin::Off);
        let nothing = || Ok::<Option<()>, Infallible>(None);
        let mut looks = 0;
        for _ in 0..1600 {
            if spinner.is_worth_a_look() {
                looks += 1;
                assert_eq!(spinner.look(nothing, || true), Ok(None));
            }
        }
        assert!((50..150).contains(&looks), "{looks}");
        while !spinner.is_worth_a_look() {}
        assert_eq!(spinner.look(|| Ok::<_, Infallible>(Some(())), || true), Ok(Some(())));
        assert!(spinner.is_worth_a_look(), "it was not too early after all");
    }

    #[test]
    fn looks_once_while_it_does_not_pay_and_until_told_to_stop_while_it_does() {
        let mut spinner = spinner();
        let mut looks = 0;
        let mut count = || {
            looks += 1;
            Ok::<Option<u32>, Infallible>(None)
        };
        assert_eq!(spinner.look(&mut count, || true), Ok(None));
        assert_eq!(looks, 1);
        spinner.mode = Mode::Looking { average: 0, found: 0, in_vain: 0 };
        let mut looks = 0;
        let mut third = || {
            looks += 1;
            Ok::<_, Infallible>((looks == 3).then_some(looks))
        };
        assert_eq!(spinner.look(&mut third, || true), Ok(Some(3)));
        let mut looks = 0;
        let mut count = || {
            looks += 1;
            Ok::<Option<u32>, Infallible>(None)
        };
        assert_eq!(spinner.look(&mut count, || false), Ok(None));
        assert_eq!(looks, 1 + QUICK_LOOKS + 1, "once more after it was told");
        assert_eq!(spinner.look(|| Err::<Option<()>, _>("broken"), || true), Err("broken"));
    }
}
