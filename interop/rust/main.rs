//! The interop peer in Rust: `server|client DIR SERVICE KEY=VALUE...`, see `interop/README.md`.

mod codec;
mod data;
mod lookups;
mod messages;
mod snapshots;
mod task;

use std::{
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::AtomicU64},
    thread,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use netipc::{
    Client, ClientOptions, Handler, Server, ServerOptions, SessionOptions, proto::Service,
    transport::Carrier,
};

use task::{Scenario, Task, Transport};

/// Counts the requests a handler is asked.
type Requests = Arc<AtomicU64>;

/// Where two peers meet, and what for.
struct Meeting<'a> {
    dir: &'a Path,
    service: &'a str,
    task: Task,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match play(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(words: &[String]) -> Result<()> {
    let [role, dir, service, task @ ..] = words else {
        bail!("usage: netipc-interop-rust server|client DIR SERVICE KEY=VALUE...");
    };
    let Some(task) = Task::parse(task) else { return say("UNSUPPORTED") };
    // Where endpoints are no files there is no way to part one from its shared memory.
    if task.scenario == Scenario::Fallback && std::env::consts::FAMILY == "windows" {
        return say("UNSUPPORTED");
    }
    let has_rings = SessionOptions::shared_memory() != SessionOptions::published_shared_memory();
    if task.transport == Transport::Rings && !has_rings {
        return say("UNSUPPORTED");
    }
    let meeting = Meeting { dir: Path::new(dir), service, task };
    match role.as_str() {
        "server" => serve(&meeting),
        "client" => match call(&meeting) {
            Ok(()) => say("PASS"),
            Err(error) => {
                say(&format!("FAIL {error:#}"))?;
                Err(anyhow!("the scenario failed"))
            }
        },
        _ => bail!("{role}: neither server nor client"),
    }
}

fn serve(meeting: &Meeting<'_>) -> Result<()> {
    match meeting.task.scenario {
        Scenario::Codec => codec::write(meeting),
        Scenario::Echo | Scenario::Pipeline => messages::serve(meeting),
        Scenario::Cgroups => lookups::serve_cgroups(meeting),
        Scenario::Apps => lookups::serve_apps(meeting),
        Scenario::Snapshot | Scenario::Cache | Scenario::Retry | Scenario::Fallback => {
            snapshots::serve(meeting)
        }
    }
}

fn call(meeting: &Meeting<'_>) -> Result<()> {
    match meeting.task.scenario {
        Scenario::Codec => codec::write_again(meeting),
        Scenario::Echo => messages::echo(meeting),
        Scenario::Pipeline => messages::pipeline(meeting),
        Scenario::Cgroups => lookups::ask_cgroups(meeting),
        Scenario::Apps => lookups::ask_apps(meeting),
        Scenario::Snapshot => snapshots::ask(meeting),
        Scenario::Cache => snapshots::keep(meeting),
        Scenario::Retry => snapshots::survive(meeting),
        Scenario::Fallback => snapshots::fall_back(meeting),
    }
}

/// Serves until standard input is closed.
fn run<S: Service>(meeting: &Meeting<'_>, handler: impl Handler<S> + 'static) -> Result<()> {
    let session = SessionOptions {
        max_response_payload_bytes: meeting.task.response_bytes,
        ..session(meeting.task.transport)
    };
    let options = ServerOptions { session, ..ServerOptions::default() };
    let server = Server::<S>::bind(meeting.dir, meeting.service, options, handler)?;
    let running = thread::spawn({
        let server = server.clone();
        move || server.run()
    });
    say("READY")?;
    wait_for_the_end()?;
    server.stop();
    running.join().map_err(|_| anyhow!("the server panicked"))
}

/// A client that has a session over the transport that was asked for.
fn connected<S: Service>(meeting: &Meeting<'_>) -> Result<Client<S>> {
    let mut client = Client::<S>::with_options(meeting.dir, meeting.service, options(meeting));
    client.refresh();
    let Some(session) = client.session() else {
        bail!("no session: {}", client.last_error().context("and no reason for it")?);
    };
    ensure_over(session.carrier(), meeting)?;
    Ok(client)
}

/// Fails unless this is the transport that was asked for.
fn ensure_over(carrier: Carrier, meeting: &Meeting<'_>) -> Result<()> {
    let wanted = match meeting.task.transport {
        // Where shared memory cannot be had the socket is what is wanted.
        _ if meeting.task.scenario == Scenario::Fallback => Carrier::Socket,
        Transport::Socket => Carrier::Socket,
        Transport::Shared => Carrier::SharedMemory,
        Transport::Rings => Carrier::Rings,
    };
    ensure!(carrier == wanted, "the session is over another transport: {carrier:?}");
    Ok(())
}

fn options(meeting: &Meeting<'_>) -> ClientOptions {
    ClientOptions { session: session(meeting.task.transport), ..ClientOptions::default() }
}

fn session(transport: Transport) -> SessionOptions {
    match transport {
        Transport::Socket => SessionOptions::default(),
        Transport::Shared => SessionOptions::published_shared_memory(),
        Transport::Rings => SessionOptions::shared_memory(),
    }
}

/// Says `words` to whoever started this, at once.
fn say(words: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{words}").and_then(|()| out.flush()).context("write to standard output")
}

fn wait_for_the_end() -> Result<()> {
    let read = io::stdin().lock().read_to_end(&mut Vec::new());
    read.map(|_| ()).context("read standard input")
}
