//! Asks a provider for all cgroups, once.
//!
//! `cargo run --example guide_client -- /tmp cgroups-snapshot`, beside the example `guide_server`.

use netipc::{
    protocol::PROFILE_BASELINE,
    service::cgroups::{CgroupsClient, ClientConfig},
};

/// What a client asks for. Whatever is left out has its usual value.
pub fn config() -> ClientConfig {
    ClientConfig {
        supported_profiles: PROFILE_BASELINE,
        max_request_batch_items: 1,
        max_response_payload_bytes: 65536,
        auth_token: 0xDEAD_BEEF_CAFE_BABE,
        ..ClientConfig::default()
    }
}

/// Prints each cgroup and says how many there are. `None` if there is no provider, which is no
/// reason to give up: the next refresh may find one.
pub fn show(run_dir: &str, service: &str) -> Option<u32> {
    let mut client = CgroupsClient::new(run_dir, service, config());
    client.refresh();
    let mut count = None;
    if client.ready() {
        match client.call_snapshot() {
            Ok(view) => {
                for i in 0..view.item_count {
                    let Ok(item) = view.item(i) else { continue };
                    println!("{}: {:?} at {:?}", item.hash, item.name.as_str(), item.path);
                }
                count = Some(view.item_count);
            }
            Err(e) => eprintln!("call failed: {e:?}"),
        }
    }
    client.close();
    count
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(run_dir), Some(service)) = (args.next(), args.next()) else {
        eprintln!("usage: guide_client DIRECTORY SERVICE");
        std::process::exit(2);
    };
    if show(&run_dir, &service).is_none() {
        eprintln!("no snapshot: is there a provider of {service} in {run_dir}?");
    }
}
