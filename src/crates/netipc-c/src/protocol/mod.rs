//! `netipc_protocol.h`: bytes to C structs and back.

mod apps_lookup;
mod batch;
mod cgroups_lookup;
mod envelope;
mod handshake;
mod image;
mod lookup;
mod lookup_builder;
mod samples;
mod snapshot;

pub(crate) use self::{
    apps_lookup::{
        nipc_apps_lookup_handler_fn, nipc_apps_lookup_resp_view_t, nipc_dispatch_apps_lookup,
    },
    cgroups_lookup::{
        nipc_cgroups_lookup_handler_fn, nipc_cgroups_lookup_resp_view_t,
        nipc_dispatch_cgroups_lookup, paths,
    },
    envelope::nipc_header_t,
    image::Image,
    lookup::nipc_str_view_t,
    snapshot::{
        nipc_cgroups_builder_estimate_max_items, nipc_cgroups_handler_fn, nipc_cgroups_resp_view_t,
        nipc_dispatch_cgroups_snapshot,
    },
};
