//! Provides what is known of two cgroups and their processes, and looks it up.
//!
//! `cargo run --example guide_lookups -- /tmp`

use std::{sync::Arc, thread};

use netipc::{
    protocol::{
        APPS_CGROUP_KNOWN, CGROUP_LOOKUP_KNOWN, CGROUP_LOOKUP_UNKNOWN_PERMANENT, NIPC_UID_UNSET,
        ORCHESTRATOR_DOCKER, PID_LOOKUP_KNOWN, PID_LOOKUP_UNKNOWN,
    },
    service::{apps_lookup, cgroups_lookup},
};

const WEB: &[u8] = b"/docker/web";

/// A provider of `cgroups-lookup`, which knows one cgroup.
pub fn cgroups(run_dir: &str) -> cgroups_lookup::ManagedServer {
    let handler = cgroups_lookup::Handler {
        handle: Some(Box::new(|request, builder| {
            builder.set_generation(7);
            for i in 0..request.item_count {
                let Ok(path) = request.item(i) else { return false };
                let added = if path == WEB {
                    let labels: &[(&[u8], &[u8])] = &[(b"image", b"nginx")];
                    builder.add(CGROUP_LOOKUP_KNOWN, ORCHESTRATOR_DOCKER, path, b"web", labels)
                } else {
                    builder.add(CGROUP_LOOKUP_UNKNOWN_PERMANENT, 0, path, b"", &[])
                };
                // What does not fit is left out, and asked for again by the client.
                if added.is_err() {
                    return false;
                }
            }
            true
        })),
    };
    let config = cgroups_lookup::ServerConfig::default();
    cgroups_lookup::ManagedServer::with_workers(run_dir, "cgroups-lookup", config, handler, 2)
}

/// A provider of `apps-lookup`, which knows one process.
pub fn apps(run_dir: &str) -> apps_lookup::ManagedServer {
    let handler = apps_lookup::Handler {
        handle: Some(Box::new(|request, builder| {
            for i in 0..request.item_count {
                let Ok(pid) = request.item(i) else { return false };
                let (known, unknown) = (PID_LOOKUP_KNOWN, PID_LOOKUP_UNKNOWN);
                let (cgroup, docker) = (APPS_CGROUP_KNOWN, ORCHESTRATOR_DOCKER);
                let added = if pid == 42 {
                    builder.add(known, cgroup, docker, pid, 1, 33, 9, b"nginx", WEB, b"web", &[])
                } else {
                    let uid = NIPC_UID_UNSET;
                    builder.add(unknown, 0, 0, pid, 0, uid, 0, b"", b"", b"", &[])
                };
                if added.is_err() {
                    return false;
                }
            }
            true
        })),
    };
    let config = apps_lookup::ServerConfig::default();
    apps_lookup::ManagedServer::new(run_dir, "apps-lookup", config, handler)
}

/// Looks up cgroups by their paths and prints what is known. `None` if nobody provides it.
pub fn look_up_cgroups(run_dir: &str, paths: &[&[u8]]) -> Option<Vec<String>> {
    let config = cgroups_lookup::ClientConfig {
        max_logical_lookup_items: 1000,
        ..cgroups_lookup::ClientConfig::default()
    };
    let mut client = cgroups_lookup::CgroupsLookupClient::new(run_dir, "cgroups-lookup", config);
    client.refresh();
    let mut found = None;
    match client.call_with_timeout(paths, 5000) {
        Ok(view) => {
            let mut lines = Vec::new();
            for i in 0..view.item_count {
                let Ok(item) = view.item(i) else { continue };
                let mut line = format!("{}: status {}, {}", item.path, item.status, item.name);
                for at in 0..item.label_count.into() {
                    let Ok(label) = item.label(at) else { continue };
                    line = format!("{line}, {}={}", label.key, label.value);
                }
                lines.push(line);
            }
            found = Some(lines);
        }
        Err(e) => eprintln!("lookup failed: {e:?}"),
    }
    client.close();
    found
}

/// Looks up processes by their PIDs and prints what is known. `None` if nobody provides it.
pub fn look_up_apps(run_dir: &str, pids: &[u32]) -> Option<Vec<String>> {
    let config = apps_lookup::ClientConfig::default();
    let mut client = apps_lookup::AppsLookupClient::new(run_dir, "apps-lookup", config);
    // Another thread may end a call with it that takes too long.
    let _abort: apps_lookup::ClientAbortHandle = client.abort_handle();
    client.refresh();
    let mut found = None;
    match client.call(pids) {
        Ok(view) => {
            let mut lines = Vec::new();
            for i in 0..view.item_count {
                let Ok(item) = view.item(i) else { continue };
                let (pid, comm, cgroup) = (item.pid, item.comm, item.cgroup_path);
                lines.push(format!("{pid}: status {}, {comm} in {cgroup}", item.status));
            }
            found = Some(lines);
        }
        Err(e) => eprintln!("lookup failed: {e:?}"),
    }
    client.close();
    found
}

fn main() {
    let Some(run_dir) = std::env::args().nth(1) else {
        eprintln!("usage: guide_lookups DIRECTORY");
        std::process::exit(2);
    };
    let (cgroups, apps) = (Arc::new(cgroups(&run_dir)), Arc::new(apps(&run_dir)));
    let running = {
        let (cgroups, apps) = (Arc::clone(&cgroups), Arc::clone(&apps));
        [thread::spawn(move || cgroups.run()), thread::spawn(move || apps.run())]
    };
    // Providers that listen a moment later are found by a later refresh.
    let found = loop {
        let found =
            (look_up_cgroups(&run_dir, &[WEB, b"/none"]), look_up_apps(&run_dir, &[42, 43]));
        match found {
            (Some(cgroups), Some(apps)) => break [cgroups, apps].concat(),
            _ if running.iter().any(thread::JoinHandle::is_finished) => break Vec::new(),
            _ => thread::yield_now(),
        }
    };
    found.iter().for_each(|line| println!("{line}"));
    cgroups.stop();
    apps.stop();
    for server in running {
        if let Ok(Err(error)) = server.join() {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
