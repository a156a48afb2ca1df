//! `netipc serve`: provides what this machine knows.

use std::{
    fs, io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileTypeExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use netipc::{
    Error, ErrorKind, Handler, Server, ServerOptions, SessionOptions,
    kinds::{AppsLookup, CgroupsLookup, CgroupsSnapshot},
    proto::{Service, handshake::defaults, retry::next_power_of_two},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    apps::scanner::{self, Scanner},
    args::{ServeApps, ServeCgroups, Serving},
    bell::wait,
    cgroups::{
        discovery::{self, Discovery},
        hierarchy::Unusable,
        names::Sources,
    },
    context::{Context, exit},
    failure::{Exit, Failure},
    service::{self, Asked, Reply},
    signals::Signals,
    term::{escape, output::note},
};

/// Provides cgroups until it is interrupted.
///
/// # Errors
///
/// There is no tree to read, or no endpoint to be had.
pub fn cgroups(context: &Context, args: ServeCgroups) -> Result<(), Failure> {
    let until = Until::new(args.serving.until_eof)?;
    let places = [CgroupsSnapshot::NAME, CgroupsLookup::NAME];
    places.iter().try_for_each(|place| spare_foreign_file(&context.run_dir, place))?;
    let options = discovery::Options {
        root: args.cgroup_root,
        rescan: args.rescan,
        sources: sources(&args.serving.engine_socket),
    };
    let discovery = Discovery::start(options, |what| note(what)).map_err(unusable)?;
    let discovery = Arc::new(discovery);

    let table = discovery.table();
    let options = server_options(context, &args.serving, service::snapshot_len(&table));
    let tables = Arc::clone(&discovery);
    let snapshot: Server<CgroupsSnapshot> = bind(
        context,
        options,
        move |_: &Asked<'_, CgroupsSnapshot>, reply: &mut Reply<'_, CgroupsSnapshot>| {
            service::snapshot(&tables.table(), reply)
        },
    )?;
    let options = server_options(context, &args.serving, 0);
    let tables = Arc::clone(&discovery);
    let lookup: Server<CgroupsLookup> = bind(
        context,
        options,
        move |keys: &Asked<'_, CgroupsLookup>, reply: &mut Reply<'_, CgroupsLookup>| {
            if service::cgroups_lookup(&tables.table(), keys, reply)? {
                tables.wake();
            }
            Ok(())
        },
    )?;
    note(format_args!(
        "serving {} and {} in {}: {} cgroups",
        places[0],
        places[1],
        escape::path(&context.run_dir),
        table.cgroups().len()
    ));
    drop(table);
    run_until(&until, &[&snapshot, &lookup])
}

/// Provides processes until it is interrupted.
///
/// # Errors
///
/// There are no processes to read, or no endpoint to be had.
pub fn apps(context: &Context, args: ServeApps) -> Result<(), Failure> {
    let until = Until::new(args.serving.until_eof)?;
    spare_foreign_file(&context.run_dir, AppsLookup::NAME)?;
    let what = format!("read processes of {}", escape::path(&args.proc_root));
    let options = scanner::Options {
        proc: args.proc_root,
        interval: args.interval,
        sources: sources(&args.serving.engine_socket),
    };
    let scanner =
        Scanner::start(options, |what| note(what)).map_err(|why| Failure::system(&what, &why))?;
    if scanner.table().is_empty() {
        // There is this one at least, wherever processes are shown.
        let failure = Failure::new(Exit::NotFound, format_args!("{what}: there are none"));
        return Err(failure.hint("name a directory that shows processes as /proc does"));
    }
    let scanner = Arc::new(scanner);
    let tables = Arc::clone(&scanner);
    let options = server_options(context, &args.serving, 0);
    let server: Server<AppsLookup> = bind(
        context,
        options,
        move |keys: &Asked<'_, AppsLookup>, reply: &mut Reply<'_, AppsLookup>| {
            if service::apps_lookup(&tables.table(), keys, reply)? {
                tables.wake();
            }
            Ok(())
        },
    )?;
    note(format_args!(
        "serving {} in {}: {} processes",
        AppsLookup::NAME,
        escape::path(&context.run_dir),
        scanner.table().len()
    ));
    run_until(&until, &[&server])
}

/// How long requests under way may take when it is over.
const GRACE: Duration = Duration::from_secs(1);

/// Takes the endpoint of a service.
fn bind<S: Service>(
    context: &Context,
    options: ServerOptions,
    handler: impl Handler<S> + 'static,
) -> Result<Server<S>, Failure> {
    Server::bind(&context.run_dir, S::NAME, options, handler).map_err(|why| cannot_listen(&why))
}

/// Why there is no endpoint to be had, and what to do about it.
fn cannot_listen(why: &Error) -> Failure {
    let failure = Failure::new(exit(why.kind()), why);
    match why.kind() {
        ErrorKind::AddressInUse => failure.hint("see who provides it with `netipc ls`"),
        ErrorKind::NameTooLong => failure.hint("name a directory of a shorter path with --run-dir"),
        ErrorKind::Exhausted => {
            failure.hint("make room there, or name another directory with --run-dir")
        }
        ErrorKind::NotFound | ErrorKind::PermissionDenied => {
            failure.hint("name a directory in which files may be made with --run-dir")
        }
        _ => failure,
    }
}

/// Serves in threads until it is over, then answers what is under way and gives the endpoints up.
fn run_until(until: &Until, servers: &[&dyn Run]) -> Result<(), Failure> {
    thread::scope(|scope| {
        for &server in servers {
            scope.spawn(move || server.run());
        }
        let waited = until.wait();
        for &server in servers {
            scope.spawn(move || server.end());
        }
        waited
    })
}

/// A server, whatever it serves.
trait Run: Sync {
    fn run(&self);
    fn end(&self);
}

impl<S> Run for Server<S> {
    fn run(&self) {
        Server::run(self);
    }

    fn end(&self) {
        // Who is cut off is told by the end of its session.
        self.drain(GRACE);
        self.close();
    }
}

/// What is granted to clients of a service whose replies are about `expected` bytes long.
fn server_options(context: &Context, serving: &Serving, expected: usize) -> ServerOptions {
    let expected = next_power_of_two(expected as u64).max(defaults::RESPONSE_BYTES);
    let session = SessionOptions {
        // Room for the replies of today. More is granted as they grow.
        max_response_payload_bytes: expected.min(serving.max_reply),
        response_growth_bytes: serving.max_reply,
        ..context.session_options()
    };
    ServerOptions { session, mode: serving.mode, ..ServerOptions::default() }
}

fn sources(engine_sockets: &[PathBuf]) -> Sources {
    let usual = Sources::usual();
    if engine_sockets.is_empty() {
        return usual;
    }
    let engines = engine_sockets.iter().filter(|path| *path != Path::new("none"));
    Sources { engines: engines.cloned().collect(), ..usual }
}

fn unusable(why: Unusable) -> Failure {
    const NAME_A_TREE: &str =
        "name the directory that shows the root of a cgroup tree, as /sys/fs/cgroup does";
    match &why {
        Unusable::Unreadable(path, cause) => {
            let failure = Failure::system(format_args!("read {}", escape::path(path)), cause);
            match cause.kind() {
                io::ErrorKind::PermissionDenied => failure.hint("run as a user who may read it"),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => failure.hint(NAME_A_TREE),
                _ => failure,
            }
        }
        Unusable::NoTree(_) => Failure::new(Exit::NotFound, why).hint(NAME_A_TREE),
        Unusable::NotMounted => Failure::new(Exit::NotFound, why).hint(
            "mount one (mount -t cgroup2 none /sys/fs/cgroup), or name a tree with --cgroup-root",
        ),
    }
}

/// Refuses to serve where somebody else's file lies: the library would take the place of anything
/// that is not alive, which is right for what servers leave behind and for nothing else.
fn spare_foreign_file(dir: &Path, service: &str) -> Result<(), Failure> {
    let path = dir.join(format!("{service}.sock"));
    let Ok(found) = fs::symlink_metadata(&path) else { return Ok(()) };
    let kind = found.file_type();
    let what = if kind.is_socket() {
        return Ok(());
    } else if kind.is_file() && found.len() > 0 {
        format!("a file of {} bytes lies there", found.len())
    } else if kind.is_dir() {
        "a directory lies there".to_owned()
    } else if kind.is_symlink() {
        "a symbolic link lies there".to_owned()
    } else if kind.is_file() {
        return Ok(());
    } else {
        "a device or pipe lies there".to_owned()
    };
    let message = format!("serve {service} at {}: {what}, left intact", escape::path(&path));
    Err(Failure::new(Exit::Failed, message).hint("move it away, or use another --run-dir"))
}

/// What ends a provider.
struct Until {
    signals: Signals,
    eof: bool,
}

impl Until {
    fn new(eof: bool) -> Result<Self, Failure> {
        let signals = Signals::take().map_err(|why| Failure::system("wait for signals", &why))?;
        Ok(Until { signals, eof })
    }

    /// Waits until a signal or the end of standard input says that it is over.
    fn wait(&self) -> Result<(), Failure> {
        let failed = |why: io::Error| Failure::system("wait for the end", &why);
        let input = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let mut fds = vec![self.signals.end()];
        fds.extend(self.eof.then_some(&input));
        let long = Duration::from_secs(86_400);
        loop {
            wait(&fds, Instant::now() + long).map_err(failed)?;
            let is_over = self.signals.has_ended() || (self.eof && at_end(&input));
            if is_over {
                return Ok(());
            }
        }
    }
}

/// Whether nothing more comes from `input`. What does come means nothing.
fn at_end(input: &OwnedFd) -> bool {
    let mut ready = [PollFd::new(input, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    match poll(&mut ready, Some(&now)) {
        Ok(0) | Err(_) => false,
        Ok(_) => !matches!(rustix::io::read(input, &mut [0; 4096]), Ok(1..) | Err(Errno::INTR)),
    }
}
