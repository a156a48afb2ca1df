//! Replies to the calls of one apps-lookup.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netipc_fuzz::doors;

fuzz_target!(|bytes: &[u8]| doors::stitch_apps(bytes));
