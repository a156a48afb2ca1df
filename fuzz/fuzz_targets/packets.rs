//! Packets of a session, joined into messages.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netipc_fuzz::doors;

fuzz_target!(|bytes: &[u8]| doors::packets(bytes));
