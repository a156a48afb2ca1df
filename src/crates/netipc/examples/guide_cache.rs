//! Keeps a copy of all cgroups and looks one up in it.
//!
//! `cargo run --example guide_cache -- /tmp cgroups-snapshot 1 nginx`, beside `guide_server`.

use netipc::service::cgroups::{CgroupsCache, ClientConfig};

/// Where a cgroup lies, from a fresh copy.
pub fn path_of(run_dir: &str, service: &str, hash: u32, name: &str) -> Option<String> {
    let config = ClientConfig { auth_token: 0xDEAD_BEEF_CAFE_BABE, ..ClientConfig::default() };
    let cache = CgroupsCache::new(run_dir, service, config);
    // From a timer, in a program that goes on. If it fails the copy before is still there.
    cache.refresh();
    let mut found = None;
    if let Some(item) = cache.lookup(hash, name) {
        println!("{} is at {}", item.name, item.path);
        found = Some(item.path);
    }
    cache.close();
    found
}

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [run_dir, service, hash, name] = &args[..] else {
        eprintln!("usage: guide_cache DIRECTORY SERVICE HASH NAME");
        std::process::exit(2);
    };
    let Ok(hash) = hash.parse() else {
        eprintln!("{hash} is no hash: a number below 2^32 is");
        std::process::exit(2);
    };
    if path_of(run_dir, service, hash, name).is_none() {
        eprintln!("{name} is not known");
    }
}
