//! The service kinds: one file each, and everything about a kind in its file.

pub mod apps_lookup;
pub mod cgroups_lookup;
pub mod cgroups_snapshot;
pub mod increment;
mod published;
pub mod string_reverse;

pub use self::{
    apps_lookup::AppsLookup,
    cgroups_lookup::CgroupsLookup,
    cgroups_snapshot::CgroupsSnapshot,
    increment::Increment,
    published::{AppsLookupItemView, CgroupsLookupItemView, LookupLabelView, ProcessCodes},
    string_reverse::StringReverse,
};

/// Who runs a cgroup. Any number may come; those without a name here are passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Orchestrator(pub u16);

impl Orchestrator {
    /// Nobody known.
    pub const UNKNOWN: Self = Orchestrator(0);
    /// A systemd unit.
    pub const SYSTEMD: Self = Orchestrator(1);
    /// A Docker container.
    pub const DOCKER: Self = Orchestrator(2);
    /// A Kubernetes container.
    pub const K8S: Self = Orchestrator(3);
    /// A virtual machine of libvirt or QEMU.
    pub const KVM: Self = Orchestrator(4);
    /// An LXC container.
    pub const LXC: Self = Orchestrator(5);
    /// A Podman container.
    pub const PODMAN: Self = Orchestrator(6);
    /// A systemd-nspawn container.
    pub const NSPAWN: Self = Orchestrator(7);

    /// Its name, if it has one.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "unknown",
            1 => "systemd",
            2 => "docker",
            3 => "k8s",
            4 => "kvm",
            5 => "lxc",
            6 => "podman",
            7 => "nspawn",
            _ => return None,
        })
    }
}

impl crate::layout::Scalar for Orchestrator {
    const SIZE: usize = 2;

    #[inline]
    fn get(from: &[u8]) -> Option<Self> {
        u16::get(from).map(Orchestrator)
    }

    #[inline]
    fn put(self, to: &mut [u8]) {
        self.0.put(to);
    }
}
