//! Messages of a session: sent in packets or records, and received from them, under the rules that its
//! members say.

use netipc::{
    Error, ErrorKind, Wait,
    raw::{Expected, Link},
};
use netipc_proto::{
    Fault, Header, Kind,
    parts::{Cut, Join, Part},
    session::check_batch,
};

use super::{
    bad_param, fault_code,
    imp::{Code, ERR_ABORTED, ERR_PROTOCOL, ERR_TIMEOUT, Session, receive_code, send_code},
    session::ROLE_CLIENT,
};
use crate::{
    errors::note_error,
    protocol::{Image, nipc_header_t},
};

/// What is behind the struct of a session: the link, and what has begun to pass over it.
pub(super) struct Carrier {
    pub(super) link: Link,
    unsent: Option<Unsent>,
    begun: Option<Begun>,
}

impl From<Link> for Carrier {
    fn from(link: Link) -> Self {
        Carrier { link, unsent: None, begun: None }
    }
}

/// A message of which not all is sent.
struct Unsent {
    header: Header,
    rest: Rest,
}

/// What of a message is still to be sent.
enum Rest {
    Packets {
        cut: Cut,
        next: Part,
        is_first: bool,
    },
    /// What follows the first `done` bytes, the envelope included.
    Records {
        done: usize,
    },
}

/// A message of which the first part is received.
struct Begun {
    /// Its envelope as it came.
    wire: [u8; Header::LEN],
    header: Header,
    rest: Missing,
}

/// What of a message is still to come. What has come is in `recv_buf`.
enum Missing {
    Packets(Join),
    /// What follows the first `done` bytes of the payload.
    Records {
        done: usize,
    },
}

impl Session {
    /// Sends a message whose envelope is `wire`, under the rules for `header`. Without a `wait`: as far
    /// as there is room.
    pub(super) fn send(
        &mut self,
        carrier: &mut Carrier,
        wire: &[u8; Header::LEN],
        header: &Header,
        payload: &[u8],
        wait: Option<Wait<'_>>,
    ) -> Result<(), Code> {
        if carrier.unsent.as_ref().is_some_and(|unsent| unsent.header != *header) {
            return Err(bad_param("send another message before all of the last is sent"));
        }
        let mut unsent = match carrier.unsent.take() {
            Some(unsent) => unsent,
            None => Unsent { header: *header, rest: self.begin(&carrier.link, header)? },
        };
        match unsent.rest.send(&mut carrier.link, wire, payload, wait) {
            Ok(true) => Ok(()),
            Ok(false) => {
                carrier.unsent = Some(unsent);
                Err(ERR_TIMEOUT)
            }
            Err(error) => {
                self.inflight_count = 0;
                note_error(&error);
                Err(send_code(&error))
            }
        }
    }

    /// Begins to send a message, if the rules allow it. From here on a client's request is in flight.
    fn begin(&mut self, link: &Link, header: &Header) -> Result<Rest, Code> {
        let tracked = self.role == ROLE_CLIENT && header.kind == Kind::Request;
        if tracked {
            if self.ids().contains(&header.message_id) {
                return Err(fault_code(Fault::DuplicateId(header.message_id)));
            }
            self.add_id(header.message_id)?;
        }
        let allowed = self.outgoing(header.kind).check(header);
        let rest = allowed.and_then(|()| match link.has_rings() {
            true => Ok(Rest::Records { done: 0 }),
            false => {
                let mut cut = Cut::new(header, self.packet_size)?;
                let next = cut.next().expect("every message has a first packet");
                Ok(Rest::Packets { cut, next, is_first: true })
            }
        });
        rest.map_err(|fault| {
            if tracked {
                self.remove_id(header.message_id);
            }
            fault_code(fault)
        })
    }

