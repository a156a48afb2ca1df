//! A HELLO at a server.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netipc_fuzz::doors;

fuzz_target!(|bytes: &[u8]| doors::hello(bytes));
