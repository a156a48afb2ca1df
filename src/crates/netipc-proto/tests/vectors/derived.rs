//! Numbers computed from others.

use netipc_proto::retry::next_power_of_two;

use crate::{
    file::{Vector, number},
    outcome::same,
};

pub(crate) fn next_pow2(vector: &Vector) -> Result<(), String> {
    let rounded = next_power_of_two(number(vector.get("input")));
    same("power", rounded, number::<u32>(vector.get("output")))
}
