//! The programs of the getting-started guide: the examples against each other, and their shapes.
#![allow(clippy::unwrap_used)]

mod common;

#[path = "../examples/guide_cache.rs"]
#[allow(dead_code, unreachable_pub)]
mod guide_cache;
#[path = "../examples/guide_client.rs"]
#[allow(dead_code, unreachable_pub)]
mod guide_client;
#[path = "../examples/guide_lookups.rs"]
#[allow(dead_code, unreachable_pub)]
mod guide_lookups;
#[path = "../examples/guide_server.rs"]
#[allow(dead_code, unreachable_pub)]
mod guide_server;

use std::{sync::Arc, thread, time::Duration};

use common::{Dir, await_that};
use netipc::{ErrorKind, service::cgroups::ClientState};

#[test]
fn the_examples_understand_each_other() {
    let dir = Dir::new();
    let run_dir = dir.to_str().unwrap();
    assert_eq!(guide_client::show(run_dir, "cgroups-snapshot"), None);
    assert_eq!(guide_cache::path_of(run_dir, "cgroups-snapshot", 1, "nginx"), None);

    let server = Arc::new(guide_server::provider(run_dir, "cgroups-snapshot"));
    assert!(dir.entries().is_empty(), "it listens when it runs");
    let running = {
        let server = Arc::clone(&server);
        thread::spawn(move || server.run().unwrap())
    };
    await_that("the socket", || guide_client::show(run_dir, "cgroups-snapshot").is_some());
    assert_eq!(guide_client::show(run_dir, "cgroups-snapshot"), Some(2));
    let nginx = guide_cache::path_of(run_dir, "cgroups-snapshot", 1, "nginx");
    assert_eq!(nginx.as_deref(), Some("/system.slice/nginx.service"));
    assert_eq!(guide_cache::path_of(run_dir, "cgroups-snapshot", 2, "nginx"), None);
    assert_eq!(guide_cache::path_of(run_dir, "cgroups-snapshot", 1, "db"), None);
    assert!(server.drain(Duration::from_secs(5)));
    running.join().unwrap();
    server.stop();
    assert!(dir.entries().is_empty());
}

#[test]
fn the_example_of_lookups_finds_what_its_providers_know() {
    let dir = Dir::new();
    let run_dir = dir.to_str().unwrap();
    assert_eq!(guide_lookups::look_up_cgroups(run_dir, &[b"/docker/web"]), None);
    let (cgroups, apps) = (guide_lookups::cgroups(run_dir), guide_lookups::apps(run_dir));
    thread::scope(|scope| {
        scope.spawn(|| cgroups.run().unwrap());
        scope.spawn(|| apps.run().unwrap());
        await_that("the providers", || {
            guide_lookups::look_up_cgroups(run_dir, &[]).is_some()
                && guide_lookups::look_up_apps(run_dir, &[]).is_some()
        });
        let found = guide_lookups::look_up_cgroups(run_dir, &[b"/none", b"/docker/web"]).unwrap();
        assert_eq!(found, ["/none: status 2, ", "/docker/web: status 0, web, image=nginx"]);
        let found = guide_lookups::look_up_apps(run_dir, &[42, 43]).unwrap();
        assert_eq!(found, ["42: status 0, nginx in /docker/web", "43: status 1,  in "]);
        cgroups.stop();
        apps.stop();
    });
}

