//! Small calls: one at a time, in a pipeline, in batches, on many sessions.

use std::time::Duration;

use anyhow::{Result, ensure};
use netipc::{
    Client, Declined, Wait,
    kinds::{Increment, increment::Number},
    proto::{Header, Items, ItemsWriter, Rule, Service, Status},
    transport::Session,
};

use super::{allow_many_descriptors, connected, ensure_transport, session};
use crate::peer::Case;

/// Longer than any message of a server that lives.
const LIMIT: Duration = Duration::from_secs(10);

/// The service: the next number.
pub(super) fn answer(&asked: &u64, reply: &mut Number<'_>) -> Result<(), Declined> {
    reply.value = asked.wrapping_add(1);
    Ok(())
}

pub(super) fn one_at_a_time(case: &Case<'_>) -> Result<()> {
    let mut client = connected::<Increment>(case)?;
    let mut number = 0u64;
    case.measure(1, vec![move || call(&mut client, &mut number)])
}

fn call(client: &mut Client<Increment>, number: &mut u64) -> Result<()> {
    let next = client.call(*number)?;
    ensure!(next == *number + 1, "{number} was answered with {next}");
    *number = next;
    Ok(())
}

pub(super) fn in_a_pipeline(case: &Case<'_>) -> Result<()> {
    let mut session = open(case)?;
    let (mut sent, mut received) = (0, 0);
    for _ in 1..case.task.depth {
        ask(&mut session, &mut sent)?;
    }
    case.measure(
        1,
        vec![move || {
            ask(&mut session, &mut sent)?;
            received += 1;
            let header = session.receive(Wait::at_most(LIMIT))?;
            ensure!(header.message_id == received, "an answer out of turn");
            ensure!(header.transport_status == Status::Ok.code(), "a request was refused");
            let next = Increment::read_reply(session.payload())?;
            ensure!(next == received + 1, "{received} was answered with {next}");
            Ok(())
        }],
    )
}

/// Sends one more request, whose number is its id.
fn ask(session: &mut Session, sent: &mut u64) -> Result<()> {
    *sent += 1;
    let mut payload = [0; 8];
    let len = Increment::write_request(*sent, &mut payload)?;
    let header = Header::request(Increment::METHOD, *sent, len as u32);
    Ok(session.send(&header, &payload[..len], Wait::at_most(LIMIT))?)
}

pub(super) fn in_batches(case: &Case<'_>) -> Result<()> {
    let mut session = open(case)?;
    let items = case.task.depth as u32;
    let mut payload = vec![0; 16 * case.task.depth];
    let mut number = 0u64;
    case.measure(
        u64::from(items),
        vec![move || {
            let mut requests = ItemsWriter::new(&mut payload, 0, items)?;
            for at in 0..u64::from(items) {
                requests.push(|out| Increment::write_request(number + at, out))?;
            }
            let (_, len) = requests.finish_padded();
            let mut header = Header::request(Increment::METHOD, number, len as u32);
            (header.flags, header.item_count) = (Header::BATCH, items);
            session.send(&header, &payload[..len], Wait::at_most(LIMIT))?;
            let header = session.receive(Wait::at_most(LIMIT))?;
            ensure!(header.transport_status == Status::Ok.code(), "a batch was refused");
            let replies = Items::read(session.payload(), header.item_count, Rule::Free(8))?;
            for (at, reply) in replies.iter().enumerate() {
                let next = Increment::read_reply(reply)?;
                ensure!(next == number + at as u64 + 1, "an item was answered with {next}");
            }
            ensure!(replies.len() == items, "{} items came back", replies.len());
            number += u64::from(items);
            Ok(())
        }],
    )
}

pub(super) fn on_many_sessions(case: &Case<'_>) -> Result<()> {
    allow_many_descriptors()?;
    let clients = (0..case.task.sessions).map(|_| Ok((connected::<Increment>(case)?, 0)));
    let mut clients = clients.collect::<Result<Vec<_>>>()?;
    let share = clients.len().div_ceil(case.task.threads);
    let steps = clients.chunks_mut(share).map(|clients| {
        let (mut turn, count) = (0, clients.len());
        move || {
            let (client, number) = &mut clients[turn];
            turn = if turn + 1 == count { 0 } else { turn + 1 };
            call(client, number)
        }
    });
    case.measure(1, steps.collect())
}

fn open(case: &Case<'_>) -> Result<Session> {
    let options = session(&case.task);
    let session = Session::connect(case.dir, case.service, &options, Wait::at_most(LIMIT))?;
    ensure_transport(session.carrier(), case)?;
    Ok(session)
}
