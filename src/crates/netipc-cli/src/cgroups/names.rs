//! Better names for containers than their ids, asked of those who run them.

use std::{
    collections::{BTreeSet, HashMap},
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{engine, hex};
use crate::published::Published;

/// What is known of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) labels: Vec<(&'static str, String)>,
}

/// Who may know the names of containers.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Sockets of docker and podman.
    pub engines: Vec<PathBuf>,
    /// The directory in which a kubelet links the log of every container, by a name that tells all.
    pub kubelet_logs: PathBuf,
}

impl Sources {
    /// Where they are on most machines.
    pub fn usual() -> Self {
        let engines = ["/run/docker.sock", "/run/podman/podman.sock"].map(PathBuf::from).into();
        Sources { engines, kubelet_logs: "/var/log/containers".into() }
    }

    /// Asks them all. Who cannot be asked keeps its last answer: an engine that is restarted has
    /// not forgotten its containers.
    fn ask(&self, answers: &mut HashMap<PathBuf, Known>) {
        for socket in &self.engines {
            if let Ok(known) = engine_names(socket) {
                answers.insert(socket.clone(), known);
            }
        }
        if let Ok(known) = kubelet_names(&self.kubelet_logs) {
            answers.insert(self.kubelet_logs.clone(), known);
        }
    }
}

/// Containers by id.
type Known = HashMap<String, Named>;

fn engine_names(socket: &Path) -> io::Result<Known> {
    /// An engine that answers at all does so in a fraction of this.
    const PATIENCE: Duration = Duration::from_secs(2);
    let name = |container: engine::Container| {
        let labels = container.image.map(|image| ("image", image)).into_iter().collect();
        (container.id, Named { name: container.name, labels })
    };
    Ok(engine::containers(socket, PATIENCE)?.into_iter().map(name).collect())
}

/// The containers that a kubelet keeps a log of: `POD_NAMESPACE_CONTAINER-ID.log`.
fn kubelet_names(dir: &Path) -> io::Result<Known> {
    let files = fs::read_dir(dir)?.flatten();
    Ok(files.filter_map(|file| kubelet_log(file.file_name().as_bytes())).collect())
}

fn kubelet_log(file: &[u8]) -> Option<(String, Named)> {
    let file = std::str::from_utf8(file).ok()?;
    let (name, id) = file.strip_suffix(".log")?.rsplit_once('-')?;
    let mut parts = name.splitn(3, '_');
    let (pod, namespace, container) = (parts.next()?, parts.next()?, parts.next()?);
    if !hex::is_id(id.as_bytes(), 64) || !engine::is_presentable(name) {
        return None;
    }
    let labels = vec![
        ("k8s_namespace", namespace.to_owned()),
        ("k8s_pod_name", pod.to_owned()),
        ("k8s_container_name", container.to_owned()),
    ];
    let name = format!("k8s_{namespace}_{pod}_{container}");
    Some((id.to_owned(), Named { name, labels }))
}

/// The names known so far, and a thread that asks for those that are not.
pub(crate) struct Names {
    shared: Arc<Shared>,
}

struct Shared {
    known: Published<Known>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Containers without a name at the last look.
    wanted: BTreeSet<String>,
    stopped: bool,
}

impl Names {
    /// Begins to ask `sources`; `on_news` is called whenever they know something new.
    pub(crate) fn start(sources: Sources, on_news: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            known: Published::new(HashMap::new()),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let theirs = Arc::clone(&shared);
        // Never joined: a source may take its time, and the thread holds nothing but memory.
        thread::Builder::new()
            .name("names".into())
            .spawn(move || theirs.keep_asking(&sources, &on_news))?;
        Ok(Names { shared })
    }

