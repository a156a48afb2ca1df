//! `service/server.h`: what provides a service.

use std::{
    ffi::{c_char, c_int, c_void},
    mem::MaybeUninit,
    ptr,
    sync::{Arc, atomic::AtomicU16},
    time::Duration,
};

use netipc::{Error, ErrorKind, Server, ServerOptions, SessionOptions};
use netipc_proto::{
    Service,
    handshake::defaults,
    kinds::{AppsLookup, CgroupsLookup, CgroupsSnapshot},
    retry::Capacity,
};

use super::{
    gate::{Gate, Members},
    imp::nipc_managed_server_t,
    responder::{Answer, Responder},
};
use crate::{
    border::{endpoint, text},
    errors::{
        NIPC_ERR_BAD_LAYOUT, NIPC_ERR_OVERFLOW, NIPC_OK, NO_ARGUMENT, nipc_error_t, note,
        note_error,
    },
    os,
    protocol::{
        nipc_apps_lookup_handler_fn, nipc_cgroups_handler_fn, nipc_cgroups_lookup_handler_fn,
        nipc_header_t,
    },
    transport::{ClientConfig, Listener, ServerConfig, spin},
};

#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct nipc_server_config_t {
    supported_profiles: u32,
    preferred_profiles: u32,
    max_request_payload_bytes: u32,
    max_request_batch_items: u32,
    max_response_payload_bytes: u32,
    auth_token: u64,
    spin_us: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct nipc_cgroups_service_handler_t {
    pub(super) handle: nipc_cgroups_handler_fn,
    pub(super) snapshot_max_items: u32,
    pub(super) user: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct nipc_cgroups_lookup_service_handler_t {
    pub(super) handle: nipc_cgroups_lookup_handler_fn,
    pub(super) user: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct nipc_apps_lookup_service_handler_t {
    pub(super) handle: nipc_apps_lookup_handler_fn,
    pub(super) user: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) union nipc_server_typed_handler_t {
    cgroups_snapshot: nipc_cgroups_service_handler_t,
    cgroups_lookup: nipc_cgroups_lookup_service_handler_t,
    apps_lookup: nipc_apps_lookup_service_handler_t,
}

pub(crate) type nipc_server_handler_fn = Option<
    unsafe extern "C" fn(
        *mut c_void,
        *const nipc_header_t,
        *const u8,
        usize,
        *mut u8,
        usize,
        *mut usize,
    ) -> nipc_error_t,
>;

struct Behind {
    server: Server<()>,
    gate: Arc<Gate>,
}

/// Longer than any program runs, and short enough to be added to now.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The server behind a struct; `None` when closed.
///
/// # Safety
///
/// `server` is null, or a struct that was initialised or is all zero, and is not destroyed for as
/// long as `'a`.
unsafe fn behind<'a>(server: *mut nipc_managed_server_t) -> Option<&'a Behind> {
    if server.is_null() {
        return None;
    }
    // SAFETY: as promised by the caller.
    unsafe { (*server)._server.cast::<Behind>().as_ref() }
}

/// What a server of some kind is made of.
struct Plan {
    config: ServerConfig,
    worker_count: c_int,
    method: u16,
    answer: Answer,
}

/// Makes a server and fills the struct, or leaves it closed.
///
/// # Safety
///
/// `out` is null or can be written; the strings are null or end in NUL.
unsafe fn init(
    out: *mut nipc_managed_server_t,
    run_dir: *const c_char,
    service_name: *const c_char,
    plan: Option<Plan>,
) -> nipc_error_t {
    if out.is_null() {
        note("initialise a server without a place for it");
        return NO_ARGUMENT;
    }
    // SAFETY: all members are numbers, pointers or such as may be zero; and it can be written.
    unsafe { out.write(MaybeUninit::zeroed().assume_init()) };
    // SAFETY: as promised by the caller.
    let (Some((dir, service)), Some(plan)) = (unsafe { endpoint(run_dir, service_name) }, plan)
    else {
        note("initialise a server without a handler, a directory or a name that can be one");
        return NO_ARGUMENT;
    };
    let directory = text(dir.as_os_str().as_encoded_bytes());
    let (Some(run_dir), Some(service_name)) = (directory, text(service.as_bytes())) else {
        note_error(&Error::new(ErrorKind::NameTooLong, "path of the endpoint"));
        return NIPC_ERR_BAD_LAYOUT;
    };
    let worker_count = plan.worker_count.max(1);
    let options = ServerOptions {
        session: SessionOptions {
            supported_profiles: plan.config.supported_profiles,
            preferred_profiles: plan.config.preferred_profiles,
            max_request_payload_bytes: plan.config.max_request_payload_bytes,
            max_request_batch_items: plan.config.max_request_batch_items,
            max_response_payload_bytes: plan.config.max_response_payload_bytes,
            auth_token: plan.config.auth_token,
            packet_size: plan.config.packet_size,
            spin: spin(plan.config.spin_us),
            ..SessionOptions::default()
        },
        workers: usize::try_from(worker_count).unwrap_or(1),
        backlog: plan.config.backlog(),
        ..ServerOptions::default()
    };
    let (request, response) = (
        Capacity::configured(plan.config.max_request_payload_bytes, defaults::REQUEST_BYTES),
        Capacity::configured(plan.config.max_response_payload_bytes, defaults::RESPONSE_BYTES),
    );
    let max_sessions = options.max_sessions;
    let gate = Arc::new(Gate::default());
    let responder = Responder { answer: plan.answer, gate: Arc::clone(&gate) };
    let server = match Server::bind_responder(&dir, service, options, responder) {
        Ok(server) => server,
        Err(error) => {
            note_error(&error);
            return match error.kind() {
                ErrorKind::Exhausted => NIPC_ERR_OVERFLOW,
                ErrorKind::AddressInUse => {
                    errno::set_errno(errno::Errno(os::ADDRESS_IN_USE));
                    NIPC_ERR_BAD_LAYOUT
                }
                _ => NIPC_ERR_BAD_LAYOUT,
            };
        }
    };
    let (handler, handler_user, typed_handler) = plan.answer.members();
    // SAFETY: as promised by the caller.
    unsafe {
        (*out).listener = Listener::CLOSED;
        (*out).base_config = plan.config;
        (*out).worker_count = worker_count;
        (*out).handler = handler;
        (*out).handler_user = handler_user;
        (*out).typed_handler = typed_handler;
        (*out).expected_method_code = AtomicU16::new(plan.method);
        (*out).learned_request_payload_bytes = request.bytes();
        (*out).learned_response_payload_bytes = response.bytes();
        (*out).request_payload_growth_ceiling = request.ceiling();
        (*out).response_payload_growth_ceiling = response.ceiling();
        (*out).session_capacity = c_int::try_from(max_sessions).unwrap_or(c_int::MAX);
        (*out).next_session_id = 1;
        (*out).run_dir = run_dir;
        (*out).service_name = service_name;
        nipc_managed_server_t::open(out);
        gate.open(Members {
            method: &raw const (*out).expected_method_code,
            session_count: &raw const (*out).session_count,
        });
        (*out)._server = Box::into_raw(Box::new(Behind { server, gate })).cast();
    }
    NIPC_OK
}

impl Answer {
    /// The members of the struct that show it.
    fn members(self) -> (nipc_server_handler_fn, *mut c_void, nipc_server_typed_handler_t) {
        // SAFETY: a union of structs of pointers and numbers, all of which may be zero.
        let mut typed: nipc_server_typed_handler_t = unsafe { MaybeUninit::zeroed().assume_init() };
        match self {
            Answer::Snapshot(handler) => typed.cgroups_snapshot = handler,
            Answer::Cgroups(handler) => typed.cgroups_lookup = handler,
            Answer::Apps(handler) => typed.apps_lookup = handler,
            Answer::Raw(handler, user) => return (handler, user, typed),
        }
        (None, ptr::null_mut(), typed)
    }
}

/// The configuration of a typed server as one of the level below.
fn base_config(config: nipc_server_config_t) -> ServerConfig {
    ServerConfig::from(ClientConfig {
        supported_profiles: config.supported_profiles,
        preferred_profiles: config.preferred_profiles,
        max_request_payload_bytes: config.max_request_payload_bytes,
        max_request_batch_items: config.max_request_batch_items,
        max_response_payload_bytes: config.max_response_payload_bytes,
        max_response_batch_items: config.max_request_batch_items,
        auth_token: config.auth_token,
        packet_size: 0,
        spin_us: config.spin_us,
    })
}

/// The plan of a typed server; `None` without a handler.
///
/// # Safety
///
/// The pointers are null or point to what the header says.
unsafe fn plan<H: Copy>(
    config: *const nipc_server_config_t,
    worker_count: c_int,
    method: u16,
    handler: *const H,
    answer: impl FnOnce(H) -> Answer,
) -> Option<Plan> {
    // SAFETY: as promised by the caller.
    let (config, handler) = unsafe { (config.as_ref(), handler.as_ref()?) };
    let config = base_config(config.copied().unwrap_or_default());
    Some(Plan { config, worker_count, method, answer: answer(*handler) })
}

abi! {
    fn nipc_server_init_typed(
        server: *mut nipc_managed_server_t,
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_server_config_t,
        worker_count: c_int,
        handler: *const nipc_cgroups_service_handler_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let plan = plan(config, worker_count, CgroupsSnapshot::METHOD, handler, Answer::Snapshot);
        init(server, run_dir, service_name, plan)
    }

    fn nipc_server_init_cgroups_lookup(
        server: *mut nipc_managed_server_t,
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_server_config_t,
        worker_count: c_int,
        handler: *const nipc_cgroups_lookup_service_handler_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let method = <CgroupsLookup as Service>::METHOD;
        let plan = plan(config, worker_count, method, handler, Answer::Cgroups);
        init(server, run_dir, service_name, plan)
    }

    fn nipc_server_init_apps_lookup(
        server: *mut nipc_managed_server_t,
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const nipc_server_config_t,
        worker_count: c_int,
        handler: *const nipc_apps_lookup_service_handler_t,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let method = <AppsLookup as Service>::METHOD;
        let plan = plan(config, worker_count, method, handler, Answer::Apps);
        init(server, run_dir, service_name, plan)
    }

    fn nipc_server_init_raw_for_tests(
        server: *mut nipc_managed_server_t,
        run_dir: *const c_char,
        service_name: *const c_char,
        config: *const ServerConfig,
        worker_count: c_int,
        method_code: u16,
        handler: nipc_server_handler_fn,
        user: *mut c_void,
    ) -> nipc_error_t, or(NO_ARGUMENT) {
        let config = config.as_ref().copied().unwrap_or_default();
        let answer = Answer::Raw(handler, user);
        let plan = Plan { config, worker_count, method: method_code, answer };
        init(server, run_dir, service_name, Some(plan))
    }

    fn nipc_server_run(server: *mut nipc_managed_server_t) {
        let Some(behind) = behind(server) else { return };
        // The gate outlives the struct, which may be destroyed as soon as this has left it.
        let gate = Arc::clone(&behind.gate);
        gate.enter();
        nipc_managed_server_t::enter(server);
        behind.server.run_until_stopped();
        nipc_managed_server_t::leave(server);
        gate.leave();
    }

    fn nipc_server_stop(server: *mut nipc_managed_server_t) {
        if let Some(behind) = behind(server) {
            // Once it is stopped, whoever runs it may destroy it: from then on only this handle is
            // touched.
            let handle = behind.server.clone();
            nipc_managed_server_t::leave(server);
            handle.stop();
        }
    }

    fn nipc_server_drain(server: *mut nipc_managed_server_t, timeout_ms: u32)
        -> bool, or(false)
    {
        behind(server).is_none_or(|behind| {
            let ended = behind.server.drain(Duration::from_millis(timeout_ms.into()));
            nipc_managed_server_t::leave(server);
            ended
        })
    }

    fn nipc_server_destroy(server: *mut nipc_managed_server_t) {
        let Some(open) = behind(server) else { return };
        open.server.drain(FOR_EVER);
        open.gate.close();
        open.server.close();
        drop(Box::from_raw((*server)._server.cast::<Behind>()));
        (*server)._server = ptr::null_mut();
        nipc_managed_server_t::close(server);
    }
}
