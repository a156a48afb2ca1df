//! `netipc ping`: measures how fast services answer.

use std::time::{Duration, Instant};

use netipc::{
    Client, Error, Wait,
    kinds::{AppsLookup, CgroupsLookup, CgroupsSnapshot, Increment, StringReverse},
    proto::Service,
    transport::{Carrier, Session},
};
use serde::Serialize;

use super::ls;
use crate::{
    args::Ping,
    context::Context,
    failure::{Exit, Failure},
    rows,
    term::{
        escape,
        output::{Stop, note},
        table::{Column, Cut, Table},
    },
};

/// Asks each service again and again, and prints how long the answers took.
///
/// # Errors
///
/// One of the services did not answer, there are none, or nobody reads what is printed.
pub fn run(context: &mut Context, args: Ping) -> Result<(), Stop> {
    let is_all = args.services.is_empty();
    let services = if is_all { ls::names(&context.run_dir)? } else { args.services };
    if services.is_empty() {
        let message = format!("no services in {}", escape::path(&context.run_dir));
        return Err(Failure::new(Exit::NotFound, message)
            .hint("start one with `netipc serve cgroups`")
            .into());
    }
    let mut measured = Vec::new();
    let mut first_failure = None;
    for service in &services {
        match measure(context, service, args.count) {
            Ok(answer) => measured.push(answer),
            Err(failure) => {
                // Each is told where it happened; the first one decides the exit code.
                if let Some(earlier) = first_failure.replace(failure) {
                    note(first_failure.take().map_or_else(String::new, |later| later.to_string()));
                    first_failure = Some(earlier);
                }
            }
        }
    }
    let out = &mut context.out;
    if context.common.json {
        out.json(&measured)?;
    } else if !measured.is_empty() {
        out.table(&table(&measured))?;
        out.flush()?;
    }
    first_failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// How long a service took to answer, in nanoseconds.
#[derive(Debug, Serialize)]
struct Measured {
    service: String,
    calls: u32,
    asked: &'static str,
    min_ns: u64,
    median_ns: u64,
    p99_ns: u64,
    max_ns: u64,
    transport: &'static str,
}

fn table(measured: &[Measured]) -> Table {
    let mut table = Table::new([
        Column::left("SERVICE"),
        Column::right("CALLS"),
        Column::right("MIN"),
        Column::right("MEDIAN"),
        Column::right("P99"),
        Column::right("MAX"),
        Column::left("TRANSPORT"),
        Column::left("ASKED").cut(Cut::Back),
    ]);
    let time = |nanos| rows::time(Duration::from_nanos(nanos));
    for answer in measured {
        table.push([
            answer.service.clone().into(),
            answer.calls.to_string().into(),
            time(answer.min_ns).into(),
            time(answer.median_ns).into(),
            time(answer.p99_ns).into(),
            time(answer.max_ns).into(),
            answer.transport.into(),
            answer.asked.into(),
        ]);
    }
    table
}

/// Asks a service `count` times, or as often as the timeout allows.
fn measure(context: &Context, service: &str, count: u32) -> Result<Measured, Failure> {
    match service {
        CgroupsSnapshot::NAME => {
            calls::<CgroupsSnapshot>(context, service, count, "a snapshot", |client| {
                client.call(()).map(drop)
            })
        }
        CgroupsLookup::NAME => {
            calls::<CgroupsLookup>(context, service, count, "no paths", |client| {
                client.lookup(&[]).map(drop)
            })
        }
        AppsLookup::NAME => calls::<AppsLookup>(context, service, count, "no PIDs", |client| {
            client.lookup(&[]).map(drop)
        }),
        Increment::NAME => calls::<Increment>(context, service, count, "a number", |client| {
            client.call(1).map(drop)
        }),
        StringReverse::NAME => {
            calls::<StringReverse>(context, service, count, "a word", |client| {
                client.call(b"ping").map(drop)
            })
        }
        _ => handshakes(context, service, count),
    }
}

fn calls<S: Service>(
    context: &Context,
    service: &str,
    count: u32,
    asked: &'static str,
    mut call: impl FnMut(&mut Client<S>) -> Result<(), Error>,
) -> Result<Measured, Failure> {
    let mut client = context.connected::<S>(service)?;
    // The first call may have to agree on larger messages.
    call(&mut client).map_err(|why| context.failure(service, &why))?;
    let times = times(context, service, count, || call(&mut client))?;
    Ok(summary(service, times, asked, rows::transport(&client)))
}

/// A service of unknown kind can be greeted, if nothing else.
fn handshakes(context: &Context, service: &str, count: u32) -> Result<Measured, Failure> {
    let options = context.session_options();
    let mut carrier = Carrier::Socket;
    let times = times(context, service, count, || {
        let wait = Wait::at_most(context.common.timeout);
        let session = Session::connect(&context.run_dir, service, &options, wait)?;
        carrier = session.carrier();
        Ok(())
    })?;
    let transport = rows::transport_name(carrier);
    Ok(summary(service, times, "a session (its kind is not known here)", transport))
}

/// How long each of `count` rounds took; less of them if the timeout ends it. At least one.
fn times(
    context: &Context,
    service: &str,
    count: u32,
    mut round: impl FnMut() -> Result<(), Error>,
) -> Result<Vec<u64>, Failure> {
    let end = Instant::now() + context.common.timeout;
    let mut times = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        if !times.is_empty() && began >= end {
            break;
        }
        round().map_err(|why| context.failure(service, &why))?;
        times.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    times.sort_unstable();
    Ok(times)
}

/// Sums up ascending times, of which there is one at least.
fn summary(
    service: &str,
    times: Vec<u64>,
    asked: &'static str,
    transport: &'static str,
) -> Measured {
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    Measured {
        service: service.to_owned(),
        calls: times.len() as u32,
        asked,
        min_ns: at(0),
        median_ns: at(50),
        p99_ns: at(99),
        max_ns: at(100),
        transport,
    }
}
