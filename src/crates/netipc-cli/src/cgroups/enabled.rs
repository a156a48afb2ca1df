//! Which cgroups are worth a look by default.

use netipc::kinds::Orchestrator;

use super::identity::Identity;

/// Whether the cgroup at `path` is enabled, by what it is and what it is called.
pub(super) fn is_enabled(path: &[u8], identity: &Identity) -> bool {
    let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let holds_others: [&[u8]; 6] =
        [b".slice", b".mount", b".socket", b".swap", b".user", b".partition"];
    let is_container = identity.container.is_some();
    match identity.orchestrator {
        Orchestrator::SYSTEMD => return true,
        Orchestrator::K8S => return is_container,
        Orchestrator::KVM if last.starts_with(b"vcpu") || last == b"emulator" => return false,
        _ => {}
    }
    if matches!(path, b"/" | b"/docker" | b"/lxc" | b"/machine")
        || last == b"init.scope"
        || (last.starts_with(b"run-") && last.ends_with(b".scope"))
        || holds_others.iter().any(|suffix| last.ends_with(suffix))
    {
        return false;
    }
    let of_a_user = path.split(|&byte| byte == b'/').any(|component| component == b"user.slice");
    !of_a_user || is_container || identity.orchestrator != Orchestrator::UNKNOWN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroups::identity::identify;

    #[test]
    fn follows_the_default_rules() {
        let id = "0123456789abcdef".repeat(4);
        let cases = [
            ("/", false),
            ("/docker", false),
            ("/lxc", false),
            ("/machine", false),
            ("/init.scope", false),
            ("/system.slice", false),
            ("/system.slice/nginx.service", true),
            ("/system.slice/run-u1.scope", false),
            ("/system.slice/var-lib.mount", false),
            ("/system.slice/dbus.socket", false),
            ("/dev-sda2.swap", false),
            ("/a.partition", false),
            ("/a.user", false),
            ("/something.scope", true),
            ("/anything", true),
            ("/user.slice", false),
            ("/user.slice/user-1000.slice/session-2.scope", false),
            ("/user.slice/user-1000.slice/user@1000.service/libpod-ID.scope", true),
            ("/docker/ID", true),
            ("/lxc.payload.web", true),
            ("/qemu.slice/100.scope", true),
            ("/qemu.slice/100.scope/vcpu0", false),
            ("/qemu.slice/100.scope/emulator", false),
            ("/emulator", true),
            ("/kubepods.slice", false),
            ("/kubepods/burstable/pod0a1b2c3d-1111", false),
            ("/kubepods/burstable/pod0a1b2c3d-1111/ID", true),
        ];
        for (path, enabled) in cases {
            let path = path.replace("ID", &id);
            let identity = identify(path.as_bytes());
            assert_eq!(is_enabled(path.as_bytes(), &identity), enabled, "{path}");
        }
    }
}
