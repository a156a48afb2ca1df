//! What the command makes of bad input: what it says, how it exits, and that nothing is lost.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[allow(dead_code, reason = "shared with other files of tests")]
mod provider;

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::Path,
};

use serde_json::Value;

use provider::{Provider, as_nobody, netipc, stderr, stdout, tree};

#[test]
fn a_snapshot_larger_than_allowed_is_refused_and_says_so() {
    let paths: Vec<_> = (0..1_000).map(|number| format!("cgroup-{number}")).collect();
    let tree = tree(&paths);
    let provider = Provider::of_tree(tree.path(), &["--max-reply", "32KiB"]);
    let output = provider.run(&["snapshot"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()));
    assert!(stderr(&output).contains("--max-reply"), "{}", stderr(&output));
    // The other service of the provider is none the worse for it.
    let found = provider.json(&["lookup", "cgroups", "/cgroup-7"]);
    assert_eq!(found["items"][0]["status"], "known");
}

#[test]
fn the_exit_code_tells_what_went_wrong() {
    let tree = tree::<&str>(&[]);
    let provider = Provider::of_tree(tree.path(), &["--transport", "socket"]);
    let code = |args: &[&str]| provider.run(args).status.code().unwrap();
    assert_eq!(code(&["snapshot"]), 0);
    assert_eq!(code(&["--version"]), 0);
    assert_eq!(code(&["snapshot", "--no-such-flag"]), 2);
    assert_eq!(code(&["lookup", "cgroups"]), 2);
    assert_eq!(code(&["lookup", "cgroups", ""]), 2);
    assert_eq!(code(&["lookup", "apps", "12x"]), 2);
    assert_eq!(code(&["lookup", "apps", "1"]), 3);
    assert_eq!(code(&["--run-dir", "/no/such/directory", "snapshot"]), 3);
    assert_eq!(code(&["--auth", "1", "snapshot"]), 5);
    assert_eq!(code(&["--transport", "shm", "snapshot"]), 6);
    assert_eq!(code(&["serve", "cgroups", "--cgroup-root", "/no/such/tree"]), 3);
    // Somebody else's provider is left alone.
    let root = tree.path().to_str().unwrap();
    assert_eq!(code(&["serve", "cgroups", "--cgroup-root", root]), 1);
    assert_eq!(code(&["snapshot"]), 0);
}

#[test]
fn another_user_is_denied_and_told_why() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can become somebody else");
    }
    let tree = tree::<&str>(&[]);
    let provider = Provider::of_tree(tree.path(), &[]);
    let dir = provider.dir.path();
    let output = as_nobody(dir, &["snapshot"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let output = as_nobody(dir, &["ls"]);
    assert!(
        stdout(&output).contains("socket 0600 of 0:0, you are uid 65534"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn rings_with_another_user_work_and_a_region_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can become somebody else");
    }
    let tree = tree::<&str>(&[]);
    let provider = Provider::of_tree(tree.path(), &["--mode", "0666"]);
    let dir = provider.dir.path();
    let output = as_nobody(dir, &["snapshot"]);
    assert!(stdout(&output).ends_with("ring\n"), "{}{}", stdout(&output), stderr(&output));
    let output = as_nobody(dir, &["snapshot", "--transport", "shm"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains(".ipcshm: open: permission denied"), "{told}");
    assert!(told.contains("hint: the provider's shared memory cannot be used"), "{told}");
}

#[test]
fn cgroups_that_may_not_be_read_are_left_out_and_told() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can become somebody else");
    }
    let tree = tree(&["open", "shut/inner"]);
    let permit = |dir: &Path, mode| fs::set_permissions(dir, PermissionsExt::from_mode(mode));
    permit(tree.path(), 0o755).unwrap();
    permit(&tree.path().join("shut"), 0o700).unwrap();
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(65534), Some(65534)).unwrap();
    // Ends at once, as its input does.
    let root = tree.path().to_str().unwrap();
    let serve =
        ["serve", "cgroups", "--until-eof", "--engine-socket", "none", "--cgroup-root", root];
    let output = as_nobody(dir.path(), &serve);
    assert!(output.status.success(), "{}", stderr(&output));
    let told = format!("read {root}/shut: permission denied: its cgroups are left out\n");
    assert!(stderr(&output).contains(&told), "{}", stderr(&output));
    assert!(stderr(&output).contains(": 3 cgroups"), "{}", stderr(&output));
    permit(tree.path(), 0o700).unwrap();
    let output = as_nobody(dir.path(), &serve);
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("run as a user who may read it"), "{}", stderr(&output));
}

