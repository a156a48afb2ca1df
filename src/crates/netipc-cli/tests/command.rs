//! The built command, end to end: what it prints, what it says, and how it exits.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[allow(dead_code, reason = "shared with other files of tests")]
mod provider;

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::ffi::OsStrExt,
    process::Stdio,
};

use serde_json::{Value, json};

use provider::{Provider, cgroup, netipc, stderr, stdout, tree};

#[test]
fn a_snapshot_of_any_size_is_served_whole_over_every_transport() {
    for count in [297, 1_000, 4_749, 20_000] {
        let id = |number: usize| format!("system.slice/docker-{number:064x}.scope");
        // The root and the slice are cgroups too.
        let paths: Vec<_> = (2..count).map(id).collect();
        let tree = tree(&paths);
        cgroup(tree.path(), "system.slice");
        let provider = Provider::of_tree(tree.path(), &[]);
        for transport in ["ring", "shm", "socket"] {
            let snapshot = provider.json(&["snapshot", "--transport", transport]);
            let items = snapshot["items"].as_array().unwrap();
            assert_eq!((items.len(), snapshot["transport"].as_str()), (count, Some(transport)));
            let last = format!("{}/{}/cgroup.procs", tree.path().display(), id(count - 1));
            assert_eq!(items.last().unwrap()["path"].as_str(), Some(&last[..]));
        }
    }
}

