//! The names of the wire as Netdata plugin-ipc publishes them.

use netipc_proto::{
    Found, Keys, Replies, Service, Status,
    handshake::defaults,
    kinds::{
        AppsLookup, CgroupsLookup, CgroupsSnapshot, Increment, Orchestrator, StringReverse,
        apps_lookup::{ProcessCgroupStatus, ProcessStatus},
        cgroups_lookup::CgroupStatus,
    },
};
pub use netipc_proto::{
    Header, Labels, Text as StrView,
    handshake::{
        CODE_HELLO, CODE_HELLO_ACK,
        profile::{
            BASELINE as PROFILE_BASELINE, SHM_FUTEX as PROFILE_SHM_FUTEX,
            SHM_HYBRID as PROFILE_SHM_HYBRID, SHM_WAITADDR as PROFILE_SHM_WAITADDR,
        },
    },
    kinds::{
        apps_lookup::UID_UNSET as NIPC_UID_UNSET,
        cgroups_snapshot::{
            Builder as CgroupsBuilder, Cgroup as CgroupsItemView,
            SnapshotRequest as CgroupsRequest, View as CgroupsResponseView,
        },
        {AppsLookupItemView, CgroupsLookupItemView, LookupLabelView},
    },
};

/// What a handler of cgroups lookups is asked.
pub type CgroupsLookupRequestView<'a> = Keys<'a, CgroupsLookup>;
/// What a handler of cgroups lookups fills.
pub type CgroupsLookupBuilder<'a> = Replies<'a, CgroupsLookup>;
/// What a caller of cgroups lookups gets.
pub type CgroupsLookupResponseView<'a> = Found<'a, CgroupsLookup>;
/// What a handler of process lookups is asked.
pub type AppsLookupRequestView<'a> = Keys<'a, AppsLookup>;
/// What a handler of process lookups fills.
pub type AppsLookupBuilder<'a> = Replies<'a, AppsLookup>;
/// What a caller of process lookups gets.
pub type AppsLookupResponseView<'a> = Found<'a, AppsLookup>;

macro_rules! numbers {
    ($($ty:ty { $($name:ident = $value:expr,)* })*) => {
        $($(
            #[doc = concat!("`", stringify!($value), "`, as a number.")]
            pub const $name: $ty = $value;
        )*)*
    };
}

numbers! {
    usize {
        HEADER_SIZE = Header::LEN,
        ALIGNMENT = 8,
    }
    u32 {
        MAX_PAYLOAD_DEFAULT = defaults::REQUEST_BYTES,
        MAX_PAYLOAD_CAP = defaults::GROWTH_BYTES,
    }
    u16 {
        METHOD_INCREMENT = <Increment as Service>::METHOD,
        METHOD_CGROUPS_SNAPSHOT = <CgroupsSnapshot as Service>::METHOD,
        METHOD_STRING_REVERSE = <StringReverse as Service>::METHOD,
        METHOD_CGROUPS_LOOKUP = <CgroupsLookup as Service>::METHOD,
        METHOD_APPS_LOOKUP = <AppsLookup as Service>::METHOD,
        FLAG_BATCH = Header::BATCH,
        STATUS_OK = Status::Ok.code(),
        STATUS_BAD_ENVELOPE = Status::BadEnvelope.code(),
        STATUS_AUTH_FAILED = Status::AuthFailed.code(),
        STATUS_INCOMPATIBLE = Status::Incompatible.code(),
        STATUS_UNSUPPORTED = Status::Unsupported.code(),
        STATUS_LIMIT_EXCEEDED = Status::LimitExceeded.code(),
        STATUS_INTERNAL_ERROR = Status::InternalError.code(),
        ORCHESTRATOR_UNKNOWN = Orchestrator::UNKNOWN.0,
        ORCHESTRATOR_SYSTEMD = Orchestrator::SYSTEMD.0,
        ORCHESTRATOR_DOCKER = Orchestrator::DOCKER.0,
        ORCHESTRATOR_K8S = Orchestrator::K8S.0,
        ORCHESTRATOR_KVM = Orchestrator::KVM.0,
        ORCHESTRATOR_LXC = Orchestrator::LXC.0,
        ORCHESTRATOR_PODMAN = Orchestrator::PODMAN.0,
        ORCHESTRATOR_NSPAWN = Orchestrator::NSPAWN.0,
        CGROUP_LOOKUP_KNOWN = CgroupStatus::Known.code(),
        CGROUP_LOOKUP_UNKNOWN_RETRY_LATER = CgroupStatus::RetryLater.code(),
        CGROUP_LOOKUP_UNKNOWN_PERMANENT = CgroupStatus::Unknown.code(),
        CGROUP_LOOKUP_PAYLOAD_EXCEEDED = CgroupStatus::PayloadExceeded.code(),
        CGROUP_LOOKUP_OVERSIZED_ITEM = CgroupStatus::Oversized.code(),
        PID_LOOKUP_KNOWN = ProcessStatus::Known.code(),
        PID_LOOKUP_UNKNOWN = ProcessStatus::Unknown.code(),
        PID_LOOKUP_PAYLOAD_EXCEEDED = ProcessStatus::PayloadExceeded.code(),
        PID_LOOKUP_OVERSIZED_ITEM = ProcessStatus::Oversized.code(),
        APPS_CGROUP_KNOWN = ProcessCgroupStatus::Known.code(),
        APPS_CGROUP_UNKNOWN_RETRY_LATER = ProcessCgroupStatus::RetryLater.code(),
        APPS_CGROUP_UNKNOWN_PERMANENT = ProcessCgroupStatus::Unknown.code(),
        APPS_CGROUP_HOST_ROOT = ProcessCgroupStatus::HostRoot.code(),
    }
}
