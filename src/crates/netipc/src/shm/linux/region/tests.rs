//! Files that are made, and files that are found.

#[cfg(target_pointer_width = "64")]
mod interrupted;

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};

use super::{HEADER_LEN, Place, Region, RegionFault, RegionLayout, allocate, map, write_header};
use crate::{
    Error, ErrorKind,
    testing::{as_nobody, child, is_root, part, run, run_child, scratch, unhex, vectors},
};

fn create(dir: &Path) -> Result<Region, RegionFault> {
    Region::create(&Place::new(dir, "x", 1), 1032, 3032).map_err(|error| error.fault())
}

fn name(dir: &Path) -> PathBuf {
    dir.join("x-0000000000000001.ipcshm")
}

fn count(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn lays_regions_out_as_the_contract_says() {
    for vector in vectors("derived.json", "posix_region") {
        let number = |value: &serde_json::Value| u32::try_from(value.as_u64().unwrap()).unwrap();
        let (input, output) = (&vector["input"], &vector["output"]);
        let limit = |name: &str| 32 + number(&input[name]);
        let layout = RegionLayout::for_capacities(
            HEADER_LEN,
            limit("request_payload"),
            limit("response_payload"),
        )
        .unwrap();
        assert_eq!(layout.request.offset, number(&output["request_offset"]));
        assert_eq!(layout.request.capacity, number(&output["request_capacity"]));
        assert_eq!(layout.response.offset, number(&output["response_offset"]));
        assert_eq!(layout.response.capacity, number(&output["response_capacity"]));
        assert_eq!(layout.size(), output["region_size"].as_u64().unwrap());

        let file = tempfile::tempfile().unwrap();
        allocate(&file, layout.size()).unwrap();
        let mapping = map(&file, Path::new("region"), layout.size()).unwrap();
        let owner = i32::try_from(number(&input["owner_pid"])).unwrap();
        write_header(&mapping, layout, owner, number(&input["owner_generation"]));
        let mut header = vec![0; 64];
        file.read_exact_at(&mut header, 0).unwrap();
        assert_eq!(header, unhex(&output["initial_header"]), "{}", vector["id"]);
    }
}

#[test]
fn attaches_to_what_the_contract_allows_and_to_nothing_else() {
    let dir = scratch();
    for vector in vectors("derived.json", "posix_region_attach") {
        let input = &vector["input"];
        let file = File::create(name(dir.path())).unwrap();
        file.write_all_at(&unhex(&input["header"]), 0).unwrap();
        file.set_len(input["file_size"].as_u64().unwrap()).unwrap();
        let attached =
            Region::attach(&Place::new(dir.path(), "x", 1)).map_err(|error| error.fault());
        let expected = match vector["error"].as_str() {
            None => None,
            Some("NOT_READY") => Some(RegionFault::NotReady),
            Some("BAD_MAGIC") => Some(RegionFault::BadMagic),
            Some("BAD_VERSION") => Some(RegionFault::BadVersion),
            Some("BAD_HEADER") => Some(RegionFault::BadHeader),
            Some("BAD_SIZE") => Some(RegionFault::BadSize),
            Some(other) => panic!("unknown class {other}"),
        };
        assert_eq!(attached.err(), expected, "{}", vector["id"]);
        assert!(name(dir.path()).exists(), "a client removes nothing");
    }
}

#[test]
fn a_region_is_one_file_for_its_user_alone() {
    let dir = scratch();
    let region = create(dir.path()).unwrap();
    let found = fs::symlink_metadata(region.path()).unwrap();
    assert_eq!(region.path(), name(dir.path()));
    assert_eq!(found.mode() & 0o7777, 0o600);
    assert_eq!(found.len(), 4224);
    assert!(found.blocks() * 512 >= 4224, "backed");
    assert_ne!(region.owner_generation(), 0);
    assert!(region.owner_alive());
    let client = Region::attach(&Place::new(dir.path(), "x", 1)).unwrap();
    assert_eq!(client.layout(), region.layout());
    assert_eq!(client.owner_generation(), region.owner_generation());
    assert_eq!(client.size(), region.size());
    drop(client);
    assert_eq!(count(dir.path()), 1, "a client removes nothing");
    drop(region);
    assert_eq!(count(dir.path()), 0);
}

#[test]
fn the_umask_does_not_matter() {
    if let Some(mask) = part() {
        umask(Mode::from_raw_mode(u32::from_str_radix(&mask, 8).unwrap()));
        let dir = scratch();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let region = create(dir.path()).unwrap();
        assert_eq!(fs::symlink_metadata(region.path()).unwrap().mode() & 0o777, 0o600);
        return;
    }
    for mask in ["0", "777"] {
        run_child!(the_umask_does_not_matter, mask);
    }
}

#[test]
fn refuses_sizes_that_no_region_can_have() {
    let dir = scratch();
    let largest = 0xFFFF_FFC0;
    for (request, response) in
        [(0, 1), (1, 0), (largest + 1, 1), (1, largest + 1), (largest, 64), (1 << 31, 1 << 31)]
    {
        let error = Region::create(&Place::new(dir.path(), "x", 1), request, response).unwrap_err();
        assert_eq!(error.fault(), RegionFault::BadParam, "{request} {response}");
    }
    assert!(
        RegionLayout::for_capacities(HEADER_LEN, largest - 128, 64).is_some(),
        "the largest there is"
    );
    assert!(RegionLayout::for_capacities(HEADER_LEN, largest - 64, 64).is_none());
    let error = Region::create(&Place::new(dir.path(), "a/b", 1), 64, 64).unwrap_err();
    assert_eq!(error.fault(), RegionFault::BadParam);
    let long = "s".repeat(300);
    let error = Region::create(&Place::new(dir.path(), &long, 1), 64, 64).unwrap_err();
    assert_eq!(error.fault(), RegionFault::PathTooLong);
    assert_eq!(count(dir.path()), 0);
}

#[test]
fn says_what_is_wrong_with_the_directory() {
    let dir = scratch();
    let missing = dir.path().join("no");
    for error in [
        Region::create(&Place::new(&missing, "x", 1), 64, 64).unwrap_err(),
        Region::attach(&Place::new(&missing, "x", 1)).unwrap_err(),
    ] {
        assert_eq!(error.fault(), RegionFault::Open);
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        let expected =
            format!("shared memory {}: open: no such file or directory", name(&missing).display());
        assert_eq!(error.to_string(), expected);
        let error = Error::from(error);
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, expected));
    }
}

