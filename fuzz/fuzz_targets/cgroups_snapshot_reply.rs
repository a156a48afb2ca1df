//! A reply at a client of the kind cgroups-snapshot.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netipc_fuzz::doors;
use netipc_proto::kinds::CgroupsSnapshot;

fuzz_target!(|bytes: &[u8]| doors::reply::<CgroupsSnapshot>(bytes));
