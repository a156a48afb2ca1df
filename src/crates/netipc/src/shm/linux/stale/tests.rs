//! Which files go, and which stay.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::{Verdict, process_age, reclaim, start_ticks, sweep};
use crate::{
    shm::{Place, Region},
    testing::{as_nobody, is_root, scratch},
};

const NAME: &str = "x-0000000000000001.ipcshm";

/// A file as a server of process `pid` would make it.
fn region_of(path: &Path, pid: i32, generation: u32) -> File {
    let file = File::options().create_new(true).write(true).read(true).open(path).unwrap();
    let mut header = [0; 64];
    header[..4].copy_from_slice(&0x4E53_484Du32.to_ne_bytes());
    header[8..12].copy_from_slice(&pid.to_ne_bytes());
    header[12..16].copy_from_slice(&generation.to_ne_bytes());
    file.write_all_at(&header, 0).unwrap();
    file
}

/// A process that has been waited for, so that its number is free.
fn dead_pid() -> i32 {
    let mut child = process::Command::new("true").spawn().unwrap();
    let pid = child.id();
    child.wait().unwrap();
    pid.cast_signed()
}

fn own_pid() -> i32 {
    process::id().cast_signed()
}

/// What becomes of what `leave` puts there.
fn fate(leave: impl FnOnce(&Path)) -> Verdict {
    let dir = scratch();
    let path = dir.path().join(NAME);
    leave(&path);
    let verdict = reclaim(&path);
    let gone = fs::symlink_metadata(&path).is_err();
    assert_eq!(gone, verdict == Verdict::Gone);
    verdict
}

#[test]
fn the_region_of_a_live_process_stays() {
    assert_eq!(fate(|path| drop(region_of(path, own_pid(), 7))), Verdict::Kept);
    // One of whoever: it began before the file was made.
    assert_eq!(fate(|path| drop(region_of(path, 1, 7))), Verdict::Kept);
    if is_root("the process of another user") {
        let dir = scratch();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let path = dir.path().join(NAME);
        let file = region_of(&path, own_pid(), 7);
        file.set_permissions(fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(as_nobody(|| reclaim(&path)), Verdict::Kept);
    }
}

#[test]
fn the_region_of_a_dead_process_goes() {
    assert_eq!(fate(|path| drop(region_of(path, dead_pid(), 7))), Verdict::Gone);
    for pid in [0, -1, i32::MIN, i32::MAX] {
        assert_eq!(fate(|path| drop(region_of(path, pid, 7))), Verdict::Gone, "{pid}");
    }
    assert_eq!(fate(|path| drop(region_of(path, own_pid(), 0))), Verdict::Gone, "marked dead");
}

#[test]
fn the_region_of_a_process_whose_number_was_given_away_goes() {
    let age = process_age(own_pid()).expect("the system tells about this process");
    let made_before = |seconds| {
        move |path: &Path| {
            let file = region_of(path, own_pid(), 7);
            let moment = SystemTime::now() - age - Duration::from_secs(seconds);
            file.set_modified(moment).unwrap();
        }
    };
    assert_eq!(fate(made_before(10)), Verdict::Gone);
    assert_eq!(fate(made_before(0)), Verdict::Kept, "as far as the clocks tell");
}

#[test]
fn what_is_no_region_goes() {
    assert_eq!(fate(|_| {}), Verdict::Gone);
    assert_eq!(fate(|path| fs::write(path, "").unwrap()), Verdict::Gone);
    assert_eq!(fate(|path| fs::write(path, [0; 4096]).unwrap()), Verdict::Gone, "no magic");
    let cut_short = |path: &Path| region_of(path, own_pid(), 7).set_len(63).unwrap();
    assert_eq!(fate(cut_short), Verdict::Gone);
    assert_eq!(fate(|path| symlink("/nowhere", path).unwrap()), Verdict::Gone);
    assert_eq!(fate(|path| fs::create_dir(path).unwrap()), Verdict::Gone);
    let pipe = |path: &Path| {
        mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    };
    assert_eq!(fate(pipe), Verdict::Gone, "and nobody waits for its other end");
}

#[test]
fn what_cannot_be_removed_stays() {
    let full = |path: &Path| {
        fs::create_dir(path).unwrap();
        fs::write(path.join("entry"), "").unwrap();
    };
    assert_eq!(fate(full), Verdict::Kept);
}

#[test]
fn a_link_goes_and_what_it_leads_to_stays() {
    let dir = scratch();
    let target = dir.path().join("target");
    drop(region_of(&target, dead_pid(), 7));
    symlink(&target, dir.path().join(NAME)).unwrap();
    sweep(dir.path(), "x").unwrap();
    assert!(target.exists());
    assert!(!dir.path().join(NAME).is_symlink());
}

#[test]
fn a_sweep_takes_the_dead_regions_of_one_service_and_nothing_else() {
    let dir = scratch();
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    let dead = dead_pid();
    let swept = ["x-0000000000000001.ipcshm", "x-ffffffffffffffff.ipcshm"];
    let kept = [
        "x-y-0000000000000001.ipcshm",
        "y-0000000000000001.ipcshm",
        "x-000000000000001.ipcshm",
        "x-00000000000000001.ipcshm",
        "x-000000000000000G.ipcshm",
        "x-FFFFFFFFFFFFFFFF.ipcshm",
        "x-.ipcshm",
        "x-0000000000000001.ipcshm.bak",
        "x.sock",
    ];
    for name in swept.iter().chain(&kept) {
        drop(region_of(&path(name), dead, 7));
    }
    let live = Region::create(&Place::new(dir.path(), "x", 5), 64, 64).unwrap();
    sweep(dir.path(), "x").unwrap();
    for name in swept {
        assert!(!path(name).exists(), "{name}");
    }
    for name in kept {
        assert!(path(name).exists(), "{name}");
    }
    assert!(live.path().exists());
    assert!(sweep(&path("no"), "x").is_err());
}

#[test]
fn finds_when_a_process_began_whatever_its_name_is() {
    let after = "S 1 1 1 0 -1 4194560 1 0 0 0 1 1 0 0 20 0 1 0 4711 1 1 1";
    for name in ["sh", "a) S 1 (x)", "a b", "\n", ""] {
        let stat = format!("7 ({name}) {after}\n");
        assert_eq!(start_ticks(stat.as_bytes()), Some(4711), "{name:?}");
    }
    assert_eq!(start_ticks(b""), None);
    assert_eq!(start_ticks(b"7 (sh) S 1"), None);
    assert!(process_age(own_pid()).unwrap() < process_age(1).unwrap());
    assert_eq!(process_age(dead_pid()), None);
}