#[test]
fn a_live_region_is_not_replaced() {
    let dir = scratch();
    let region = create(dir.path()).unwrap();
    assert_eq!(create(dir.path()).unwrap_err(), RegionFault::InUse);
    Region::attach(&Place::new(dir.path(), "x", 1)).unwrap();
    drop(region);
    create(dir.path()).unwrap();
}

#[test]
fn a_dead_region_is_replaced() {
    if let Some(dir) = part() {
        // Ends without cleaning up, as if it were killed.
        std::mem::forget(create(Path::new(&dir)).unwrap());
        return;
    }
    let dir = scratch();
    run_child!(a_dead_region_is_replaced, dir.path().to_str().unwrap());
    assert_eq!(count(dir.path()), 1);
    let dead = Region::attach(&Place::new(dir.path(), "x", 1)).unwrap();
    assert!(!dead.owner_alive());
    let region = create(dir.path()).unwrap();
    assert!(region.owner_alive());
    assert_eq!(count(dir.path()), 1);
}

#[test]
fn a_link_at_the_name_is_replaced_and_not_followed() {
    let dir = scratch();
    let target = dir.path().join("precious");
    fs::write(&target, "content").unwrap();
    symlink(&target, name(dir.path())).unwrap();
    assert_eq!(
        Region::attach(&Place::new(dir.path(), "x", 1)).unwrap_err().fault(),
        RegionFault::Open
    );
    let region = create(dir.path()).unwrap();
    assert!(!region.path().is_symlink());
    assert_eq!(fs::read(&target).unwrap(), b"content");
}

#[test]
fn does_not_remove_the_region_of_a_successor() {
    let dir = scratch();
    let first = create(dir.path()).unwrap();
    fs::remove_file(first.path()).unwrap();
    let second = create(dir.path()).unwrap();
    drop(first);
    Region::attach(&Place::new(dir.path(), "x", 1)).unwrap();
    drop(second);
    assert_eq!(count(dir.path()), 0);
}

#[test]
fn clients_of_other_users_are_kept_out() {
    if !is_root("another user") {
        return;
    }
    let dir = scratch();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let _region = create(dir.path()).unwrap();
    let error = as_nobody(|| Region::attach(&Place::new(dir.path(), "x", 1)).unwrap_err());
    assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    assert_eq!(Error::from(error).kind(), ErrorKind::PermissionDenied);
}

#[test]
fn leaves_nothing_behind_when_it_may_not_grow() {
    if part().is_none() {
        run_child!(leaves_nothing_behind_when_it_may_not_grow, "alone");
        return;
    }
    // SAFETY: to ignore a signal takes no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let dir = scratch();
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(4096), ..before }).unwrap();
    let error = Region::create(&Place::new(dir.path(), "x", 1), 1032, 3032).unwrap_err();
    setrlimit(Resource::Fsize, before).unwrap();
    assert_eq!(error.fault(), RegionFault::Allocate);
    assert_eq!(error.raw_os_error(), Some(libc::EFBIG));
    assert_eq!(count(dir.path()), 0);
}

#[test]
fn a_full_file_system_is_an_error_and_no_signal() {
    if let Some(dir) = part() {
        let dir = Path::new(&dir);
        let error = Region::create(&Place::new(dir, "x", 1), 1 << 20, 1 << 20).unwrap_err();
        assert_eq!(error.fault(), RegionFault::Allocate);
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(Error::from(error).kind(), ErrorKind::Exhausted);
        assert_eq!(count(dir), 0);
        // What fits is there to the last byte.
        let mut server = crate::shm::Shared::create(&Place::new(dir, "x", 2), 4096, 4096).unwrap();
        server.publish(&[1; 4096], b"").unwrap();
        return;
    }
    if !is_root("a file system that is full") {
        return;
    }
    let dir = scratch();
    let path = dir.path().to_str().unwrap();
    let test = concat!(module_path!(), "::a_full_file_system_is_an_error_and_no_signal");
    let again = child(test, path);
    // In a name space of its own, so that the mount is gone with the process.
    let mount = r#"mount -t tmpfs -o size=64k none "$0" && exec "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", mount, path]).arg(again.get_program());
    command.args(again.get_args());
    command.envs(again.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mounts = Command::new("unshare").args(["--mount", "true"]).status();
    if mounts.is_ok_and(|status| status.success()) {
        run(&mut command);
    } else {
        eprintln!("skipped, needs mount name spaces: a file system that is full");
    }
}
