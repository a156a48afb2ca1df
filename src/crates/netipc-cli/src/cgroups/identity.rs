//! What a cgroup is, told from its path: who runs it and what it is called.

use netipc::kinds::Orchestrator;

use super::hex;

/// What the path of a cgroup tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Who made it.
    pub orchestrator: Orchestrator,
    /// What it is called, as far as the path tells.
    pub name: Vec<u8>,
    /// The id of its container, for which an engine may know a better name.
    pub container: Option<String>,
    /// Whether it only helps another cgroup of the same name, as a container's monitor does.
    pub helper: bool,
    /// Facts besides, as keys and values.
    pub labels: Vec<(&'static str, Vec<u8>)>,
}

/// Tells what the cgroup at `path` is. The first rule that knows it wins.
///
/// `path` may begin with `/..`, as it does when seen from inside a cgroup namespace.
pub fn identify(path: &[u8]) -> Identity {
    let components: Vec<&[u8]> = path
        .split(|&byte| byte == b'/')
        .filter(|component| !component.is_empty() && *component != b"..")
        .collect();
    let rules = [kubernetes, lxc, kvm, docker, podman, nspawn, systemd];
    rules.iter().find_map(|rule| rule(&components)).unwrap_or_else(|| unknown(&components))
}

/// The shortest run of digits taken for an id where the path alone must tell.
const MIN_ID: usize = 8;
/// A full container id.
const FULL_ID: usize = 64;
/// How much of an id people go by.
const SHORT_ID: usize = 12;

fn kubernetes(components: &[&[u8]]) -> Option<Identity> {
    components.iter().find(|component| contains(component, b"kubepods"))?;
    let container = components.iter().rev().find_map(|component| kubernetes_container(component));
    let pod = components.iter().rev().find_map(|component| pod_uid(component));
    let mut identity = Identity { orchestrator: Orchestrator::K8S, ..Identity::default() };
    if let Some(pod) = &pod {
        identity.labels.push(("k8s_pod_uid", pod.clone()));
        identity.labels.push(("k8s_qos_class", qos_class(components).to_vec()));
    }
    let id = match container {
        Some(id) => {
            identity.container = Some(text(id));
            identity.labels.push(("container_id", id.to_vec()));
            id.to_vec()
        }
        None => match pod {
            Some(pod) => [b"pod", &pod[..]].concat(),
            None => strip_suffixes(components.last()?, &[b".slice"]).to_vec(),
        },
    };
    identity.name = [b"k8s_", &id[..]].concat();
    Some(identity)
}

/// The id in `cri-containerd-ID.scope`, `crio-ID.scope`, `ID` or `PODSLICE:cri-containerd:ID`.
fn kubernetes_container(component: &[u8]) -> Option<&[u8]> {
    let last = component.rsplit(|&byte| byte == b':').next()?;
    let last = strip_suffixes(last, &[b".scope"]);
    let id = last.rsplit(|&byte| byte == b'-').next()?;
    hex::is_id(id, FULL_ID).then_some(id)
}

/// The uid in `pod01234567-89ab-…`, or in `kubepods-burstable-pod01234567_89ab_….slice`.
fn pod_uid(component: &[u8]) -> Option<Vec<u8>> {
    let component = strip_suffixes(component, &[b".slice"]);
    let uid = match component.strip_prefix(b"pod") {
        Some(uid) => uid,
        None => component.strip_prefix(b"kubepods").and_then(|rest| behind(rest, b"-pod"))?,
    };
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_uid = uid.len() >= MIN_ID && uid.iter().all(plain);
    is_uid.then(|| uid.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect())
}

fn qos_class(components: &[&[u8]]) -> &'static [u8] {
    let says = |class: &[u8]| components.iter().any(|component| contains(component, class));
    match (says(b"besteffort"), says(b"burstable")) {
        (true, _) => b"besteffort",
        (false, true) => b"burstable",
        (false, false) => b"guaranteed",
    }
}

fn lxc(components: &[&[u8]]) -> Option<Identity> {
    let found = |name: &[u8], helper| {
        let orchestrator = Orchestrator::LXC;
        Some(Identity { orchestrator, name: name.to_vec(), helper, ..Identity::default() })
    };
    for (index, component) in components.iter().enumerate() {
        let next = components.get(index + 1);
        if let Some(name) = component.strip_prefix(b"lxc.payload.").filter(|name| !name.is_empty())
        {
            return found(name, false);
        }
        if let Some(name) = component.strip_prefix(b"lxc.monitor.").filter(|name| !name.is_empty())
        {
            return found(name, true);
        }
        match (*component, next) {
            (b"lxc" | b"lxc.payload", Some(name)) => return found(name, false),
            (b"lxc.monitor", Some(name)) => return found(name, true),
            (b"machine.slice", Some(machine)) => {
                if let Some(name) = libvirt_lxc(machine) {
                    return found(&name, false);
                }
            }
            _ => {}
        }
    }
    None
}

/// The name in `machine-lxc\x2d123\x2dNAME.scope` or `machine-NAME-lxc`.
fn libvirt_lxc(machine: &[u8]) -> Option<Vec<u8>> {
    let machine = unescape(strip_suffixes(machine.strip_prefix(b"machine")?, &[b".scope"]));
    match behind(&machine, b"-lxc-") {
        Some(rest) => Some(without_number(rest).to_vec()),
        None => {
            let name = machine.strip_suffix(b"-lxc")?;
            Some(name.strip_prefix(b"-").unwrap_or(name).to_vec())
        }
    }
    .filter(|name| !name.is_empty())
}

