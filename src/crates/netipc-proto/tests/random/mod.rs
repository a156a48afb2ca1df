//! Random tests that can be repeated: a failure prints the seed that leads to it.
#![allow(dead_code, unreachable_pub, reason = "each test uses another part")]

use std::env;

/// Runs `test` many times, each time with other random numbers.
///
/// `NETIPC_SEED` repeats the one round of that seed; `NETIPC_ROUNDS` says how many there are.
pub fn rounds(default: u64, test: impl Fn(&mut Random)) {
    let number = |name| {
        let value = env::var(name).ok()?;
        Some(value.parse::<u64>().unwrap_or_else(|why| panic!("{name}={value}: {why}")))
    };
    let (first, count) = match number("NETIPC_SEED") {
        Some(seed) => (seed, 1),
        None => (Random::of_the_day(), number("NETIPC_ROUNDS").unwrap_or(default)),
    };
    for seed in (first..).take(count as usize) {
        let reminder = Reminder(seed);
        test(&mut Random(seed));
        drop(reminder);
    }
}

/// Prints the seed if the test panics.
struct Reminder(u64);

impl Drop for Reminder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat with NETIPC_SEED={}", self.0);
        }
    }
}

/// Random numbers, the same for the same seed (SplitMix64).
pub struct Random(u64);

impl Random {
    /// Another number each time a program asks.
    fn of_the_day() -> u64 {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(0)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, or 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// A number of bits, most often a small one or one at the edge of a type.
    pub fn number(&mut self) -> u64 {
        match self.below(4) {
            0 => self.below(40) as u64,
            1 => self.next() >> self.below(64),
            2 => u64::MAX >> self.below(64),
            _ => (1 << self.below(64)) + self.below(3) as u64,
        }
    }

    /// Fewer than `end` bytes, none of them 0.
    pub fn text(&mut self, end: usize) -> Vec<u8> {
        (0..self.below(end)).map(|_| 1 + self.below(255) as u8).collect()
    }

    /// One of several.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
