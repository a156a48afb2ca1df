//! Replies to the calls of one cgroups-lookup.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netipc_fuzz::doors;

fuzz_target!(|bytes: &[u8]| doors::stitch_cgroups(bytes));
