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
    let all = i32::MAX.unsigned_abs();
    // The peer cannot reach a sleeper on this word.
    wake(rung, Flags::PRIVATE, all);
    // All: the peer might have put sleepers of its own before ours.
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

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::{
        shm::{Place, Shared, Taken},
        testing::{part, run_child, scratch},
    };

    #[test]
    fn a_sleep_on_a_word_that_has_moved_ends_at_once() {
        let (signal, rung) = (AtomicU32::new(1), AtomicU32::new(1));
        sleep(&signal, &rung, Armed { signal: 0, rung: 1 }, None);
        sleep(&signal, &rung, Armed { signal: 1, rung: 0 }, None);
        sleep_on_one(&signal, Armed { signal: 0, rung: 1 }, None);
    }

    #[test]
    fn a_sleep_on_one_word_never_lasts_for_ever() {
        let begun = Instant::now();
        sleep_on_one(&AtomicU32::new(1), Armed { signal: 1, rung: 1 }, None);
        assert!(begun.elapsed() >= WITHOUT_SECOND_WORD);
    }

    #[test]
    fn sessions_work_where_a_filter_knows_one_word_only() {
        if part().is_none() {
            run_child!(sessions_work_where_a_filter_knows_one_word_only, "alone");
            return;
        }
        refuse_futex_waitv();
        let dir = scratch();
        let mut server = Shared::create(&Place::new(dir.path(), "x", 1), 64, 64).unwrap();
        let mut client = Shared::attach(&Place::new(dir.path(), "x", 1)).unwrap();
        server.set_spins(0);
        client.set_spins(0);
        let bell = server.bell();
        let begun = Instant::now();
        thread::scope(|scope| {
            let serving = scope.spawn(move || {
                while let Taken::Message(1) = server.take(64, None).unwrap() {
                    server.publish(b"y", b"").unwrap();
                }
            });
            for _ in 0..1000 {
                client.publish(b"x", b"").unwrap();
                assert_eq!(client.take(64, None), Ok(Taken::Message(1)));
            }
            bell.ring();
            serving.join().unwrap();
        });
        assert!(ONE_WORD_ONLY.load(Relaxed), "the filter is there");
        let bell = client.bell();
        for _ in 0..20 {
            thread::scope(|scope| {
                let waiting = scope.spawn(|| client.take(64, None));
                thread::yield_now();
                bell.ring();
                assert_eq!(waiting.join().unwrap(), Ok(Taken::Rung));
            });
        }
        assert!(begun.elapsed() < WITHOUT_SECOND_WORD * 10, "it is wake-ups that end the sleeps");
        let until = Instant::now() + Duration::from_millis(20);
        assert_eq!(client.take(64, Some(until)), Ok(Taken::TimedOut));
        assert!(Instant::now() >= until);
    }

    /// Makes the system call fail in this process as it does under older container managers.
    fn refuse_futex_waitv() {
        let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
        let refusal = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
        let mut steps = [
            // The number of the call is what the kernel shows first.
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, libc::SYS_futex_waitv as u32),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, refusal),
            step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
        // SAFETY: the program and its steps outlive the calls; the process is the test's own.
        unsafe {
            let [no, yes]: [libc::c_ulong; 2] = [0, 1];
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, yes, no, no, no), 0);
            let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program), 0);
        }
    }
}
