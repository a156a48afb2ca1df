//! Copying `items` bytes in and out of a buffer, there and back: four copies for a call.
//!
//! What a message costs that is put into shared memory by one side and copied out by the other.

use std::hint::black_box;

use anyhow::Result;

use crate::peer::Case;

pub(crate) fn call(case: &Case<'_>) -> Result<()> {
    let len = case.task.items;
    let (mut ours, mut shared, mut theirs) = (vec![1u8; len], vec![2u8; len], vec![3u8; len]);
    case.measure(
        1,
        vec![move || {
            shared.copy_from_slice(black_box(&ours));
            theirs.copy_from_slice(black_box(&shared));
            shared.copy_from_slice(black_box(&theirs));
            ours.copy_from_slice(black_box(&shared));
            Ok(())
        }],
    )
}
