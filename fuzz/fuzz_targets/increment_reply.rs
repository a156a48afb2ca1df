//! A reply at a client of the kind increment.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netipc_fuzz::doors;
use netipc_proto::kinds::Increment;

fuzz_target!(|bytes: &[u8]| doors::reply::<Increment>(bytes));