#[test]
fn looks_up_cgroups_and_says_what_is_known_of_each() {
    let tree = tree(&["system.slice/nginx.service", "init.scope"]);
    let provider = Provider::of_tree(tree.path(), &[]);
    let paths =
        ["/system.slice/nginx.service", "/../system.slice/nginx.service", "/no", "/init.scope/x"];
    let found = provider.json(&[&["lookup", "cgroups"], &paths[..]].concat());
    let nginx = json!({
        "path": paths[0],
        "status": "known",
        "orchestrator": "systemd",
        "name": "nginx",
        "labels": { "unit": "nginx.service", "slice": "system.slice" },
    });
    assert_eq!(found["items"][0], nginx);
    let statuses: Vec<_> = (0..4).map(|index| found["items"][index]["status"].clone()).collect();
    assert_eq!(statuses, ["known", "known", "retry-later", "unknown"]);

    let output = provider.run(&["lookup", "cgroups", paths[0], "/init.scope/x"]);
    assert_eq!(
        stdout(&output),
        "STATUS   ORCH     NAME   PATH                         LABELS\n\
         known    systemd  nginx  /system.slice/nginx.service  unit=nginx.service slice=system.slice\n\
         unknown  -        -      /init.scope/x                -\n\
         2 items, generation 1, ring\n"
    );
    let output = provider.run(&["lookup", "cgroups", "/init.scope/x"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn names_that_are_no_text_are_shown_safely_and_kept_for_programs() {
    let tree = tree::<&str>(&[]);
    let odd = tree.path().join(OsStr::from_bytes(b"odd\x1b[2J\xff"));
    fs::create_dir(&odd).unwrap();
    fs::write(odd.join("cgroup.procs"), "").unwrap();
    let provider = Provider::of_tree(tree.path(), &[]);
    let output = provider.run(&["snapshot"]);
    assert!(stdout(&output).contains(r"/odd\u{1b}[2J\xff/cgroup.procs"), "{}", stdout(&output));
    assert!(!output.stdout.contains(&0x1b));
    let path = OsStr::from_bytes(b"/odd\x1b[2J\xff");
    let output =
        netipc(provider.dir.path()).args(["--json", "lookup", "cgroups"]).arg(path).output();
    let found: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(found["items"][0]["status"], "known");
    assert_eq!(found["items"][0]["path_hex"], "2f6f64641b5b324aff");
}

#[test]
fn reads_keys_from_standard_input() {
    let tree = tree(&["a", "b\nc"]);
    let provider = Provider::of_tree(tree.path(), &[]);
    let ask = |args: &[&str], input: &[u8]| {
        let mut command = netipc(provider.dir.path());
        command.args(["--json", "lookup", "cgroups"]).args(args);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        found["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["path"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(ask(&["/x", "-"], b"/a\n\n/b"), ["/x", "/a", "/b"]);
    assert_eq!(ask(&["-0", "-"], b"/a\0/b\nc\0"), ["/a", "/b\nc"]);
}

#[test]
fn thousands_of_keys_are_answered_in_order() {
    let tree = tree(&["a"]);
    let provider = Provider::of_tree(tree.path(), &[]);
    let keys: String = (0..20_000).map(|number| format!("/key-{number}\n")).collect();
    let mut command = netipc(provider.dir.path());
    command.args(["--json", "lookup", "cgroups", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(keys.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["items"].as_array().unwrap().len(), 20_000);
    assert_eq!(found["items"][19_999]["path"], "/key-19999");
}

#[test]
fn looks_up_processes_of_this_machine() {
    let provider = Provider::start(&["apps"]);
    let own = std::process::id().to_string();
    let found = provider.json(&["lookup", "apps", &own, "4294967295"]);
    let process = &found["items"][0];
    assert_eq!(
        (&process["status"], &process["pid"]),
        (&json!("known"), &json!(std::process::id()))
    );
    assert_eq!(process["ppid"], std::os::unix::process::parent_id());
    assert_eq!(process["uid"], rustix::process::getuid().as_raw());
    assert_eq!(found["items"][1], json!({ "pid": u32::MAX, "status": "unknown" }));
    let output = provider.run(&["lookup", "apps", "4294967295"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn watches_cgroups_come_and_go_through_the_death_of_the_provider() {
    let tree = tree(&["first"]);
    let provider = Provider::of_tree(tree.path(), &[]);
    let mut command = netipc(provider.dir.path());
    command.args(["--json", "watch", "--interval", "20ms"]).stdout(Stdio::piped());
    let mut watch = command.spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut until = |change: &str, path: &str| loop {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let of = line["item"]["path"].as_str().unwrap_or_default();
        if line["change"] == change && of.ends_with(path) {
            return line;
        }
    };
    until("new", "/first/cgroup.procs");
    cgroup(tree.path(), "second");
    until("new", "/second/cgroup.procs");

    let (dir, code) = provider.end("-KILL");
    assert_eq!(code, None);
    let lost = until("lost", "");
    assert!(lost["error"].as_str().unwrap().contains("cgroups-snapshot"), "{lost}");
    fs::remove_dir_all(tree.path().join("first")).unwrap();
    let root = tree.path().to_str().unwrap();
    let args = ["cgroups", "--engine-socket", "none", "--cgroup-root", root];
    let provider = Provider::start_in(dir, &args);
    // What was known when the provider died was kept: only what changed is told.
    until("connected", "");
    until("gone", "/first/cgroup.procs");
    drop(provider);
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn lists_services_in_every_state() {
    let tree = tree::<&str>(&[]);
    let provider = Provider::of_tree(tree.path(), &[]);
    let dir = provider.dir.path();
    fs::write(dir.join("foreign.sock"), "not a socket").unwrap();
    drop(std::os::unix::net::UnixListener::bind(dir.join("dead.sock")).unwrap());
    fs::write(dir.join("notes.txt"), "").unwrap();
    let states = |listed: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let listed = listed.as_array().unwrap();
        listed.iter().map(|item| (text(&item["service"]), text(&item["state"]))).collect()
    };
    let listed = provider.json(&["ls"]);
    let expected = [
        ("cgroups-lookup", "ready"),
        ("cgroups-snapshot", "ready"),
        ("dead", "stale"),
        ("foreign", "foreign"),
    ];
    assert_eq!(states(&listed), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    assert_eq!(listed[0]["transport"], "ring");
    assert!(listed[0]["pid"].is_number());
    let other_token = provider.json(&["--auth", "7", "ls"]);
    assert_eq!(other_token[0]["state"], "auth");
    provider.signal("-STOP");
    let stuck = provider.json(&["--timeout", "100ms", "ls"]);
    assert_eq!(stuck[0]["state"], "stuck");
    let output = provider.run(&["--timeout", "100ms", "snapshot"]);
    assert_eq!(output.status.code(), Some(7), "{}", stderr(&output));
    provider.signal("-CONT");
}

#[test]
fn pings_every_service() {
    let tree = tree::<&str>(&[]);
    let provider = Provider::of_tree(tree.path(), &[]);
    for transport in ["ring", "shm", "socket"] {
        let measured = provider.json(&["ping", "--count", "10", "--transport", transport]);
        assert_eq!(measured.as_array().unwrap().len(), 2);
        assert_eq!(
            (&measured[1]["calls"], &measured[1]["transport"]),
            (&json!(10), &json!(transport))
        );
    }
    let output = provider.run(&["ping", "no-such-service"]);
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn rings_carry_messages_where_both_sides_are_told_to_use_them() {
    let tree = tree::<&str>(&["a.scope"]);
    let provider = Provider::of_tree(tree.path(), &["--transport", "ring"]);
    for command in [&["ping", "--count", "10"][..], &["ls"]] {
        let told = provider.json(&[command, &["--transport", "ring"]].concat());
        assert_eq!(told[1]["transport"], "ring", "{told}");
    }
    let snapshot = provider.json(&["snapshot", "--transport", "ring"]);
    assert_eq!(snapshot["transport"], "ring");
    let output = provider.run(&["snapshot", "--transport", "shm"]);
    assert_eq!(output.status.code(), Some(6), "{}", stderr(&output));
}

#[test]
fn a_token_is_never_shown() {
    let tree = tree::<&str>(&[]);
    let provider = Provider::of_tree(tree.path(), &[]);
    let secret = "98765432123456789";
    for args in [
        &["--auth", secret, "snapshot"][..],
        &["--auth", "98765432123456789x", "snapshot"],
        &["--auth", "invocation:98765432123456789", "ls"],
        &["--auth", secret, "serve", "cgroups"],
    ] {
        let output = provider.run(args);
        let shown = stdout(&output) + &stderr(&output);
        assert!(!shown.contains("98765432"), "{args:?}: {shown}");
    }
    let output = netipc(provider.dir.path()).env("NETIPC_AUTH", secret).arg("--help").output();
    assert!(!stdout(&output.unwrap()).contains(secret));
}

#[test]
fn the_invocation_of_netdata_is_the_token_of_both_sides() {
    let tree = tree::<&str>(&[]);
    let token = "0x06a1c32e74962366";
    let provider = Provider::of_tree(tree.path(), &["--auth", token]);
    let invocation = "8d6b4c5e2f1a4b3c9d8e7f6a5b4c3d2e";
    let mut command = netipc(provider.dir.path());
    let status = command.env("NETDATA_INVOCATION_ID", invocation).arg("snapshot").output();
    assert!(status.unwrap().status.success());
    assert_eq!(provider.run(&["snapshot"]).status.code(), Some(5));
}

#[test]
fn a_provider_that_is_interrupted_leaves_nothing_behind() {
    let tree = tree::<&str>(&[]);
    for signal in ["-INT", "-TERM", "-HUP"] {
        let provider = Provider::of_tree(tree.path(), &[]);
        provider.json(&["snapshot"]);
        let (dir, code) = provider.end(signal);
        assert_eq!(code, Some(0), "{signal}");
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{signal}: {left:?}");
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let paths: Vec<_> = (0..2_000).map(|number| format!("cgroup-{number}")).collect();
    let tree = tree(&paths);
    let provider = Provider::of_tree(tree.path(), &[]);
    for args in [&["snapshot"][..], &["--json", "snapshot"], &["watch"], &["--json", "watch"]] {
        let mut command = netipc(provider.dir.path());
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panic"), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn inside_a_cgroup_namespace_the_own_root_is_not_taken_for_that_of_the_host() {
    // One level down, so that there is something above the root of the namespace.
    let script = r#"
        mount=$(awk '$(NF-2) ~ /^cgroup/ { print $5; exit }' /proc/self/mountinfo)
        dir="$mount/netipc-test-$$"
        mkdir "$dir" 2> /dev/null || exit 77
        trap 'echo $$ > "$mount/cgroup.procs"; rmdir "$dir"' EXIT
        echo $$ > "$dir/cgroup.procs" || exit 77
        unshare -C sh -e -c '
            "$NETIPC" --run-dir "$RUN_DIR" serve cgroups --engine-socket none 2> "$RUN_DIR/log" &
            provider=$!
            until grep -q serving "$RUN_DIR/log"; do kill -0 "$provider"; sleep 0.01; done
            "$NETIPC" --run-dir "$RUN_DIR" --json lookup cgroups / "/../$1" || true
            kill "$provider"; wait "$provider"
        ' sh "${dir##*/}"
    "#;
    let dir = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).env("NETIPC", env!("CARGO_BIN_EXE_netipc"));
    command
        .env("RUN_DIR", dir.path())
        .env_remove("NETIPC_AUTH")
        .env_remove("NETDATA_INVOCATION_ID");
    let output = command.output().unwrap();
    if output.status.code() == Some(77) {
        return eprintln!("skipped: no cgroup can be made here");
    }
    let found: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|why| panic!("{why}: {}{}", stdout(&output), stderr(&output)));
    assert_eq!(found["items"][0]["status"], "unknown");
    assert_eq!(found["items"][1]["status"], "known");
}

#[test]
fn the_demo_shows_all_acts_and_leaves_nothing_behind() {
    let tree = tree(&["system.slice/nginx.service"]);
    let temp = tempfile::tempdir().unwrap();
    let mut command = netipc(temp.path());
    command.env("TMPDIR", temp.path()).args(["demo", "--cgroup-root"]).arg(tree.path());
    let output = command.output().unwrap();
    let shown = stdout(&output);
    assert!(output.status.success(), "{}", stderr(&output));
    let facts = [
        "1/4",
        "live  over rings",
        "lookup of a cgroup over rings: median",
        "systemd_nginx",
        "2/4",
        "live  over socket",
        "lookup of a cgroup over socket: median",
        "3/4",
        "showing what was known",
        "systemd_nginx",
        "4/4",
        "live",
        "1 reconnect",
    ];
    let mut rest = &shown[..];
    for fact in facts {
        let at = rest.find(fact).unwrap_or_else(|| panic!("no {fact:?} in its place in:\n{shown}"));
        rest = &rest[at + fact.len()..];
    }
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let tree = tree(&["a"]);
    let temp = tempfile::tempdir().unwrap();
    let mut command = netipc(temp.path());
    command.env("TMPDIR", temp.path()).args(["demo", "--cgroup-root"]).arg(tree.path());
    let mut demo = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let provider = lines.nth(1).unwrap().unwrap();
    let provider = provider.split_whitespace().nth(2).unwrap().to_owned();
    let demo_pid = demo.id().to_string();
    assert!(std::process::Command::new("kill").arg(demo_pid).status().unwrap().success());
    // Until it is gone, its output is read.
    lines.for_each(drop);
    assert!(demo.wait().unwrap().success());
    assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0);
    assert!(!fs::exists(format!("/proc/{provider}")).unwrap());
}
