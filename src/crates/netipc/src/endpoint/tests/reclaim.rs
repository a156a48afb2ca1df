//! What lies at the name already, and who keeps it.

use std::{
    fs,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{FileTypeExt, PermissionsExt, symlink},
            net::{UnixDatagram, UnixListener},
        },
    },
    path::Path,
    time::Duration,
};

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit},
};

use super::{
    super::{Endpoint, ListenOptions},
    dead_socket, entries, is_alive, listen, refusal, sock,
};
use crate::{
    ErrorKind, Wait,
    sys::Socket,
    testing::{as_nobody, is_root, part, run_child, scratch},
};

#[test]
fn removes_what_nobody_needs() {
    type Leave = fn(&Path);
    let left: [(&str, Leave); 7] = [
        ("dead socket", dead_socket),
        ("empty file", |path| drop(fs::File::create(path).unwrap())),
        ("empty directory", |path| fs::create_dir(path).unwrap()),
        ("dangling link", |path| symlink("/nowhere/at/all", path).unwrap()),
        ("link to itself", |path| symlink("x.sock", path).unwrap()),
        ("pipe", |path| {
            let mode = Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap()
        }),
        ("dead socket without permissions", |path| {
            dead_socket(path);
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
        }),
    ];
    for (what, leave) in left {
        let dir = scratch();
        leave(&sock(dir.path()));
        let root = rustix::process::geteuid().is_root();
        if what.ends_with("permissions") && !root {
            // Whether it is dead cannot be told.
            refusal(dir.path());
            continue;
        }
        let endpoint = listen(dir.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
        is_alive(&endpoint);
        assert_eq!(entries(dir.path()), ["x.sock"], "{what}");
    }
}

#[test]
fn removes_a_link_but_not_what_it_leads_to() {
    let dir = scratch();
    let target = dir.path().join("precious");
    fs::write(&target, "content").unwrap();
    symlink(&target, sock(dir.path())).unwrap();
    let endpoint = listen(dir.path()).unwrap();
    assert!(fs::symlink_metadata(endpoint.path()).unwrap().file_type().is_socket());
    assert_eq!(fs::read(&target).unwrap(), b"content");
}

#[test]
fn sets_a_file_with_content_aside() {
    let dir = scratch();
    for (n, content) in ["first", "second"].iter().enumerate() {
        fs::write(sock(dir.path()), content).unwrap();
        let endpoint = listen(dir.path()).unwrap();
        is_alive(&endpoint);
        let aside = dir.path().join(format!("x.sock.displaced-{}", n + 1));
        assert_eq!(fs::read_to_string(aside).unwrap(), *content);
    }
    let first = dir.path().join("x.sock.displaced-1");
    assert_eq!(fs::read_to_string(first).unwrap(), "first");
}

#[test]
fn gives_way_to_a_directory_with_entries() {
    let dir = scratch();
    fs::create_dir(sock(dir.path())).unwrap();
    fs::write(sock(dir.path()).join("entry"), "").unwrap();
    let error = refusal(dir.path());
    assert!(error.to_string().contains("cannot remove what is there"), "{error}");
    assert!(sock(dir.path()).join("entry").exists());
}

#[test]
fn gives_way_to_a_live_server() {
    let dir = scratch();
    let first = listen(dir.path()).unwrap();
    let error = refusal(dir.path());
    let path = first.path().display();
    assert_eq!(
        error.to_string(),
        format!("listen on {path}: a live server has it: address in use")
    );
    is_alive(&first);
}

#[test]
fn gives_way_to_a_live_server_behind_a_link() {
    let (dir, other) = (scratch(), scratch());
    let _server = listen(other.path()).unwrap();
    symlink(sock(other.path()), sock(dir.path())).unwrap();
    refusal(dir.path());
    assert!(sock(dir.path()).is_symlink());
}

#[test]
fn gives_way_to_a_live_server_whose_backlog_is_full() {
    let dir = scratch();
    let options = ListenOptions { backlog: 1, ..ListenOptions::default() };
    let first = Endpoint::listen(dir.path(), "x", &options).unwrap();
    let soon = || Wait::at_most(Duration::from_millis(1));
    let mut waiting = Vec::new();
    let full = loop {
        match Socket::connect(first.path(), soon()) {
            Ok(client) => waiting.push(client),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::Busy, "{full}");
    refusal(dir.path());
    drop(waiting);
    while first.socket().accept().unwrap().is_some() {}
    is_alive(&first);
}

#[test]
fn gives_way_to_foreign_listeners() {
    let dir = scratch();
    let stream = UnixListener::bind(sock(dir.path())).unwrap();
    let error = refusal(dir.path());
    assert!(error.to_string().contains("a foreign program has it"), "{error}");
    drop(stream);
    // Now that nobody listens it is as dead as any.
    drop(listen(dir.path()).unwrap());

    let _datagram = UnixDatagram::bind(sock(dir.path())).unwrap();
    refusal(dir.path());
    assert!(sock(dir.path()).exists());
}

#[test]
fn gives_way_when_it_may_not_ask() {
    if !is_root("the socket of another user") {
        return;
    }
    let dir = scratch();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let server = listen(dir.path()).unwrap();
    let error = as_nobody(|| refusal(dir.path()));
    assert!(error.to_string().contains("cannot tell whether a live server has it: permission"));
    let denied = as_nobody(|| Socket::connect(server.path(), Wait::FOREVER).unwrap_err());
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    is_alive(&server);
}

#[test]
fn gives_way_when_it_cannot_ask() {
    if let Some(dir) = part() {
        // First none is left for the lock file, then none for the probe.
        for left in 0..2 {
            let next = fs::File::open("/").unwrap().as_raw_fd() as u64;
            let before = getrlimit(Resource::Nofile);
            setrlimit(Resource::Nofile, Rlimit { current: Some(next + left), ..before }).unwrap();
            let error = refusal(Path::new(&dir));
            setrlimit(Resource::Nofile, before).unwrap();
            assert!(error.to_string().contains("cannot tell"), "{error}");
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
        }
        return;
    }
    let dir = scratch();
    let server = listen(dir.path()).unwrap();
    run_child!(gives_way_when_it_cannot_ask, dir.path().to_str().unwrap());
    is_alive(&server);
    drop(server);
    // Not even what is dead is removed by who cannot see that it is.
    dead_socket(&sock(dir.path()));
    run_child!(gives_way_when_it_cannot_ask, dir.path().to_str().unwrap());
    assert_eq!(entries(dir.path()), ["x.sock"]);
}
