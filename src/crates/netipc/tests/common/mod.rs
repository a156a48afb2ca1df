//! What the tests of this crate share: a private directory, and servers that run.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod lookup;
pub mod peer;
pub mod process;
pub mod random;
#[cfg(target_os = "linux")]
pub mod ring;

use std::{
    ops::Deref,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use netipc::{
    Client, ClientOptions, Declined, Handler, Server, ServerOptions, SessionOptions, Text,
    kinds::{
        CgroupsLookup, CgroupsSnapshot, Increment, Orchestrator, cgroups_lookup, cgroups_snapshot,
        increment,
    },
    proto::Service,
    transport::Carrier,
};

/// How long to wait for what must come. Only a broken test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A directory of its own for one test, gone with it.
pub struct Dir(PathBuf);

impl Dir {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("netipc-test-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    /// The names of what lies in it.
    pub fn entries(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Deref for Dir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for Dir {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server that runs until it is dropped.
pub struct Running<S: Service> {
    pub server: Server<S>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Service> Running<S> {
    pub fn start(
        dir: &Path,
        service: &str,
        options: ServerOptions,
        handler: impl Handler<S> + 'static,
    ) -> Self {
        let server = Server::bind(dir, service, options, handler).unwrap();
        let handle = server.clone();
        let thread = Some(std::thread::spawn(move || handle.run()));
        Running { server, thread }
    }

    pub fn stop(mut self) {
        self.join();
    }

    fn join(&mut self) {
        self.server.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl<S: Service> Drop for Running<S> {
    fn drop(&mut self) {
        self.join();
    }
}

/// All carriers of this system, each as the options of a session over it.
pub fn carriers() -> Vec<(&'static str, SessionOptions)> {
    let (shared, rings) =
        (SessionOptions::published_shared_memory(), SessionOptions::shared_memory());
    let has_rings = rings != shared;
    let mut carriers = vec![("socket", SessionOptions::default()), ("shared memory", shared)];
    carriers.extend(has_rings.then_some(("rings", rings)));
    carriers
}

/// Whether this is what carries the messages of `client`.
pub fn is_over<S: Service>(client: &Client<S>, carrier: &str) -> bool {
    let name = match client.session().unwrap().carrier() {
        Carrier::Socket => "socket",
        Carrier::SharedMemory => "shared memory",
        Carrier::Rings => "rings",
        other => panic!("{other:?}"),
    };
    name == carrier
}

pub fn served(session: &SessionOptions) -> ServerOptions {
    ServerOptions { session: session.clone(), ..ServerOptions::default() }
}

pub fn client<S: Service>(dir: &Path, service: &str, session: &SessionOptions) -> Client<S> {
    let options = ClientOptions { session: session.clone(), ..ClientOptions::default() };
    let mut client = Client::with_options(dir, service, options);
    client.refresh();
    assert!(client.ready(), "{:?}", client.last_error().map(ToString::to_string));
    client
}

pub fn add_one(asked: &u64, reply: &mut increment::Number<'_>) -> Result<(), Declined> {
    reply.value = asked.checked_add(1).ok_or(Declined::Failed)?;
    Ok(())
}

/// Answers as ever, but what `is_held` only when it is released. Tells of each of those when it is at
/// it what `tell` says in its thread.
pub fn held<T: Send + 'static>(
    is_held: fn(u64) -> bool,
    tell: fn() -> T,
) -> (impl Handler<Increment>, mpsc::Receiver<T>, mpsc::Sender<()>) {
    let (entered, entries) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let handler = move |asked: &u64, reply: &mut increment::Number<'_>| {
        if is_held(*asked) {
            entered.send(tell()).unwrap();
            released.lock().unwrap().recv().unwrap();
        }
        add_one(asked, reply)
    };
    (handler, entries, release)
}

pub fn increment_server(dir: &Path, options: ServerOptions) -> Running<Increment> {
    Running::start(dir, "increment", options, add_one)
}

/// A snapshot of `count` cgroups with names of their own.
pub fn snapshot_of(count: u32) -> impl Handler<CgroupsSnapshot> {
    move |_: &cgroups_snapshot::SnapshotRequest, reply: &mut cgroups_snapshot::Builder<'_>| {
        (reply.generation, reply.systemd_enabled) = (u64::from(count), 1);
        for number in 0..count {
            let name = format!("cgroup_{number}");
            let path = format!("/sys/fs/cgroup/docker/{number:0>64}/cgroup.procs");
            reply.push(&cgroups_snapshot::Cgroup {
                hash: number,
                options: 2,
                enabled: 1,
                name: Text::from(&*name),
                path: Text::from(&*path),
            })?;
        }
        Ok(())
    }
}

/// Knows every cgroup by a name made of its path.
pub fn know_all(
    asked: &netipc::proto::Keys<'_, CgroupsLookup>,
    reply: &mut netipc::proto::Replies<'_, CgroupsLookup>,
) -> Result<(), Declined> {
    reply.generation = 7;
    for path in asked.iter() {
        let name = [b"name of ", path].concat();
        let orchestrator = Orchestrator::DOCKER;
        let labels = [(&b"image"[..], &b"nginx"[..])];
        reply.push(&cgroups_lookup::Cgroup::Known {
            orchestrator,
            name: Text::new(&name),
            labels: netipc::Labels::new(&labels),
        })?;
    }
    Ok(())
}

/// A client that gives up after `timeout`, and is not connected.
pub fn patient<S: Service>(
    dir: &Path,
    service: &str,
    session: &SessionOptions,
    timeout: Duration,
) -> Client<S> {
    let options = ClientOptions { session: session.clone(), timeout, ..ClientOptions::default() };
    Client::with_options(dir, service, options)
}

/// Whether the increment server in `dir` has room and time for one more client.
pub fn still_serves(dir: &Path) {
    let mut client = client::<Increment>(dir, "increment", &SessionOptions::default());
    assert_eq!(client.call(1).unwrap(), 2);
}

/// Waits until something is so that no event tells of.
pub fn await_that(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} did not come about");
        std::thread::yield_now();
    }
}

/// How long it took, beside what came of it.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}
