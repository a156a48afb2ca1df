//! netipc itself, as a user of its public API sees it.

mod calls;
mod lookups;
mod tables;

use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use netipc::{
    Client, ClientOptions, Handler, Server, ServerOptions, SessionOptions,
    kinds::{AppsLookup, CgroupsLookup, CgroupsSnapshot, Increment},
    proto::Service,
    transport::Carrier,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    peer::{Case, say, wait_until_the_driver_leaves},
    task::{Scenario, Task, Transport},
};

pub(crate) fn serve(case: &Case<'_>) -> Result<()> {
    let items = case.task.items;
    match case.task.scenario {
        Scenario::Increment | Scenario::Pipeline | Scenario::Batch | Scenario::Sessions => {
            run::<Increment>(case, calls::answer)
        }
        Scenario::Cgroups => run::<CgroupsLookup>(case, lookups::Cgroups::new(items)),
        Scenario::Apps => run::<AppsLookup>(case, lookups::Apps::new(items)),
        Scenario::Snapshot | Scenario::Unchanged | Scenario::Cache | Scenario::CacheDirect => {
            let changes = case.task.scenario == Scenario::Snapshot;
            run::<CgroupsSnapshot>(case, tables::Cgroups::new(items, changes))
        }
        floor => bail!("{floor} has no server here"),
    }
}

pub(crate) fn call(case: &Case<'_>) -> Result<()> {
    match case.task.scenario {
        Scenario::Increment => calls::one_at_a_time(case),
        Scenario::Pipeline => calls::in_a_pipeline(case),
        Scenario::Batch => calls::in_batches(case),
        Scenario::Sessions => calls::on_many_sessions(case),
        Scenario::Cgroups => lookups::cgroups(case),
        Scenario::Apps => lookups::apps(case),
        Scenario::Snapshot | Scenario::Unchanged => tables::refresh(case),
        Scenario::Cache => tables::look_up(case),
        Scenario::CacheDirect => tables::look_up_directly(case),
        floor => bail!("{floor} is not called here"),
    }
}

fn run<S: Service>(case: &Case<'_>, handler: impl Handler<S> + 'static) -> Result<()> {
    allow_many_descriptors()?;
    let options = ServerOptions {
        session: session(&case.task),
        workers: case.task.workers,
        ..ServerOptions::default()
    };
    let server = Server::<S>::bind(case.dir, case.service, options, handler)?;
    let running = thread::spawn({
        let server = server.clone();
        move || server.run()
    });
    say("READY")?;
    wait_until_the_driver_leaves();
    server.stop();
    running.join().map_err(|_| anyhow!("the server panicked"))
}

/// A client that has its session, over the transport that is measured and no other.
fn connected<S: Service>(case: &Case<'_>) -> Result<Client<S>> {
    let mut client = Client::<S>::with_options(case.dir, case.service, client_options(&case.task));
    client.refresh();
    let session = client.session().with_context(|| match client.last_error() {
        Some(error) => error.to_string(),
        None => "no session".into(),
    })?;
    ensure_transport(session.carrier(), case)?;
    Ok(client)
}

fn ensure_transport(carrier: Carrier, case: &Case<'_>) -> Result<()> {
    let wanted = match case.task.transport {
        Transport::Socket => Carrier::Socket,
        Transport::Shared => Carrier::SharedMemory,
        Transport::Ring => Carrier::Rings,
    };
    ensure!(carrier == wanted, "the session is not over {}", case.task.transport);
    Ok(())
}

fn client_options(task: &Task) -> ClientOptions {
    ClientOptions { session: session(task), ..ClientOptions::default() }
}

/// Limits within which every call of the task is one message each way.
fn session(task: &Task) -> SessionOptions {
    let usual = match task.transport {
        Transport::Socket => SessionOptions::default(),
        Transport::Shared => SessionOptions::published_shared_memory(),
        Transport::Ring => SessionOptions::shared_memory(),
    };
    let bytes = |per_item: usize| u32::try_from(64 + per_item * task.items).unwrap_or(u32::MAX);
    match task.scenario {
        Scenario::Cgroups | Scenario::Apps => SessionOptions {
            max_request_payload_bytes: bytes(64),
            max_response_payload_bytes: bytes(256),
            ..usual
        },
        Scenario::Snapshot | Scenario::Unchanged | Scenario::Cache | Scenario::CacheDirect => {
            SessionOptions { max_response_payload_bytes: bytes(128), ..usual }
        }
        Scenario::Batch => SessionOptions {
            max_request_batch_items: u32::try_from(task.depth).unwrap_or(u32::MAX),
            ..usual
        },
        _ => usual,
    }
}

/// A thousand sessions are more descriptors than a process has by default.
fn allow_many_descriptors() -> Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("allow descriptors")
}