    /// Receives one message and says where its payload is. `seen` is told its header as soon as it
    /// can be read. Without a `wait`: if all of it is there.
    pub(super) fn receive(
        &mut self,
        carrier: &mut Carrier,
        buf: &mut [u8],
        wait: Option<Wait<'_>>,
        seen: impl FnOnce(nipc_header_t),
    ) -> Result<(*const u8, usize), Code> {
        let payload = match carrier.begun.take() {
            Some(begun) => {
                if let Some(image) = nipc_header_t::from_wire(&begun.wire) {
                    seen(image);
                }
                self.join(carrier, begun, wait)?
            }
            None if carrier.link.has_rings() => self.first_record(carrier, buf, wait, seen)?,
            None => self.first_packet(carrier, buf, wait, seen)?,
        };
        Ok((payload.as_ptr(), payload.len()))
    }

    /// The envelope of a message that begins to come, if the rules allow it.
    fn admit(&mut self, wire: &[u8], seen: impl FnOnce(nipc_header_t)) -> Result<Header, Code> {
        let header = Header::read(wire).map_err(|error| fault_code(Fault::Malformed(error)))?;
        if let Some(image) = nipc_header_t::from_wire(wire) {
            seen(image);
        }
        self.incoming().check(&header).map_err(fault_code)?;
        let tracked = self.role == ROLE_CLIENT && header.kind == Kind::Response;
        if tracked && !self.remove_id(header.message_id) {
            return Err(fault_code(Fault::UnknownId(header.message_id)));
        }
        Ok(header)
    }

    /// Receives a message that begins with a packet.
    fn first_packet<'a>(
        &'a mut self,
        carrier: &mut Carrier,
        buf: &'a mut [u8],
        wait: Option<Wait<'_>>,
        seen: impl FnOnce(nipc_header_t),
    ) -> Result<&'a [u8], Code> {
        let packet_size =
            if self.packet_size as usize > Header::LEN { self.packet_size } else { u32::MAX };
        let limit = self.incoming().payload_bytes;
        let most = limit.min(packet_size - Header::LEN as u32) as usize;
        let is_alone = self.role == ROLE_CLIENT && self.inflight_count == 1;
        let expected = if is_alone { Expected::Soon } else { Expected::Anytime };
        let mut wire = [0; Header::LEN];
        // Where the first packet goes: the caller's buffer if it holds any packet, else ours.
        let in_buf = buf.len() >= Header::LEN + most;
        let received = if in_buf {
            let received =
                carrier.link.receive(&mut buf[..Header::LEN + most], &mut [], expected, wait);
            wire.copy_from_slice(&buf[..Header::LEN]);
            received
        } else {
            carrier.link.receive(&mut wire, self.room(most)?, expected, wait)
        };
        let packet = self.received(received, wait)?;
        let header = self.admit(&wire[..packet.len.min(Header::LEN)], seen)?;
        if packet.truncated {
            return Err(fault_code(Fault::Trailing));
        }
        let first = packet.len - Header::LEN;
        let join = Join::start(&header, first, packet_size).map_err(fault_code)?;
        if join.is_complete() {
            let payload =
                if in_buf { &buf[Header::LEN..][..first] } else { &self.room(first)?[..] };
            check_batch(&header, payload).map_err(fault_code)?;
            return Ok(payload);
        }
        if in_buf {
            self.room(first)?.copy_from_slice(&buf[Header::LEN..][..first]);
        }
        self.join(carrier, Begun { wire, header, rest: Missing::Packets(join) }, wait)
    }

    /// Receives a message that begins with a record (PROTOCOL.md, section 27.4).
    fn first_record<'a>(
        &'a mut self,
        carrier: &mut Carrier,
        buf: &'a mut [u8],
        wait: Option<Wait<'_>>,
        seen: impl FnOnce(nipc_header_t),
    ) -> Result<&'a [u8], Code> {
        let opened = carrier.link.open(wait);
        let length = self.received(opened, wait)?;
        // RR3
        let first = length.checked_sub(Header::LEN).ok_or_else(|| fault_code(Fault::Length))?;
        let mut wire = [0; Header::LEN];
        carrier.link.copy(0, &mut wire);
        // RR4
        let header = self.admit(&wire, seen)?;
        let len = header.payload_len as usize;
        let checked = carrier.link.check_length(length, Header::LEN + len).map(Some);
        self.received(checked, wait)?;
        if first == len && buf.len() >= length {
            let (head, payload) = buf[..length].split_at_mut(Header::LEN);
            head.copy_from_slice(&wire);
            carrier.link.copy(Header::LEN, payload);
            let closed = carrier.link.close(length).map(Some);
            self.received(closed, wait)?;
            // RR6
            check_batch(&header, payload).map_err(fault_code)?;
            return Ok(payload);
        }
        carrier.link.copy(Header::LEN, &mut self.room(len)?[..first]);
        let closed = carrier.link.close(length).map(Some);
        self.received(closed, wait)?;
        self.join(carrier, Begun { wire, header, rest: Missing::Records { done: first } }, wait)
    }

    /// Receives the rest of a message into `recv_buf`, where what has come of it is.
    fn join(
        &mut self,
        carrier: &mut Carrier,
        mut begun: Begun,
        wait: Option<Wait<'_>>,
    ) -> Result<&[u8], Code> {
        let header = begun.header;
        while !begun.rest.is_complete(&header) {
            let payload = self.room(header.payload_len as usize)?;
            let received = begun.rest.receive(&mut carrier.link, payload, wait);
            if let Err(code) = self.received(received, wait) {
                if matches!(code, ERR_TIMEOUT | ERR_ABORTED) {
                    carrier.begun = Some(begun);
                }
                return Err(code);
            }
        }
        let payload = &*self.room(header.payload_len as usize)?;
        check_batch(&header, payload).map_err(fault_code)?;
        Ok(payload)
    }

    /// What was received, or the code of why not. What failed ends whatever is in flight.
    fn received<T>(
        &mut self,
        received: Result<Option<T>, Error>,
        wait: Option<Wait<'_>>,
    ) -> Result<T, Code> {
        let error = match received {
            Ok(Some(received)) => return Ok(received),
            Ok(None) => return Err(ERR_TIMEOUT),
            Err(error) => error,
        };
        if let Some(fault) = error.fault() {
            return Err(fault_code(*fault));
        }
        note_error(&error);
        Err(match error.kind() {
            ErrorKind::TimedOut => ERR_TIMEOUT,
            ErrorKind::Aborted => ERR_ABORTED,
            ErrorKind::Protocol => ERR_PROTOCOL,
            _ => {
                self.inflight_count = 0;
                receive_code(&error, wait)
            }
        })
    }
}

