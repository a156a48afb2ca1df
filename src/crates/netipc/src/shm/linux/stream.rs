//! Long copies into memory that another CPU reads next, past this CPU's caches.
//!
//! That CPU still has the lines of the message before. To write to them through the caches each has
//! to be taken from there, one after the other, which between distant CPUs costs ten times what
//! reading them costs. Written past the caches they are only dropped there.

use std::arch::x86_64::{_mm_sfence, _mm_stream_si64};

/// Shorter ones stay in the caches, where near CPUs are served faster.
pub(super) const LEAST: usize = 16 << 10;

const WORD: usize = size_of::<i64>();

/// Copies `from` to `to`. What is stored after it is not seen before it.
///
/// # Safety
///
/// `to` is valid for writes of as many bytes, and does not overlap `from`.
pub(super) unsafe fn copy(to: *mut u8, from: &[u8]) {
    let (start, rest) = from.split_at(to.align_offset(WORD).min(from.len()));
    let (words, end) = rest.as_chunks::<WORD>();
    // SAFETY: the three parts lie behind one another and are as long as `from` in all; `words` begins
    // at a multiple of its size. The fence orders them before whatever announces them.
    unsafe {
        to.copy_from_nonoverlapping(start.as_ptr(), start.len());
        let mut at = to.add(start.len()).cast();
        for word in words {
            _mm_stream_si64(at, i64::from_ne_bytes(*word));
            at = at.add(1);
        }
        at.cast::<u8>().copy_from_nonoverlapping(end.as_ptr(), end.len());
        _mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_every_byte_and_no_other() {
        let from: Vec<u8> = (0..200).map(|n| n as u8 | 1).collect();
        for start in 0..9 {
            for length in [0, 1, 7, 8, 9, 63, 64, 65, 150] {
                let mut to = [0; 200];
                // SAFETY: there is room for 150 bytes behind any of these places.
                unsafe { copy(to[start..].as_mut_ptr(), &from[..length]) };
                assert_eq!(to[start..start + length], from[..length]);
                assert!(to[..start].iter().chain(&to[start + length..]).all(|&byte| byte == 0));
            }
        }
    }
}