fn kvm(components: &[&[u8]]) -> Option<Identity> {
    let machine = components.iter().enumerate().find_map(|(index, component)| {
        let parent = index.checked_sub(1).map(|parent| components[parent]);
        let scope = component.strip_suffix(b".scope");
        if let Some(name) = component.strip_suffix(b".libvirt-qemu") {
            Some(name)
        } else if parent == Some(b"machine.slice") && component.starts_with(b"machine-qemu") {
            component.strip_prefix(b"machine-qemu")
        } else if let Some(name) = scope.and_then(|scope| scope.strip_prefix(b"qemu-")) {
            Some(name)
        } else if parent == Some(b"qemu.slice") {
            scope
        } else {
            None
        }
    })?;
    let plain = unescape(strip_suffixes(machine, &[b".scope"]));
    let name = without_number(plain.strip_prefix(b"-").unwrap_or(&plain));
    let name = [b"qemu_", name].concat();
    Some(Identity { orchestrator: Orchestrator::KVM, name, ..Identity::default() })
}

/// A machine's name without the number that libvirt puts in front: `1-ubuntu` is `ubuntu`.
fn without_number(name: &[u8]) -> &[u8] {
    let digits = name.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match &name[digits..] {
        [b'-', rest @ ..] if digits > 0 && !rest.is_empty() => rest,
        _ => name,
    }
}

fn docker(components: &[&[u8]]) -> Option<Identity> {
    let within = |index: usize| index > 0 && components[index - 1] == b"docker";
    components.iter().enumerate().rev().find_map(|(index, component)| {
        let prefixes: [&[u8]; 3] = [b"docker-", b"ecs-", b"cri-containerd-"];
        let prefixed = prefixes.iter().find_map(|prefix| hex::after(component, prefix, MIN_ID));
        let containerd = || {
            let id = behind(component, b":cri-containerd:")?;
            hex::is_id(id, MIN_ID).then_some(id)
        };
        if let Some(id) = prefixed.or_else(containerd) {
            Some(container(Orchestrator::DOCKER, id, false))
        } else if within(index) && hex::is_id(component, MIN_ID) {
            Some(container(Orchestrator::DOCKER, component, false))
        } else if within(index) {
            let (orchestrator, name) = (Orchestrator::DOCKER, component.to_vec());
            Some(Identity { orchestrator, name, ..Identity::default() })
        } else {
            None
        }
    })
}

fn podman(components: &[&[u8]]) -> Option<Identity> {
    components.iter().enumerate().rev().find_map(|(index, component)| {
        let after =
            |prefix| hex::after(component, prefix, FULL_ID).filter(|id| id.len() == FULL_ID);
        let bare = || {
            let within = index > 0 && components[index - 1] == b"podman";
            (within && hex::is_id(component, FULL_ID)).then_some(*component)
        };
        match after(b"libpod-conmon-") {
            Some(id) => Some(container(Orchestrator::PODMAN, id, true)),
            None => after(b"libpod-")
                .or_else(|| after(b"podman-"))
                .or_else(bare)
                .map(|id| container(Orchestrator::PODMAN, id, false)),
        }
    })
}

/// A container known by its id alone.
fn container(orchestrator: Orchestrator, id: &[u8], helper: bool) -> Identity {
    let name = id[..id.len().min(SHORT_ID)].to_vec();
    let labels = vec![("container_id", id.to_vec())];
    Identity { orchestrator, name, container: Some(text(id)), helper, labels }
}

fn nspawn(components: &[&[u8]]) -> Option<Identity> {
    let [b"machine.slice", unit] = components else { return None };
    let name = stem(unit)?;
    let labels = vec![("unit", unit.to_vec())];
    Some(Identity { orchestrator: Orchestrator::NSPAWN, name, labels, ..Identity::default() })
}

fn systemd(components: &[&[u8]]) -> Option<Identity> {
    let [b"system.slice", parents @ .., unit] = components else { return None };
    let name = stem(unit)?;
    if parents.iter().any(|parent| parent.ends_with(b".service")) {
        return None;
    }
    let slice = parents.last().copied().unwrap_or(b"system.slice");
    let labels = vec![("unit", unit.to_vec()), ("slice", slice.to_vec())];
    Some(Identity { orchestrator: Orchestrator::SYSTEMD, name, labels, ..Identity::default() })
}

/// The name of a service without its type.
fn stem(unit: &[u8]) -> Option<Vec<u8>> {
    unit.strip_suffix(b".service").filter(|stem| !stem.is_empty()).map(<[u8]>::to_vec)
}

/// A cgroup that no rule knows goes by its path.
fn unknown(components: &[&[u8]]) -> Identity {
    let name = if components.is_empty() { b"root".to_vec() } else { components.join(&b'/') };
    Identity { name, ..Identity::default() }
}

fn contains(component: &[u8], part: &[u8]) -> bool {
    component.windows(part.len()).any(|window| window == part)
}

/// What comes behind the first `part`.
fn behind<'a>(whole: &'a [u8], part: &[u8]) -> Option<&'a [u8]> {
    let at = whole.windows(part.len()).position(|window| window == part)?;
    Some(&whole[at + part.len()..])
}

fn strip_suffixes<'a>(name: &'a [u8], suffixes: &[&[u8]]) -> &'a [u8] {
    suffixes.iter().find_map(|suffix| name.strip_suffix(*suffix)).unwrap_or(name)
}

/// Undoes systemd's escape of a dash.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some(&first) = rest.first() {
        match rest.strip_prefix(br"\x2d") {
            Some(tail) => {
                plain.push(b'-');
                rest = tail;
            }
            None => {
                plain.push(first);
                rest = &rest[1..];
            }
        }
    }
    plain
}

/// An id, which is plain ASCII by then.
fn text(id: &[u8]) -> String {
    String::from_utf8_lossy(id).into_owned()
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