#[test]
fn a_provider_that_cannot_listen_says_what_to_do() {
    let tree = tree::<&str>(&[]);
    let root = tree.path().to_str().unwrap();
    let serve = |dir: &Path| {
        let serve =
            ["serve", "cgroups", "--until-eof", "--engine-socket", "none", "--cgroup-root", root];
        netipc(dir).args(serve).output().unwrap()
    };
    // A directory in which not even root can make a file.
    let output = serve(Path::new("/proc"));
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("hint: name a directory"), "{}", stderr(&output));
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("x".repeat(100));
    fs::create_dir(&long).unwrap();
    let output = serve(&long);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("hint: name a directory"), "{}", stderr(&output));
}

#[test]
fn a_directory_without_processes_is_not_served() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = netipc(dir.path());
    let output =
        command.args(["serve", "apps", "--until-eof", "--proc-root"]).arg(dir.path()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("there are none"), "{}", stderr(&output));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_foreign_file_in_the_place_of_the_socket_is_left_intact() {
    let tree = tree::<&str>(&[]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cgroups-lookup.sock");
    fs::write(&path, "precious").unwrap();
    let mut command = netipc(dir.path());
    // Ends at once if it serves all the same.
    command.args(["serve", "cgroups", "--until-eof", "--cgroup-root"]).arg(tree.path());
    let output = command.output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("left intact"), "{}", stderr(&output));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert!(!dir.path().join("cgroups-snapshot.sock").exists());
}

#[test]
fn a_full_disk_behind_standard_output_is_told() {
    let tree = tree::<&str>(&[]);
    let provider = Provider::of_tree(tree.path(), &[]);
    for args in [&["snapshot"][..], &["--json", "snapshot"], &["ls"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = netipc(provider.dir.path()).args(args).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(stderr(&output).contains("no space left on device"), "{}", stderr(&output));
    }
}

#[test]
fn a_full_tmpfs_costs_regions_and_nothing_else() {
    let tree = tree(&["a"]);
    // In a mount namespace of its own: a run directory on a tmpfs that is filled to the last page.
    let script = r#"
        set -e
        mount -t tmpfs -o size=512k,nr_inodes=100 none "$RUN_DIR"
        "$NETIPC" --run-dir "$RUN_DIR" serve cgroups --engine-socket none --cgroup-root "$TREE" 2> "$LOG" &
        provider=$!
        trap 'kill "$provider"; wait "$provider"' EXIT
        until grep -q serving "$LOG"; do kill -0 "$provider"; sleep 0.01; done
        dd if=/dev/zero of="$RUN_DIR/filler" bs=4k 2> /dev/null && exit 9
        "$NETIPC" --run-dir "$RUN_DIR" --json snapshot
        "$NETIPC" --run-dir "$RUN_DIR" --transport shm snapshot 2> /dev/null && exit 8
        rm "$RUN_DIR/filler"
        "$NETIPC" --run-dir "$RUN_DIR" --json --transport shm snapshot
    "#;
    let scratch = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).env("NETIPC", env!("CARGO_BIN_EXE_netipc"));
    fs::create_dir(scratch.path().join("run")).unwrap();
    command.env("RUN_DIR", scratch.path().join("run")).env("LOG", scratch.path().join("log"));
    command.env("TREE", tree.path()).env_remove("NETIPC_AUTH").env_remove("NETDATA_INVOCATION_ID");
    if !std::process::Command::new("unshare")
        .args(["-m", "true"])
        .status()
        .is_ok_and(|s| s.success())
    {
        return eprintln!("skipped: mount namespaces are for root");
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let transports: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|snapshot| snapshot["transport"].clone())
        .collect();
    assert_eq!(transports, ["ring", "shm"]);
}
