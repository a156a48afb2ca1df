//! A reply at a client of the kind apps-lookup.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netipc_fuzz::doors;
use netipc_proto::kinds::AppsLookup;

fuzz_target!(|bytes: &[u8]| doors::reply::<AppsLookup>(bytes));
