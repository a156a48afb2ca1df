//! Provides two cgroups to whoever asks, until it is ended.
//!
//! `cargo run --example guide_server -- /tmp cgroups-snapshot`

use netipc::{
    protocol::CgroupsItemView,
    service::cgroups::{Handler, ManagedServer, ServerConfig},
};

/// A server that is ready to run. It does not listen before.
pub fn provider(run_dir: &str, service: &str) -> ManagedServer {
    let handler = Handler {
        handle: Some(Box::new(|_request, builder| {
            builder.generation = 42;
            builder.systemd_enabled = 1;
            let cgroups = [("nginx", "/system.slice/nginx.service"), ("db", "/docker/db")];
            for ((name, path), hash) in cgroups.into_iter().zip(1..) {
                let (name, path) = (name.into(), path.into());
                let item = CgroupsItemView { hash, options: 0, enabled: 1, name, path };
                if builder.push(&item).is_err() {
                    // The client comes back with room for more.
                    return false;
                }
            }
            true
        })),
        ..Handler::default()
    };
    let config = ServerConfig { auth_token: 0xDEAD_BEEF_CAFE_BABE, ..ServerConfig::default() };
    ManagedServer::new(run_dir, service, config, handler)
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(run_dir), Some(service)) = (args.next(), args.next()) else {
        eprintln!("usage: guide_server DIRECTORY SERVICE");
        std::process::exit(2);
    };
    let server = provider(&run_dir, &service);
    if let Err(error) = server.run() {
        eprintln!("{error}");
        std::process::exit(1);
    }
    // Any thread may have ended `run` so; once it is over this does nothing.
    server.stop();
}
