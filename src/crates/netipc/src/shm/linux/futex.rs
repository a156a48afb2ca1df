//! Sleeping on words of memory.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    thread::futex::{self, ClockId, Flags, Timespec, Wait, WaitFlags, WaitPtr, WaitvFlags},
    time::clock_gettime,
};

use super::super::{atomic::AtomicU32, lane::Armed};

/// The longest sleep where the kernel watches only one word. That word is in the peer's hands: one
/// that keeps setting it back could otherwise make our own wake-up go unnoticed for ever.
const WITHOUT_SECOND_WORD: Duration = Duration::from_secs(1);

/// Whether this kernel refused to watch two words at once: it is older than 5.16, or a filter of
/// system calls does not know them.
static ONE_WORD_ONLY: AtomicBool = AtomicBool::new(false);

/// Sleeps while `signal`, a word that the peer shares, and `rung`, a word of our own, are both what
/// `armed` says; `until` at the latest. May end earlier.
pub(super) fn sleep(signal: &AtomicU32, rung: &AtomicU32, armed: Armed, until: Option<Instant>) {
    // Relaxed: a thread that does not know yet finds out itself.
    if !ONE_WORD_ONLY.load(Relaxed) {
        match sleep_on_both(signal, rung, armed, until) {
            // Woken, one of the words has moved, the time is over, or a signal came: look again.
            Ok(_) | Err(Errno::AGAIN | Errno::TIMEDOUT | Errno::INTR) => return,
            Err(Errno::NOSYS | Errno::PERM | Errno::ACCESS) => ONE_WORD_ONLY.store(true, Relaxed),
            // Short of memory, this once.
            Err(_) => {}
        }
    }
    sleep_on_one(signal, armed, until);
}

/// Wakes a peer that sleeps on `signal`. Not the private flavour: it is another process.
pub(super) fn wake_one(signal: &AtomicU32) {
    wake(signal, Flags::empty(), 1);
}

/// Wakes our own reader, whichever way it sleeps.
pub(super) fn wake_own(signal: &AtomicU32, rung: &AtomicU32) {
    // All: the peer might have put sleepers of its own before ours.
    let all = i32::MAX.unsigned_abs();
    wake(rung, Flags::PRIVATE, all);
    wake(signal, Flags::empty(), all);
}

fn wake(word: &AtomicU32, flags: Flags, most: u32) {
    // Fails only if the peer has cut the file, and then nobody can sleep on it.
    let _ = futex::wake(word, flags, most);
}

fn sleep_on_both(
    signal: &AtomicU32,
    rung: &AtomicU32,
    armed: Armed,
    until: Option<Instant>,
) -> rustix::io::Result<usize> {
    let word = |word: &AtomicU32, value: u32, flags: WaitFlags| {
        let mut wait = Wait::new();
        wait.val = value.into();
        wait.uaddr = WaitPtr::new(word.as_ptr().cast());
        wait.flags = WaitFlags::SIZE_U32 | flags;
        wait
    };
    let words = [
        word(signal, armed.signal, WaitFlags::empty()),
        word(rung, armed.rung, WaitFlags::PRIVATE),
    ];
    let until = until.map(monotonic);
    futex::waitv(&words, WaitvFlags::empty(), until.as_ref(), ClockId::Monotonic)
}

fn sleep_on_one(signal: &AtomicU32, armed: Armed, until: Option<Instant>) {
    let left = until.map_or(WITHOUT_SECOND_WORD, |until| {
        until.saturating_duration_since(Instant::now()).min(WITHOUT_SECOND_WORD)
    });
    let timeout = Timespec::try_from(left).expect("a second fits");
    // Whatever it says, the reader looks again.
    let _ = futex::wait(signal, Flags::empty(), armed.signal, Some(&timeout));
}

/// The same moment on the kernel's clock.
fn monotonic(at: Instant) -> Timespec {
    let left = at.saturating_duration_since(Instant::now());
    let now = clock_gettime(ClockId::Monotonic);
    // A moment beyond the clock's end is no nearer than its end.
    Timespec::try_from(left)
        .ok()
        .and_then(|left| now.checked_add(left))
        .unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
}
