//! A peer that has the memory of a session over rings, against a live end of it.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use netipc_fuzz::rings::Hall;

static HALL: OnceLock<Hall> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| HALL.get_or_init(Hall::new).rings(bytes));
