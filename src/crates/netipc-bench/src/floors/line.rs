//! A ping-pong of 40-byte messages in shared memory: one cache line for each direction.
//!
//! The message lies beside its sequence number, so a call moves two cache lines and no more.
//! The manner of waiting is what differs:
//!
//! | `waiting=` | receiver | sender |
//! |---|---|---|
//! | `spin` | looks again and again | only writes |
//! | `wake` | looks again and again | also makes the futex call, though nobody sleeps |
//! | `flag` | looks for a while, then raises a flag and sleeps | makes the futex call if the flag is up |
//! | `block` | sleeps at once | always makes the futex call |

use std::{
    hint,
    sync::atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
        fence,
    },
};

use anyhow::{Context, Result, ensure};
use rustix::{io::Errno, thread::futex};

use super::MESSAGE;
use crate::{
    peer::{Case, exit_when_the_driver_leaves, say},
    sys::{Line, SharedLines},
    task::Waiting,
};

type Message = [u64; MESSAGE / 8];

/// How often `flag` looks before it sleeps.
const LOOKS: u32 = 128;

pub(crate) fn serve(case: &Case<'_>) -> Result<()> {
    let lines = SharedLines::create(&case.path("lines"), 2)?;
    exit_when_the_driver_leaves();
    say("READY")?;
    let waiting = case.task.waiting;
    let mut sequence = 0u32;
    loop {
        sequence = sequence.wrapping_add(1);
        let message = take(&lines[0], sequence, waiting)?;
        put(&lines[1], sequence, &message, waiting)?;
    }
}

pub(crate) fn call(case: &Case<'_>) -> Result<()> {
    let lines = SharedLines::open(&case.path("lines"), 2)?;
    let waiting = case.task.waiting;
    let mut sequence = 0u32;
    case.measure(
        1,
        vec![move || {
            sequence = sequence.wrapping_add(1);
            let message = [u64::from(sequence); MESSAGE / 8];
            put(&lines[0], sequence, &message, waiting)?;
            ensure!(take(&lines[1], sequence, waiting)? == message, "a message came back changed");
            Ok(())
        }],
    )
}

fn put(line: &Line, sequence: u32, message: &Message, waiting: Waiting) -> Result<()> {
    for (word, value) in line.message.iter().zip(message) {
        word.store(*value, Relaxed);
    }
    // Publishes the message; pairs with the Acquire in `take`.
    line.sequence.store(sequence, Release);
    let ring = match waiting {
        Waiting::Spin => false,
        Waiting::Wake | Waiting::Block => true,
        Waiting::Flag => {
            // Either this load sees the flag, or the receiver's last look sees the sequence:
            // pairs with the fence in `take`.
            fence(SeqCst);
            line.waiter.load(Relaxed) != 0
        }
    };
    if ring {
        futex::wake(&line.sequence, futex::Flags::empty(), 1).context("ring the futex")?;
    }
    Ok(())
}

fn take(line: &Line, sequence: u32, waiting: Waiting) -> Result<Message> {
    let arrived = || line.sequence.load(Acquire) == sequence;
    match waiting {
        Waiting::Spin | Waiting::Wake => {
            while !arrived() {
                hint::spin_loop();
            }
        }
        Waiting::Block => {
            while !arrived() {
                sleep(line, sequence)?;
            }
        }
        Waiting::Flag => {
            let looked = (0..LOOKS).any(|_| {
                hint::spin_loop();
                arrived()
            });
            if !looked {
                line.waiter.store(1, Relaxed);
                fence(SeqCst);
                while !arrived() {
                    sleep(line, sequence)?;
                }
                line.waiter.store(0, Relaxed);
            }
        }
    }
    Ok(line.message.each_ref().map(|word: &AtomicU64| word.load(Relaxed)))
}

/// Sleeps unless message `sequence` is there already.
fn sleep(line: &Line, sequence: u32) -> Result<()> {
    match futex::wait(&line.sequence, futex::Flags::empty(), sequence.wrapping_sub(1), None) {
        Ok(()) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("sleep on the futex"),
    }
}
