//! What the table says of cgroups, without any filesystem.

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Knows one container, and that paths with `pause` in them hold one.
struct Engine;

impl Facts for Engine {
    fn named(&self, container: &str) -> Option<Named> {
        let labels = vec![("image", "nginx:1.27".to_owned())];
        (container == ID).then(|| Named { name: "web-frontend".into(), labels })
    }

    fn is_pause(&self, procs: &[u8]) -> bool {
        procs.ends_with(b"fe/cgroup.procs")
    }
}

fn found(path: &str) -> Found {
    let procs = format!("/sys/fs/cgroup{path}/cgroup.procs").into_bytes();
    Found { path: path.into(), procs, unified: true }
}

fn table(paths: &[&str]) -> Table {
    let cgroups = paths.iter().map(|path| found(&path.replace("ID", ID))).collect();
    let walk = Walk { cgroups, closed: vec![b"/secret".to_vec()], ..Walk::default() };
    Table::new(&walk, &Engine)
}

fn only(path: &str) -> Cgroup {
    table(&[path]).cgroups()[0].clone()
}

#[test]
fn hashes_as_the_consumers_expect() {
    assert_eq!(fnv1a(b"systemd_nginx"), 0xe01a_7e5f);
    assert_eq!(fnv1a(b""), 0x811c_9dc5);
}

#[test]
fn a_service_is_named_and_marked() {
    let nginx = only("/system.slice/nginx.service");
    assert_eq!((&nginx.name[..], &nginx.chart[..]), (&b"nginx"[..], &b"systemd_nginx"[..]));
    assert_eq!(nginx.hash, 0xe01a_7e5f);
    assert_eq!(nginx.options, SYSTEM_SERVICE | UNIFIED);
    assert!(nginx.enabled);
    assert_eq!(nginx.procs, b"/sys/fs/cgroup/system.slice/nginx.service/cgroup.procs");
}

#[test]
fn a_container_goes_by_the_name_its_engine_knows() {
    let web = only("/docker/ID");
    assert_eq!(web.chart, b"cgroup_web-frontend");
    assert_eq!(web.labels.last(), Some(&(b"image".to_vec(), b"nginx:1.27".to_vec())));
    let other = only("/docker/fedcba9876543210");
    assert_eq!(other.chart, b"cgroup_fedcba987654");
}

#[test]
fn a_kubernetes_container_keeps_its_own_kind_of_name() {
    assert_eq!(only("/kubepods/pod0a1b2c3d/ID").name, format!("k8s_{ID}").into_bytes());
}

#[test]
fn a_pause_container_is_disabled() {
    let pause = format!("/kubepods/pod0a1b2c3d/{}fe", &ID[..62]);
    let pause = only(&pause);
    assert!(!pause.enabled && pause.options & EXCLUDED != 0);
    assert!(only("/kubepods/pod0a1b2c3d/ID").enabled);
}

#[test]
fn a_cgroup_without_processes_file_is_disabled_without_being_excluded() {
    let bare = Found { procs: Vec::new(), ..found("/a") };
    let table = Table::new(&Walk { cgroups: vec![bare], ..Walk::default() }, &Engine);
    assert!(!table.cgroups()[0].enabled);
    assert_eq!(table.cgroups()[0].options, UNIFIED);
}

#[test]
fn the_second_of_a_name_is_disabled_and_says_so() {
    let table = table(&["/docker/ID", "/system.slice/docker-ID.scope"]);
    let [first, second] = table.cgroups() else { panic!("two were found") };
    assert!(first.enabled && first.options & DUPLICATE == 0);
    assert!(!second.enabled && second.options & DUPLICATE != 0);
    assert_eq!(first.hash, second.hash);
}

#[test]
fn a_container_goes_before_its_monitor() {
    let table = table(&["/lxc.monitor.web", "/lxc.payload.web"]);
    let [monitor, payload] = table.cgroups() else { panic!("two were found") };
    assert!(payload.enabled && !monitor.enabled);
    assert!(monitor.options & DUPLICATE != 0);
}

#[test]
fn chart_ids_have_neither_slashes_nor_odd_bytes() {
    assert_eq!(chart_id("cgroup_", b"a/b\xff c\n"), b"cgroup_a_b__c_");
    assert_eq!(chart_id("cgroup_", "größe".as_bytes()), "cgroup_größe".as_bytes());
}

#[test]
fn looks_up_paths_as_processes_see_them() {
    let table = table(&["/", "/a", "/a/x", "/b/x", "/system.slice/nginx.service"]);
    let known = |path: &[u8]| match table.lookup(path) {
        Answer::Known(cgroup) => Some(String::from_utf8(cgroup.path.clone()).unwrap()),
        _ => None,
    };
    assert_eq!(known(b"/").unwrap(), "/");
    assert_eq!(known(b"/a/x").unwrap(), "/a/x");
    assert_eq!(known(b"/../system.slice/nginx.service").unwrap(), "/system.slice/nginx.service");
    assert_eq!(known(b"/../../a/x").unwrap(), "/a/x");
    assert_eq!(known(b"/../x"), None, "two end with it");
}

#[test]
fn a_provider_inside_a_namespace_tells_paths_by_their_ends() {
    let cgroups = ["/", "/a", "/a/x", "/x", "/b/y"].map(found).into();
    let table = Table::new(&Walk { cgroups, namespaced: true, ..Walk::default() }, &Engine);
    let known = |path: &[u8]| matches!(table.lookup(path), Answer::Known(_));
    assert!(known(b"/y") && known(b"/../b/y") && known(b"/a/x"));
    assert!(!known(b"/x"), "two end with it, and neither need be the one meant");
    assert_eq!(table.lookup(b"/"), Answer::Never, "the root of the namespace is anywhere");
}

#[test]
fn tells_what_may_still_come_from_what_never_will() {
    let table = table(&["/"]);
    assert_eq!(table.lookup(b"/not/yet"), Answer::RetryLater);
    assert_eq!(table.lookup(b"/../not/yet"), Answer::RetryLater);
    assert_eq!(table.lookup(b"/..not"), Answer::RetryLater);
    for never in [
        &b"/init.scope/inner"[..],
        b"/secret/a/b",
        b"relative",
        b"",
        b"/a//b",
        b"/a/",
        b"/a/../b",
        b"/..",
        b"/../..",
        b"/a/./b",
    ] {
        assert_eq!(table.lookup(never), Answer::Never, "{}", never.escape_ascii());
    }
}

#[test]
fn tables_are_compared_by_what_they_say() {
    let mut later = table(&["/a"]);
    later.generation = 7;
    assert!(later.says_the_same(&table(&["/a"])));
    assert!(!later.says_the_same(&table(&["/a", "/b"])));
}
