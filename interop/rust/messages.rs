//! Messages of any content: sessions without a service.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use netipc::{
    ErrorKind, SessionOptions, Wait,
    proto::{Header, ItemsWriter, Kind},
    transport::{Listener, ListenerOptions, Session},
};

use crate::{Meeting, data, ensure_over, say, session, task::Scenario, wait_for_the_end};

const LIMIT: Duration = Duration::from_secs(20);
const CODE: u16 = 1000;
const PACKET: u32 = 4096;
/// The longest payload.
const MOST: u32 = 1 << 20;
/// Lengths around those where a message takes another packet.
const LENGTHS: [usize; 10] = [0, 1, 31, 4064, 4065, 8128, 8129, 65504, 300_000, MOST as usize];

/// Echoes the messages of one client. `depth` requests of a pipeline are taken before any is
/// answered, and the last is answered first.
pub(crate) fn serve(meeting: &Meeting<'_>) -> Result<()> {
    let options = ListenerOptions { session: limits(meeting), ..ListenerOptions::default() };
    let listener = Listener::bind(meeting.dir, meeting.service, &options)?;
    say("READY")?;
    let mut session = listener.accept(Wait::at_most(LIMIT))?;
    let depth = match meeting.task.scenario {
        Scenario::Pipeline => meeting.task.depth,
        _ => 1,
    };
    'client: loop {
        let mut taken = Vec::new();
        for _ in 0..depth {
            match session.receive(Wait::at_most(LIMIT)) {
                Ok(header) => taken.push((header, session.payload().to_vec())),
                Err(error) if error.kind() == ErrorKind::Disconnected => break 'client,
                Err(error) => return Err(error.into()),
            }
        }
        for (header, payload) in taken.iter().rev() {
            let reply = Header { kind: Kind::Response, ..*header };
            session.send(&reply, payload, Wait::at_most(LIMIT))?;
        }
    }
    drop((session, listener));
    wait_for_the_end()
}

/// One message after the other, of many lengths, and a batch.
pub(crate) fn echo(meeting: &Meeting<'_>) -> Result<()> {
    let mut session = connect(meeting)?;
    for (id, len) in (1..).zip(LENGTHS) {
        let payload = data::payload(id, len);
        let header = Header::request(CODE, id, len as u32);
        session.send(&header, &payload, Wait::at_most(LIMIT))?;
        expect(&mut session, &header, &payload)?;
    }
    let mut payload = vec![0; 256];
    let mut items = ItemsWriter::new(&mut payload, 0, 3)?;
    for len in [1, 7, 8] {
        items.push(|out| {
            out[..len].copy_from_slice(&data::payload(len as u64, len));
            Ok(len)
        })?;
    }
    let (_, len) = items.finish_padded();
    let header =
        Header { flags: Header::BATCH, item_count: 3, ..Header::request(CODE, 100, len as u32) };
    session.send(&header, &payload[..len], Wait::at_most(LIMIT))?;
    expect(&mut session, &header, &payload[..len])
}

/// Many messages on their way at once, answered in another order.
pub(crate) fn pipeline(meeting: &Meeting<'_>) -> Result<()> {
    let mut session = connect(meeting)?;
    let depth = meeting.task.depth;
    let message = |id: u64| {
        let len = (id * 523 % 9000) as usize;
        (Header::request(CODE, id, len as u32), data::payload(id, len))
    };
    for round in 0..meeting.task.rounds {
        let ids = round * depth + 1..=(round + 1) * depth;
        for id in ids.clone() {
            let (header, payload) = message(id);
            session.send(&header, &payload, Wait::at_most(LIMIT))?;
        }
        for id in ids.rev() {
            let (header, payload) = message(id);
            expect(&mut session, &header, &payload)?;
        }
    }
    Ok(())
}

fn connect(meeting: &Meeting<'_>) -> Result<Session> {
    let session =
        Session::connect(meeting.dir, meeting.service, &limits(meeting), Wait::at_most(LIMIT))?;
    ensure_over(session.carrier(), meeting)?;
    ensure!(session.agreement().agreed_packet_size == PACKET, "other packets were agreed on");
    Ok(session)
}

fn limits(meeting: &Meeting<'_>) -> SessionOptions {
    SessionOptions {
        max_request_payload_bytes: MOST,
        max_response_payload_bytes: MOST,
        max_request_batch_items: 16,
        packet_size: PACKET,
        ..session(meeting.task.transport)
    }
}

fn expect(session: &mut Session, request: &Header, payload: &[u8]) -> Result<()> {
    let id = request.message_id;
    let header = session.receive(Wait::at_most(LIMIT)).with_context(|| format!("answer {id}"))?;
    let wanted = Header { kind: Kind::Response, ..*request };
    ensure!(header == wanted, "{id} was answered with {header:?}");
    ensure!(session.payload() == payload, "{id} came back with another payload");
    Ok(())
}
