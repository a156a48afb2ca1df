//! A request at a server of the kind string-reverse.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netipc_fuzz::doors;
use netipc_proto::kinds::StringReverse;

fuzz_target!(|bytes: &[u8]| doors::request::<StringReverse>(bytes));
