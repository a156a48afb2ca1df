//! Every shape of path, in one table.

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn tells_who_runs_a_cgroup_and_what_it_is_called() {
    let cases = [
        ("/", Orchestrator::UNKNOWN, "root"),
        ("/../../..", Orchestrator::UNKNOWN, "root"),
        ("/user.slice/user-1000.slice", Orchestrator::UNKNOWN, "user.slice/user-1000.slice"),
        // systemd
        ("/system.slice/nginx.service", Orchestrator::SYSTEMD, "nginx"),
        ("/../system.slice/nginx.service", Orchestrator::SYSTEMD, "nginx"),
        (
            "/system.slice/system-getty.slice/getty@tty1.service",
            Orchestrator::SYSTEMD,
            "getty@tty1",
        ),
        (
            "/system.slice/a.service/b.service",
            Orchestrator::UNKNOWN,
            "system.slice/a.service/b.service",
        ),
        ("/system.slice/a.service/inner", Orchestrator::UNKNOWN, "system.slice/a.service/inner"),
        ("/system.slice/qemu-guest-agent.service", Orchestrator::SYSTEMD, "qemu-guest-agent"),
        ("/system.slice/docker.service", Orchestrator::SYSTEMD, "docker"),
        ("/system.slice/docker-registry.service", Orchestrator::SYSTEMD, "docker-registry"),
        ("/system.slice/docker-deadbeef.service", Orchestrator::SYSTEMD, "docker-deadbeef"),
        // docker
        ("/docker/ID", Orchestrator::DOCKER, "0123456789ab"),
        ("/system.slice/docker-ID.scope", Orchestrator::DOCKER, "0123456789ab"),
        ("/system.slice/docker-ID.scope/init.scope", Orchestrator::DOCKER, "0123456789ab"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/docker-ID.scope",
            Orchestrator::DOCKER,
            "0123456789ab",
        ),
        ("/docker/buildkit", Orchestrator::DOCKER, "buildkit"),
        ("/docker", Orchestrator::UNKNOWN, "docker"),
        ("/docker-1234567", Orchestrator::UNKNOWN, "docker-1234567"),
        ("/docker-12345678", Orchestrator::DOCKER, "12345678"),
        ("/ecs-0123456789abcdef", Orchestrator::DOCKER, "0123456789ab"),
        (
            "/system.slice/containerd.service/x:cri-containerd:ID",
            Orchestrator::DOCKER,
            "0123456789ab",
        ),
        ("/system.slice/cri-containerd-ID.scope", Orchestrator::DOCKER, "0123456789ab"),
        ("/docker/ID/docker/fedcba9876543210", Orchestrator::DOCKER, "fedcba987654"),
        // podman
        ("/machine.slice/libpod-ID.scope", Orchestrator::PODMAN, "0123456789ab"),
        ("/machine.slice/libpod-conmon-ID.scope", Orchestrator::PODMAN, "0123456789ab"),
        ("/machine.slice/libpod-ID.scope/container", Orchestrator::PODMAN, "0123456789ab"),
        ("/podman/ID", Orchestrator::PODMAN, "0123456789ab"),
        ("/libpod_parent/libpod-ID", Orchestrator::PODMAN, "0123456789ab"),
        (
            "/machine.slice/libpod-0123456789ab.scope",
            Orchestrator::UNKNOWN,
            "machine.slice/libpod-0123456789ab.scope",
        ),
        // kubernetes
        (
            "/kubepods/burstable/pod0a1b2c3d-1111-2222-3333-444455556666/ID",
            Orchestrator::K8S,
            "k8s_ID",
        ),
        (
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0a1b2c3d_1111_2222_3333_444455556666.slice/cri-containerd-ID.scope",
            Orchestrator::K8S,
            "k8s_ID",
        ),
        (
            "/kubepods.slice/kubepods-pod0a1b2c3d_1111.slice/crio-ID.scope",
            Orchestrator::K8S,
            "k8s_ID",
        ),
        (
            "/docker/ID/kubelet/kubepods/besteffort/pod0a1b2c3d-1111/fedcba98ID",
            Orchestrator::K8S,
            "k8s_fedcba98ID",
        ),
        ("/kubepods/burstable/pod0a1b2c3d-1111", Orchestrator::K8S, "k8s_pod0a1b2c3d-1111"),
        ("/kubepods.slice/kubepods-burstable.slice", Orchestrator::K8S, "k8s_kubepods-burstable"),
        ("/kubepods.slice", Orchestrator::K8S, "k8s_kubepods"),
        // LXC
        ("/lxc.payload.web", Orchestrator::LXC, "web"),
        ("/lxc.monitor.web", Orchestrator::LXC, "web"),
        ("/lxc.payload.web/system.slice/nginx.service", Orchestrator::LXC, "web"),
        ("/lxc/104", Orchestrator::LXC, "104"),
        ("/lxc/104/ns", Orchestrator::LXC, "104"),
        ("/lxc", Orchestrator::UNKNOWN, "lxc"),
        (r"/machine.slice/machine-lxc\x2d4711\x2dweb.scope", Orchestrator::LXC, "web"),
        ("/machine.slice/machine-web-lxc", Orchestrator::LXC, "web"),
        // KVM
        (r"/machine.slice/machine-qemu\x2d1\x2dubuntu.scope", Orchestrator::KVM, "qemu_ubuntu"),
        (r"/machine.slice/machine-qemu\x2d12\x2dmy\x2dvm.scope", Orchestrator::KVM, "qemu_my-vm"),
        (
            r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt/vcpu0",
            Orchestrator::KVM,
            "qemu_vm",
        ),
        ("/machine/web.libvirt-qemu", Orchestrator::KVM, "qemu_web"),
        ("/qemu.slice/100.scope", Orchestrator::KVM, "qemu_100"),
        ("/machine.slice/qemu-web.scope", Orchestrator::KVM, "qemu_web"),
        // nspawn
        (
            "/machine.slice/systemd-nspawn@debian.service",
            Orchestrator::NSPAWN,
            "systemd-nspawn@debian",
        ),
        ("/machine.slice/a/b.service", Orchestrator::UNKNOWN, "machine.slice/a/b.service"),
    ];
    for (path, orchestrator, name) in cases {
        let identity = identify(path.replace("ID", ID).as_bytes());
        let told = String::from_utf8(identity.name).unwrap();
        assert_eq!((identity.orchestrator, told), (orchestrator, name.replace("ID", ID)), "{path}");
    }
}

