//! C programs and Rust ones talk to each other: the examples in C against peers in this process.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use netipc::{
    Cache, Client, ClientOptions, Server, ServerOptions, SessionOptions, Wait,
    kinds::{
        CgroupsSnapshot,
        cgroups_snapshot::{Builder, Cgroup},
    },
    proto::Header,
    transport::{Carrier, Session},
};

/// A directory of its own for one test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let dir = env::temp_dir().join(format!("netipc-peers-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Place(dir)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An example in C, built against the library this package made.
fn example(name: &str) -> Command {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = env::current_exe().unwrap().with_file_name("libnetipc.a");
    assert!(library.exists(), "no {}: `cargo build -p netipc-c` makes it", library.display());
    let program =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{:?}", thread::current().id()));
    let built = Command::new(env::var_os("CC").unwrap_or("cc".into()))
        .args(["-std=gnu11", "-I"])
        .arg(manifest.join("include"))
        .arg(manifest.join(format!("../../../examples/c/{name}.c")))
        .arg(library)
        .args(["-lpthread", "-ldl", "-lm", "-o"])
        .arg(&program)
        .status()
        .unwrap();
    assert!(built.success(), "{name}.c does not compile");
    Command::new(program)
}

/// A server in C, from its first line on until it is dropped.
struct Serving(Child);

impl Serving {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "serving\n");
        Serving(child)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn client(session: SessionOptions) -> ClientOptions {
    ClientOptions { session, ..ClientOptions::default() }
}

#[test]
fn a_rust_client_asks_a_c_provider_over_each_carrier() {
    let place = Place::new("client");
    let _provider = Serving::start(example("provider").arg(&place.0));
    for (options, carrier) in [
        (SessionOptions::default(), Carrier::Socket),
        (SessionOptions::published_shared_memory(), Carrier::SharedMemory),
        (SessionOptions::shared_memory(), Carrier::Rings),
    ] {
        let mut client =
            Client::<CgroupsSnapshot>::with_options(&place.0, "cgroups-snapshot", client(options));
        client.refresh();
        assert_eq!(client.session().unwrap().carrier(), carrier);
        let view = client.call(()).unwrap();
        let kernel = view.iter().map(Result::unwrap).find(|item| &item.name == "kernel").unwrap();
        assert_eq!(&kernel.path, "/sys/kernel/cgroup.procs");
    }
}

#[test]
fn a_rust_cache_keeps_what_a_c_provider_said() {
    let place = Place::new("cache");
    let provider = Serving::start(example("provider").arg(&place.0));
    let options = client(SessionOptions::shared_memory());
    let cache = Cache::<CgroupsSnapshot>::new(&place.0, "cgroups-snapshot", options);
    cache.refresh().unwrap();
    drop(provider);
    cache.refresh().unwrap_err();
    assert!(cache.table().unwrap().iter().any(|cgroup| &cgroup.name == "devices"));
}

#[test]
fn a_c_client_and_a_c_cache_ask_a_rust_provider() {
    let place = Place::new("provider");
    let handler = |_: &_, reply: &mut Builder<'_>| {
        let (name, path) = ("docker-abc".into(), "/docker/abc".into());
        reply.generation = 17;
        // As the example in C computes it.
        reply.push(&Cgroup { hash: 0x0d1c_6440, options: 0, enabled: 1, name, path })?;
        Ok(())
    };
    let options =
        ServerOptions { session: SessionOptions::shared_memory(), ..ServerOptions::default() };
    let server =
        Server::<CgroupsSnapshot>::bind(&place.0, "cgroups-snapshot", options, handler).unwrap();
    let running = thread::spawn({
        let server = server.clone();
        move || server.run()
    });
    let output = example("client").arg(&place.0).arg("1").output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "1 cgroups, generation 17\n0d1c6440 docker-abc /docker/abc\n");
    let output = example("cached").arg(&place.0).arg("docker-abc").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    server.stop();
    running.join().unwrap();
}

#[test]
fn rust_sessions_talk_to_an_event_loop_in_c_over_the_socket_and_over_rings() {
    let place = Place::new("loop");
    let _server = Serving::start(example("loop").arg(&place.0).arg("serve"));
    let wait = Wait::at_most(std::time::Duration::from_secs(10));
    let offers = [SessionOptions::default(), SessionOptions::shared_memory()];
    let mut sessions = offers.map(|offer| {
        let options = SessionOptions {
            max_request_payload_bytes: 65536,
            max_response_payload_bytes: 65536,
            packet_size: 4096,
            ..offer
        };
        Session::connect(&place.0, "echo", &options, wait).unwrap()
    });
    assert_eq!(sessions.each_ref().map(Session::carrier), [Carrier::Socket, Carrier::Rings]);
    let payload = vec![7; 60000];
    for session in &mut sessions {
        session.send(&Header::request(1000, 5, 0), &payload, wait).unwrap();
    }
    for session in &mut sessions {
        let header = session.receive(wait).unwrap();
        assert_eq!((header.message_id, header.transport_status), (5, 0));
        assert_eq!(session.payload(), payload);
    }
    for session in &mut sessions {
        for id in 0..64 {
            session.send(&Header::request(1000, id, 0), &payload[..200], wait).unwrap();
        }
    }
    for session in &mut sessions {
        for id in 0..64 {
            assert_eq!(session.receive(wait).unwrap().message_id, id);
            assert_eq!(session.payload(), &payload[..200]);
        }
    }
}