    /// What is known of a container. An id of less than full length is told by its beginning.
    pub(crate) fn named(&self, id: &str) -> Option<Named> {
        let known = self.shared.known.latest();
        let by_beginning = || {
            let mut alike = known.iter().filter(|(full, _)| id.len() < 64 && full.starts_with(id));
            alike.next().map(|(_, named)| named).filter(|_| alike.next().is_none())
        };
        known.get(id).or_else(by_beginning).cloned()
    }

    /// Says which containers still lack a name. They are asked for again until they have one.
    pub(crate) fn want(&self, ids: BTreeSet<String>) {
        let mut state = self.shared.lock();
        if state.wanted != ids {
            state.wanted = ids;
            self.shared.changed.notify_one();
        }
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.shared.lock().stopped = true;
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_asking(&self, sources: &Sources, on_news: &dyn Fn()) {
        const SOONEST: Duration = Duration::from_secs(1);
        const LATEST: Duration = Duration::from_secs(64);
        let mut pause = SOONEST;
        let mut asked_for = BTreeSet::new();
        let mut answers = HashMap::new();
        while let Some(wanted) = self.next_wish(&asked_for, pause) {
            pause = if wanted.is_subset(&asked_for) { (pause * 2).min(LATEST) } else { SOONEST };
            asked_for = wanted;
            sources.ask(&mut answers);
            let known = answers.values().flatten();
            let known: Known = known.map(|(id, named)| (id.clone(), named.clone())).collect();
            if known != *self.known.latest() {
                self.known.publish(known);
                on_news();
            }
        }
    }

    /// Waits until containers are wanted: at once for new ones, after `pause` for the same again.
    /// `None` when it is over.
    fn next_wish(&self, asked_for: &BTreeSet<String>, pause: Duration) -> Option<BTreeSet<String>> {
        let again_at = Instant::now() + pause;
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            let left = again_at.saturating_duration_since(Instant::now());
            let is_due = !state.wanted.is_subset(asked_for) || left.is_zero();
            if is_due && !state.wanted.is_empty() {
                return Some(state.wanted.clone());
            }
            let left = if state.wanted.is_empty() { Duration::MAX } else { left };
            let woken = self.changed.wait_timeout(state, left.min(Duration::from_secs(3600)));
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixListener,
        sync::mpsc,
    };

    use super::*;

    #[test]
    fn reads_what_a_kubelet_calls_its_logs() {
        let id = "0123456789abcdef".repeat(4);
        let file = format!("web-7d4b_shop_nginx-{id}.log");
        let (found, named) = kubelet_log(file.as_bytes()).unwrap();
        assert_eq!((found, &named.name[..]), (id.clone(), "k8s_shop_web-7d4b_nginx"));
        assert!(named.labels.contains(&("k8s_namespace", "shop".into())));
        for file in ["web_shop_nginx-0123.log", "README", &format!("web-{id}.log"), "_\n_-.log"] {
            assert_eq!(kubelet_log(file.as_bytes()), None, "{file}");
        }
    }

    #[test]
    fn tells_of_news_and_finds_containers_by_the_beginning_of_their_id() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (id, other) = ("ab".repeat(32), format!("abff{}", "0".repeat(60)));
        let list =
            format!(r#"[{{"Id":"{id}","Names":["/web"]}},{{"Id":"{other}","Names":["/db"]}}]"#);
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let _ = stream.read(&mut request).unwrap();
            write!(stream, "HTTP/1.0 200 OK\r\n\r\n{list}").unwrap();
        });
        let sources = Sources { engines: vec![socket], kubelet_logs: dir.path().join("none") };
        let (news, heard) = mpsc::channel();
        let names = Names::start(sources, move || news.send(()).unwrap()).unwrap();
        assert_eq!(names.named(&id), None);
        names.want(BTreeSet::from([id.clone()]));
        heard.recv_timeout(Duration::from_secs(20)).unwrap();
        assert_eq!(names.named(&id).unwrap().name, "web");
        assert_eq!(names.named(&id[..12]).unwrap().name, "web");
        assert_eq!(names.named("ab"), None, "two begin so");
    }
}
