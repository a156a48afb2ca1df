//! Processes with names and files that break naive readers.

use std::fs;

use super::*;

fn stat_of(comm: &[u8]) -> Vec<u8> {
    let rest = b") S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 2000 1";
    [b"42 (", comm, &rest[..], b"\n"].concat()
}

#[test]
fn reads_parent_and_start_whatever_the_name() {
    let names: [(&[u8], &[u8]); 9] = [
        (b"bash", b"bash"),
        (b"", b"-"),
        (b"a) S 1 (x)", b"a) S 1 (x)"),
        (b"((", b"(("),
        (b"a\nb\tc", b"a\nb\tc"),
        (b"kworker/u8:3-events_unbound_long", b"kworker/u8:3-ev"),
        (
            "ääääääääääää".as_bytes(),
            b"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3",
        ),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"\0x", b"-"),
    ];
    for (name, comm) in names {
        let stat = parse_stat(&stat_of(name)).unwrap();
        let expected = Stat { comm: comm.to_vec(), ppid: 7, starttime: 987_654 };
        assert_eq!(stat, expected, "{}", name.escape_ascii());
    }
}

#[test]
fn a_stat_cut_short_anywhere_is_no_process_and_no_crash() {
    let whole = stat_of(b"a) S (");
    let enough = whole.windows(6).position(|window| window == b"987654").unwrap() + 1;
    for end in 0..enough {
        assert_eq!(parse_stat(&whole[..end]), None, "{end}");
    }
}

#[test]
fn reads_the_real_user() {
    assert_eq!(parse_uid(b"Name:\tbash\nUid:\t1000\t1001\t1002\t1003\nGid:\t5\n"), Some(1000));
    assert_eq!(parse_uid(b"Name:\tUid:\nState:\tS\n"), None);
    assert_eq!(parse_uid(b"Uid:\t99999999999\n"), None);
}

#[test]
fn takes_the_cgroup_that_tells_most() {
    let cases: [(&[u8], &[u8]); 11] = [
        (b"0::/system.slice/nginx.service\n", b"/system.slice/nginx.service"),
        (b"0::/\n", b"/"),
        (b"9:name=systemd:/init.scope\n4:memory:/m\n0::/\n", b"/m"),
        (b"9:name=systemd:/s\n2:cpu,cpuacct:/c\n4:memory:/m\n0::/\n", b"/c"),
        (b"9:name=systemd:/s\n2:cpu,cpuacct:/\n0::/\n", b"/s"),
        (b"4:memory:/m\n0::/u\n", b"/u"),
        (b"3:pids:/p\n2:cpu:/\n", b"/p"),
        (b"0::/a:b c (deleted)\n", b"/a:b c"),
        (b"0::/../../x\n", b"/../../x"),
        (b"0::/odd\xff\n", b"/odd\xff"),
        (b"nonsense\n\n0::relative\n", b""),
    ];
    for (text, path) in cases {
        assert_eq!(parse_cgroup(text), path, "{}", text.escape_ascii());
    }
}

fn write(dir: &Path, file: &str, text: &[u8]) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join(file), text).unwrap();
}

#[test]
fn reads_a_process_from_its_directory() {
    let proc = tempfile::tempdir().unwrap();
    let dir = proc.path().join("42");
    write(&dir, "stat", &stat_of(b"nginx"));
    write(&dir, "status", b"Uid:\t33\t33\t33\t33\n");
    write(&dir, "cgroup", b"0::/system.slice/nginx.service\n");
    let read = |buffer: &mut Vec<u8>| read(&dir, buffer);
    let process = read(&mut Vec::new()).unwrap();
    assert_eq!((process.ppid, process.uid, &process.comm[..]), (7, Some(33), &b"nginx"[..]));
    assert_eq!(process.cgroup, b"/system.slice/nginx.service");

    fs::remove_file(dir.join("status")).unwrap();
    fs::remove_file(dir.join("cgroup")).unwrap();
    let process = read(&mut Vec::new()).unwrap();
    assert_eq!(process.uid, Some(rustix::process::getuid().as_raw()), "the owner of the directory");
    assert_eq!(process.cgroup, b"");

    fs::remove_file(dir.join("stat")).unwrap();
    assert!(is_gone(&read(&mut Vec::new()).unwrap_err()));
}

#[test]
fn reads_itself() {
    let process = read(Path::new("/proc/self"), &mut Vec::new()).unwrap();
    assert_eq!(process.ppid, std::os::unix::process::parent_id());
    assert_eq!(process.uid, Some(rustix::process::getuid().as_raw()));
    assert!(process.cgroup.starts_with(b"/"));
}

#[test]
fn a_process_that_ended_is_gone() {
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let dir = format!("/proc/{}", child.id());
    child.wait().unwrap();
    assert!(is_gone(&read(Path::new(&dir), &mut Vec::new()).unwrap_err()));
}
