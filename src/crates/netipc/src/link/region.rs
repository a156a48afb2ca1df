//! Messages over the shared memory of Netdata plugin-ipc: one at a time, whole (PROTOCOL.md,
//! sections 24 and 25).

use std::time::{Duration, Instant};

use netipc_proto::{Fault, Header, session::check_batch};

use super::{Link, Session, head_of, message_limit};
use crate::{
    error::{Error, ErrorKind, Result},
    shm::{Shared, Taken},
    wait::Wait,
};

/// A region has no descriptor to wait for, so the socket and the abort are looked at this
/// often while somebody waits there whom nobody rings. A message ends the wait at once all the same.
pub(super) const GLANCE: Duration = Duration::from_millis(20);

impl Session {
    pub(crate) fn shared(&self) -> Option<&Shared> {
        match &self.link {
            Link::Region(shared) => Some(shared),
            _ => None,
        }
    }

    pub(crate) fn shared_mut(&mut self) -> Option<&mut Shared> {
        match &mut self.link {
            Link::Region(shared) => Some(shared),
            _ => None,
        }
    }

    pub(super) fn send_shared(&mut self, header: &Header, payload: &[u8]) -> Result<()> {
        let Link::Region(shared) = &mut self.link else { unreachable!("only called with one") };
        if self.rules.in_flight() > 1 {
            self.rules.unsend(header);
            let why = "send over shared memory before the response to the last request";
            return Err(Error::new(ErrorKind::InvalidInput, why));
        }
        shared.publish(&header.to_bytes(), payload).map_err(|error| {
            self.rules.unsend(header);
            error.into()
        })
    }

    /// As [`receive`](Self::receive) in shared memory, without looking around: for who rings the
    /// session's bell when the socket hangs up.
    pub(crate) fn receive_until_rung(&mut self) -> Result<Header> {
        self.receive_shared(Wait::FOREVER, Duration::MAX)
    }

    /// Waits in shared memory, no longer than `glance` without a look at the socket and the abort.
    pub(super) fn receive_shared(&mut self, wait: Wait<'_>, glance: Duration) -> Result<Header> {
        wait.check_abort()?;
        if let Some(header) = self.look(|| true)? {
            return Ok(header);
        }
        let mut now = Instant::now();
        self.spinner.lie_down(|| now);
        loop {
            let remaining = wait.remaining_at(now)?;
            let limit = message_limit(&self.rules);
            let Link::Region(shared) = &mut self.link else { unreachable!("only called with one") };
            let slice = remaining.map_or(glance, |left| left.min(glance));
            let until = now.checked_add(slice);
            match shared.take(limit, until)? {
                Taken::Message(length) => {
                    self.spinner.wake();
                    return self.take_shared(length);
                }
                Taken::Rung => return Err(ErrorKind::Aborted.into()),
                Taken::Closed => {
                    return Err(Error::new(ErrorKind::Disconnected, "receive from the peer"));
                }
                Taken::TimedOut => {}
            }
            if self.socket.peer_gone() {
                // It may have answered just before it went.
                return match self.try_receive()? {
                    Some(header) => Ok(header),
                    None => Err(Error::new(ErrorKind::Disconnected, "receive from the peer")),
                };
            }
            now = Instant::now();
        }
    }

    /// Copies the message of `length` bytes out of shared memory, then looks at the copy.
    pub(super) fn take_shared(&mut self, length: usize) -> Result<Header> {
        let Link::Region(shared) = &self.link else { unreachable!("only called with one") };
        let Some(payload_len) = length.checked_sub(Header::LEN) else {
            return Err(Fault::Length.into());
        };
        if self.inbox.len() < length {
            self.inbox.resize(length, 0);
        }
        shared.copy(0, &mut self.inbox[..length]);
        let header = Header::read(head_of(&mut self.inbox)).map_err(Fault::Malformed)?;
        self.rules.receive(&header)?;
        if header.payload_len as usize != payload_len {
            return Err(Fault::Length.into());
        }
        self.payload_len = payload_len;
        check_batch(&header, self.payload())?;
        Ok(header)
    }
}