#[test]
fn a_published_server_that_is_stopped_first_does_not_run() {
    let dir = Dir::new();
    let server = guide_server::provider(dir.to_str().unwrap(), "cgroups-snapshot");
    server.stop();
    server.run().unwrap();
    assert!(server.drain(Duration::ZERO));
    assert!(dir.entries().is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_published_server_tells_why_it_cannot_listen() {
    let server = guide_server::provider("/nowhere/at/all", "cgroups-snapshot");
    assert_eq!(server.run().unwrap_err().kind(), ErrorKind::NotFound);
}

/// The guide's fragments as they stand there: receivers, results that are ignored, borrows that
/// must end.
#[test]
#[allow(unused_mut)]
fn the_shapes_of_the_guide_compile_and_work() {
    use netipc::protocol;
    use netipc::service::cgroups::{
        CgroupsCache, CgroupsClient, ClientConfig, Handler, ManagedServer, ServerConfig,
    };

    let dir = Dir::new();
    let run_dir = dir.to_str().unwrap();
    let config = ClientConfig {
        supported_profiles: protocol::PROFILE_BASELINE,
        max_request_batch_items: 1,
        max_response_payload_bytes: 65536,
        auth_token: 0xDEADBEEFCAFEBABE,
        ..ClientConfig::default()
    };
    let mut client = CgroupsClient::new(run_dir, "cgroups-snapshot", config.clone());
    client.refresh();
    assert!(!client.ready());
    assert_eq!(client.status().state, ClientState::NotFound);

    let handler = Handler {
        handle: Some(Box::new(|req, builder| {
            let _ = req;
            builder.generation = 1;
            true
        })),
        ..Default::default()
    };
    let mut server = ManagedServer::new(
        run_dir,
        "cgroups-snapshot",
        ServerConfig { auth_token: 0xDEADBEEFCAFEBABE, ..Default::default() },
        handler,
    );
    thread::scope(|scope| {
        scope.spawn(|| server.run().unwrap());
        await_that("the provider", || {
            client.refresh();
            client.ready()
        });
        match client.call_snapshot() {
            Ok(view) => {
                for i in 0..view.item_count {
                    let item = view.item(i).unwrap();
                    println!("{} {} {:?}", item.hash, item.name.as_str().unwrap(), item.path);
                }
            }
            Err(e) => panic!("call failed: {:?}", e),
        }
        client.close();

        let mut cache = CgroupsCache::new(run_dir, "cgroups-snapshot", config);
        cache.refresh();
        if let Some(item) = cache.lookup(1, "name") {
            println!("{} {}", item.name, item.path);
        }
        assert!(cache.ready());
        cache.close();
        server.stop();
    });
}

#[test]
fn configurations_of_zeroes_work() {
    use netipc::service::cgroups::{
        CgroupsClient, ClientConfig, Handler, ManagedServer, ServerConfig,
    };
    let zeroes = ClientConfig { supported_profiles: 0, ..ClientConfig::default() };
    let server_zeroes = ServerConfig { supported_profiles: 0, ..ServerConfig::default() };
    let dir = Dir::new();
    let run_dir = dir.to_str().unwrap();
    let handler = Handler::default();
    let server =
        ManagedServer::with_workers(run_dir, "cgroups-snapshot", server_zeroes, handler, 0);
    let mut client = CgroupsClient::new(run_dir, "cgroups-snapshot", zeroes);
    client.set_call_timeout(0);
    thread::scope(|scope| {
        scope.spawn(|| server.run().unwrap());
        await_that("the provider", || {
            client.refresh();
            client.ready()
        });
        // Without a handler nothing is served, which ends no session.
        assert_eq!(client.call_snapshot().unwrap_err().kind(), ErrorKind::Unsupported);
        assert!(client.ready());
        server.stop();
    });
}

#[test]
fn the_lookup_services_have_the_same_shape() {
    use netipc::service::{apps_lookup, cgroups_lookup};
    let dir = Dir::new();
    let run_dir = dir.to_str().unwrap();
    let cgroups = cgroups_lookup::ManagedServer::new(
        run_dir,
        "cgroups-lookup",
        cgroups_lookup::ServerConfig::default(),
        cgroups_lookup::Handler {
            handle: Some(Box::new(|asked, reply| common::know_all(asked, reply).is_ok())),
        },
    );
    let apps = apps_lookup::ManagedServer::new(
        run_dir,
        "apps-lookup",
        apps_lookup::ServerConfig::default(),
        apps_lookup::Handler::default(),
    );
    let config = cgroups_lookup::ClientConfig { max_logical_lookup_items: 2, ..Default::default() };
    let mut client = cgroups_lookup::CgroupsLookupClient::new(run_dir, "cgroups-lookup", config);
    let mut pids = apps_lookup::AppsLookupClient::new(run_dir, "apps-lookup", Default::default());
    thread::scope(|scope| {
        scope.spawn(|| cgroups.run().unwrap());
        scope.spawn(|| apps.run().unwrap());
        await_that("the providers", || {
            client.refresh();
            pids.refresh();
            client.ready() && pids.ready()
        });
        let found = client.call(&[b"/a", b"/b"]).unwrap();
        assert_eq!((found.generation, found.len()), (7, 2));
        assert!(found.item(1).unwrap().label(u32::MAX).is_err());
        assert!(found.item(2).is_err() && found.raw_item(2).is_err());
        let many: [&[u8]; 3] = [b"/a", b"/b", b"/c"];
        assert_eq!(client.call(&many).unwrap_err().kind(), ErrorKind::LimitExceeded);
        assert!(client.ready());
        assert_eq!(pids.call(&[1]).unwrap_err().kind(), ErrorKind::Unsupported);
        cgroups.stop();
        apps.stop();
    });
}
