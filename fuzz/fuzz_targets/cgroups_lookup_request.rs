//! A request at a server of the kind cgroups-lookup.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netipc_fuzz::doors;
use netipc_proto::kinds::CgroupsLookup;

fuzz_target!(|bytes: &[u8]| doors::request::<CgroupsLookup>(bytes));
