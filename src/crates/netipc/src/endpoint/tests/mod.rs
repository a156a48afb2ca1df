//! Endpoints on real file systems.

mod lock;
mod names;
mod reclaim;

use std::{
    fs,
    os::{
        fd::OwnedFd,
        unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::{
    fs::{Mode, RawMode},
    process::umask,
};

use super::{Endpoint, ListenOptions};
use crate::{
    Error, ErrorKind, Wait,
    sys::{ListenSocket, Probe, Socket, probe},
    testing::{as_nobody, is_root, part, run_child, scratch},
};

fn listen(dir: &Path) -> crate::Result<Endpoint> {
    Endpoint::listen(dir, "x", &ListenOptions::default())
}

fn refusal(dir: &Path) -> Error {
    let error = listen(dir).expect_err("the name is taken");
    assert_eq!(error.kind(), ErrorKind::AddressInUse, "{error}");
    error
}

fn sock(dir: &Path) -> PathBuf {
    dir.join("x.sock")
}

fn entries(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o777
}

/// A socket whose owner is gone.
fn dead_socket(path: &Path) {
    drop(ListenSocket::bind(path, Mode::from_raw_mode(0o600)).unwrap());
    assert!(fs::symlink_metadata(path).unwrap().file_type().is_socket());
}

fn is_alive(endpoint: &Endpoint) {
    let client = Socket::connect(endpoint.path(), Wait::FOREVER).expect("the endpoint is there");
    drop(client);
}

#[test]
fn leaves_nothing_behind() {
    let dir = scratch();
    let endpoint = listen(dir.path()).unwrap();
    assert_eq!(entries(dir.path()), ["x.sock"]);
    is_alive(&endpoint);
    drop(endpoint);
    assert!(entries(dir.path()).is_empty());
}

#[test]
fn names_the_directory_that_is_missing() {
    let dir = scratch();
    let missing = dir.path().join("no");
    let error = listen(&missing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let expected = format!(
        "listen on {0}/x.sock: open directory {0}: no such file or directory",
        missing.display()
    );
    assert_eq!(error.to_string(), expected);
    let error = listen(Path::new("")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn has_its_mode_from_the_first_moment_whatever_the_umask() {
    if let Some(mask) = part() {
        let mask = RawMode::from_str_radix(&mask, 8).unwrap();
        umask(Mode::from_raw_mode(mask));
        let dir = scratch_under(mask);
        let path = sock(dir.path());
        let wanted = 0o640;

        let bound = ListenSocket::bind(&path, Mode::from_raw_mode(wanted)).unwrap();
        assert_eq!(mode(&path), wanted & !mask, "never more than asked for");
        assert!(matches!(probe(&path), Probe::Dead | Probe::Unknown(_)), "nobody can connect");
        drop(bound);
        fs::remove_file(&path).unwrap();

        for wanted in [0o600, 0o660, 0o666] {
            let options = ListenOptions { mode: wanted, ..ListenOptions::default() };
            let endpoint = Endpoint::listen(dir.path(), "x", &options).unwrap();
            assert_eq!(mode(endpoint.path()), wanted);
            is_alive(&endpoint);
        }
        // The umask is what it was.
        assert_eq!(umask(Mode::empty()).as_raw_mode(), mask);
        return;
    }
    for mask in ["0", "22", "77", "777"] {
        run_child!(has_its_mode_from_the_first_moment_whatever_the_umask, mask);
    }
}

/// A directory that can be used although the umask takes all permissions away.
fn scratch_under(mask: RawMode) -> tempfile::TempDir {
    let dir = scratch();
    if mask == 0o777 {
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    }
    dir
}

#[test]
fn belongs_to_the_group_asked_for() {
    if !is_root("another group") {
        return;
    }
    let dir = scratch();
    let options = ListenOptions { mode: 0o660, group: Some(65534), backlog: 0 };
    let endpoint = Endpoint::listen(dir.path(), "x", &options).unwrap();
    assert_eq!(fs::symlink_metadata(endpoint.path()).unwrap().gid(), 65534);
    assert_eq!(mode(endpoint.path()), 0o660);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    as_nobody(|| is_alive(&endpoint));
}

#[test]
fn children_inherit_no_descriptor() {
    let dir = scratch();
    let endpoint = listen(dir.path()).unwrap();
    let client = Socket::connect(endpoint.path(), Wait::FOREVER).unwrap();
    let server = endpoint.socket().accept().unwrap().unwrap();
    let abort = crate::Abort::new();
    let wait = Wait::at_most(Duration::ZERO).or(&abort);
    assert_eq!(client.wait_readable(wait).unwrap_err().kind(), ErrorKind::TimedOut);
    let _poller = crate::sys::Poller::new().unwrap();
    let output = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let listing = String::from_utf8(output.stdout).unwrap();
    assert!(listing.contains("pipe:"), "{listing}");
    for kind in ["socket:", "eventfd", "eventpoll", ".lock"] {
        assert!(!listing.contains(kind), "{listing}");
    }
    // Which is why the end of the parent is the end of its sessions.
    drop(OwnedFd::from(server));
    client.wait_readable(Wait::FOREVER).unwrap();
    let end = client.receive(&mut [0; 32], &mut []).unwrap();
    assert_eq!(end.map(|packet| packet.len), Some(0));
}