impl Rest {
    /// Sends more of a message. Whether that was the rest.
    fn send(
        &mut self,
        link: &mut Link,
        wire: &[u8; Header::LEN],
        payload: &[u8],
        wait: Option<Wait<'_>>,
    ) -> Result<bool, Error> {
        match self {
            Rest::Records { done } => link.push(wire, payload, done, wait),
            Rest::Packets { cut, next, is_first } => loop {
                let head = if *is_first { wire } else { &next.head };
                if !link.send(head, &payload[next.payload.clone()], wait)? {
                    return Ok(false);
                }
                *is_first = false;
                match cut.next() {
                    Some(following) => *next = following,
                    None => return Ok(true),
                }
            },
        }
    }
}

impl Missing {
    fn is_complete(&self, header: &Header) -> bool {
        match self {
            Missing::Packets(join) => join.is_complete(),
            Missing::Records { done } => *done == header.payload_len as usize,
        }
    }

    /// Receives one packet or record more to its place in `payload`.
    fn receive(
        &mut self,
        link: &mut Link,
        payload: &mut [u8],
        wait: Option<Wait<'_>>,
    ) -> Result<Option<()>, Error> {
        match self {
            Missing::Packets(join) => {
                let mut head = [0; Header::LEN];
                let body = &mut payload[join.next()];
                let Some(packet) = link.receive(&mut head, body, Expected::Soon, wait)? else {
                    return Ok(None);
                };
                if packet.truncated {
                    return Err(Fault::WrongPart.into());
                }
                let head = &head[..packet.len.min(Header::LEN)];
                join.push(head, packet.len.saturating_sub(Header::LEN))?;
            }
            Missing::Records { done } => {
                let Some(length) = link.open(wait)? else { return Ok(None) };
                link.check_length(length, payload.len() - *done)?;
                link.copy(0, &mut payload[*done..][..length]);
                link.close(length)?;
                *done += length;
            }
        }
        Ok(Some(()))
    }
}