#[test]
fn a_monitor_is_the_helper_of_the_container_it_watches() {
    assert!(identify(b"/lxc.monitor.web").helper);
    assert!(!identify(b"/lxc.payload.web").helper);
    assert!(identify(format!("/machine.slice/libpod-conmon-{ID}.scope").as_bytes()).helper);
    assert!(!identify(format!("/machine.slice/libpod-{ID}.scope").as_bytes()).helper);
}

#[test]
fn labels_say_what_the_path_gives_away() {
    let path = format!("/kubepods/burstable/pod0a1b2c3d-1111/{ID}");
    assert_eq!(
        identify(path.as_bytes()).labels,
        [
            ("k8s_pod_uid", b"0a1b2c3d-1111".to_vec()),
            ("k8s_qos_class", b"burstable".to_vec()),
            ("container_id", ID.as_bytes().to_vec()),
        ]
    );
    let unit = identify(b"/system.slice/system-getty.slice/getty@tty1.service");
    assert_eq!(
        unit.labels,
        [("unit", b"getty@tty1.service".to_vec()), ("slice", b"system-getty.slice".to_vec())]
    );
}

#[test]
fn no_path_makes_it_stumble() {
    let parts: [&[u8]; 12] = [
        b"kubepods",
        b"docker",
        b"lxc",
        b"machine.slice",
        b"machine",
        b"machine-qemu",
        b"qemu-.scope",
        b".service",
        b"\xff\n",
        br"\x2d",
        b"lxc.payload.",
        b"..",
    ];
    for first in parts {
        for second in parts {
            for third in parts {
                let path = [b"/", first, b"/", second, b"/", third].concat();
                assert!(!identify(&path).name.is_empty(), "{}", path.escape_ascii());
            }
        }
    }
}
