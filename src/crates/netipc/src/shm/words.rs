//! Bytes in memory that a peer may write at any time, word by word.
//!
//! Each word is read or written once, in one piece. The order of the words means nothing: what
//! announces a record publishes all of them.

use super::atomic::{AtomicU64, Ordering::Relaxed};

const WORD: usize = size_of::<u64>();

/// Copies `from` into `words`, from byte `at` on, a multiple of 8. What is left of the last word
/// becomes zero.
///
/// # Panics
///
/// If it does not fit.
pub(super) fn fill(words: &[AtomicU64], at: usize, from: &[u8]) {
    let words = &words[at / WORD..][..from.len().div_ceil(WORD)];
    let (whole, rest) = from.as_chunks::<WORD>();
    for (word, bytes) in words.iter().zip(whole) {
        word.store(u64::from_ne_bytes(*bytes), Relaxed);
    }
    if !rest.is_empty() {
        let mut bytes = [0; WORD];
        bytes[..rest.len()].copy_from_slice(rest);
        words[whole.len()].store(u64::from_ne_bytes(bytes), Relaxed);
    }
}

/// Copies bytes out of `words`, from byte `at` on, a multiple of 8, until `into` is full.
///
/// # Panics
///
/// If there are not so many.
pub(super) fn copy(words: &[AtomicU64], at: usize, into: &mut [u8]) {
    let words = &words[at / WORD..][..into.len().div_ceil(WORD)];
    let (whole, rest) = into.as_chunks_mut::<WORD>();
    for (word, bytes) in words.iter().zip(&mut *whole) {
        *bytes = word.load(Relaxed).to_ne_bytes();
    }
    if !rest.is_empty() {
        let bytes = words[whole.len()].load(Relaxed).to_ne_bytes();
        rest.copy_from_slice(&bytes[..rest.len()]);
    }
}
