//! How a session is waited for: by looking, in the socket itself, or by a poller beside others.

use std::{io, mem, time::Instant};

use netipc_proto::Header;

use super::{Link, Session};
use crate::{
    error::Result,
    spin::{Spin, Spinner},
    sys::{Interest, Poller, Socket},
    wait::Wait,
};

impl Session {
    /// How messages are waited for from now on.
    pub(crate) fn set_spin(&mut self, spin: Spin) {
        self.spinner = Spinner::new(spin);
        if let Link::Ring(ring) = &mut self.link {
            ring.set_spin(spin);
        }
    }

    /// Looks for a message, as long as that pays and `may_go_on`.
    ///
    /// # Errors
    ///
    /// As [`try_receive`](Self::try_receive).
    pub(crate) fn look(&mut self, may_go_on: impl FnMut() -> bool) -> Result<Option<Header>> {
        let first = self.take()?;
        if !self.spinner.pays_to_go_on(first.is_some()) {
            return Ok(first);
        }
        let mut spinner = mem::take(&mut self.spinner);
        let found = spinner.go_on(|| self.take(), may_go_on);
        self.spinner = spinner;
        found
    }

    /// As [`look`](Self::look), for who is to wait by means that tell of what is there already: does
    /// nothing where a look of late never found something.
    pub(crate) fn look_on(&mut self, may_go_on: impl FnMut() -> bool) -> Result<Option<Header>> {
        if !self.spinner.is_worth_a_look() {
            return Ok(None);
        }
        self.look(may_go_on)
    }

    /// From here on the session is waited for by other means, until [`wake`](Self::wake). Whether it
    /// may be: `false` if there is something after all.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), without those of waiting.
    pub(crate) fn lie_down(&mut self) -> Result<bool> {
        if let Link::Ring(ring) = &mut self.link
            && !ring.await_record(&self.socket)?
        {
            return Ok(false);
        }
        self.spinner.lie_down(Instant::now);
        Ok(true)
    }

    /// It was waited for by other means, and now there is something; if the peer `has_hung_up`,
    /// after what it sent before.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive), without those of waiting.
    pub(crate) fn wake(&mut self, has_hung_up: bool) -> Result<()> {
        self.spinner.wake();
        if let Link::Ring(ring) = &mut self.link {
            if has_hung_up {
                ring.hear_of_end();
            }
            ring.rise(&self.socket)?;
        }
        Ok(())
    }

    /// Whether [`block`](Self::block) is cheaper than to wait for the descriptor and then to receive.
    pub(crate) fn can_block(&self) -> bool {
        matches!(self.link, Link::Socket) && Socket::BLOCKS
    }

    /// Sleeps in receiving from the socket until a message is there. `wait` began at `since`.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive).
    pub(crate) fn block(&mut self, wait: Wait<'_>, since: Instant) -> Result<Option<Header>> {
        self.spinner.lie_down(Instant::now);
        let header = self.receive_packets(Some((wait, since)))?;
        self.spinner.wake();
        Ok(header)
    }

    /// What a send without room waits for.
    pub(crate) fn interest_to_send(&self) -> Interest {
        match self.link {
            Link::Ring(_) => Interest::Readable,
            _ => Interest::Writable,
        }
    }

    /// What a poller is to watch the session for so that it tells at once that there may be something,
    /// though nobody said that this side sleeps.
    pub(crate) fn call_again(&self) -> Interest {
        match &self.link {
            Link::Ring(ring) => {
                ring.ring_own_bell();
                // Without a bell: there is always room for a knock.
                Interest::Writable
            }
            _ => Interest::Readable,
        }
    }

    /// Lets `poller`, which knows the socket by `token`, watch the session for one event more.
    pub(crate) fn rearm(
        &mut self,
        poller: &Poller,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        match &mut self.link {
            Link::Ring(ring) => ring.rearm(&self.socket, poller, token, interest),
            _ => poller.rearm(&*self.socket, token, interest),
        }
    }

    /// Makes `poller` forget what it watches of the session, but for the socket.
    pub(crate) fn leave(&self, poller: &Poller) {
        if let Link::Ring(ring) = &self.link {
            ring.leave(poller);
        }
    }
}
