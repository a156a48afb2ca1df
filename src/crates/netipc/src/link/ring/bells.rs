//! Who wakes whom over rings, by what, and how an end learns that its peer has hung up (PROTOCOL.md,
//! sections 27.5 and 27.6).

use std::{
    io, mem,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use super::{Awaited, RingEnd};
use crate::{
    error::{Error, ErrorKind, Result},
    shm::ring,
    sys::{Interest, Poller, Signal, Socket, Watch, is_scarce},
    wait::Wait,
};

/// How the sides wake each other.
#[derive(Debug)]
pub(super) enum Bells {
    /// By eventfds. Each side can make the other's writes to them block, so these are for peers of
    /// the same user, who could stop each other anyway.
    Events {
        /// Both the own bell and the socket; `None` where that is a poller's business. Dropped first:
        /// the bell is shared with the peer, so closing it here would not take it out of the set.
        watch: Option<Watch>,
        own: Signal,
        peer: Signal,
    },
    /// By packets of one byte on the socket, which costs more. No peer can make that block.
    Packets,
}

impl Bells {
    /// Bells, and what to give to the client of them: the server's, then the client's. None where
    /// descriptors are scarce, since a session with bells takes three or four of them instead of one.
    pub(super) fn make(
        socket: &Socket,
        awaited: Awaited,
    ) -> io::Result<(Self, Option<[Signal; 2]>)> {
        let own = Signal::new()?;
        if is_scarce(&own) {
            return Ok((Bells::Packets, None));
        }
        let peer = Signal::new()?;
        let given = [own.share()?, peer.share()?];
        let watch = match awaited {
            Awaited::Alone => Some(Watch::new(&own, socket)?),
            Awaited::Together => None,
        };
        Ok((Bells::Events { watch, own, peer }, Some(given)))
    }
}

/// A side wakes the other with this.
const KNOCK: [u8; 1] = [0];

/// How many knocks are read at once. An honest peer has one under way.
const KNOCKS: usize = 16;

impl RingEnd {
    /// Lets `poller`, which knows the socket by `token`, watch this end for one event more. With
    /// bells that is done for good the first time, and an event may come at any time from then on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn rearm(
        &mut self,
        socket: &Socket,
        poller: &Poller,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        match &self.bells {
            Bells::Events { .. } if self.is_followed => Ok(()),
            Bells::Events { own, .. } => {
                poller.remove(socket)?;
                poller.follow(socket, token, Interest::Hangup)?;
                poller.follow(own, token, Interest::Readable)?;
                self.is_followed = true;
                Ok(())
            }
            Bells::Packets => poller.rearm(socket, token, interest),
        }
    }

    /// Tells whoever watches the own bell, if there is one, that there may be something.
    pub(crate) fn ring_own_bell(&self) {
        if let Bells::Events { own, .. } = &self.bells {
            own.raise();
        }
    }

    /// Makes `poller` forget what it watches of this end, but for the socket.
    pub(crate) fn leave(&self, poller: &Poller) {
        if let Bells::Events { own, .. } = &self.bells {
            // It may never have come so far.
            let _ = poller.remove(own);
        }
    }

    /// What is readable when there is something, or the peer has hung up. `None` if that is the
    /// socket.
    pub(crate) fn watch(&self) -> Option<BorrowedFd<'_>> {
        match &self.bells {
            Bells::Events { watch, .. } => watch.as_ref().map(AsFd::as_fd),
            Bells::Packets => None,
        }
    }

    /// Sleeps until there is something, or the peer hangs up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::TimedOut`], [`ErrorKind::Aborted`]; [`ErrorKind::Disconnected`] if the system
    /// knows of a failure.
    pub(crate) fn wait(&mut self, socket: &Socket, wait: Wait<'_>) -> Result<()> {
        self.sleep(socket, wait, |watch| watch.wait(wait))
    }

    /// As [`wait`](Self::wait), but cheaper where there is an abort: that may shut down the socket.
    pub(crate) fn wait_in(&mut self, socket: &Arc<Socket>, wait: Wait<'_>) -> Result<()> {
        self.sleep(socket, wait, |watch| watch.wait_in(socket, wait))
    }

    fn sleep(
        &mut self,
        socket: &Socket,
        wait: Wait<'_>,
        by_bell: impl FnOnce(&Watch) -> Result<()>,
    ) -> Result<()> {
        let Bells::Events { watch: Some(watch), .. } = &self.bells else {
            socket.wait_readable(wait)?;
            return self.rise(socket);
        };
        by_bell(watch)?;
        self.wake_up();
        self.wonders_why = true;
        Ok(())
    }

    /// Ends the sleep, if it sleeps.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Disconnected`] if the system knows of a failure.
    pub(crate) fn rise(&mut self, socket: &Socket) -> Result<()> {
        if self.asleep_for == 0 {
            return Ok(());
        }
        self.wake_up();
        if let Bells::Events { watch, .. } = &self.bells {
            watch.iter().for_each(Watch::take);
            // A poller tells of the end by itself.
            self.wonders_why = watch.is_some();
            return Ok(());
        }
        for _ in 0..KNOCKS {
            match socket.receive(&mut [0; 32], &mut []) {
                Ok(None) => break,
                Ok(Some(packet)) if packet.len > 0 => {}
                Ok(Some(_)) => {
                    self.hung_up = true;
                    break;
                }
                // The peer left without hearing our last knock. What it sent before is still there,
                // and its end is what is received next.
                Err(cause) if cause.kind() == io::ErrorKind::ConnectionReset => {}
                Err(cause) => {
                    let error = Error::system("receive from the peer", cause);
                    return Err(error.with_kind(ErrorKind::Disconnected));
                }
            }
        }
        Ok(())
    }

    /// Somebody saw that the peer has hung up.
    pub(crate) fn hear_of_end(&mut self) {
        self.hung_up = true;
    }

    /// Whether the peer has hung up, as far as that was seen. What it sent before is still there.
    pub(crate) fn has_hung_up(&mut self, socket: &Socket) -> bool {
        // Mostly it was the bell, so the socket is asked only where nothing else woke this end.
        if mem::take(&mut self.wonders_why) && socket.peer_gone() {
            self.hung_up = true;
        }
        self.hung_up
    }

    /// Wakes the peer if it sleeps for what was just done.
    pub(super) fn did(&self, socket: &Socket, what: u64) -> Result<()> {
        if !ring::must_wake(self.memory.sleeps(self.peer), what) {
            return Ok(());
        }
        match &self.bells {
            Bells::Events { peer, .. } => peer.raise(),
            // Without room for it there are knocks that the peer has not heard yet.
            Bells::Packets => match socket.send(&KNOCK, &[]) {
                // Who has gone need not be woken, and what it sent before is still to be taken.
                Err(cause) if is_end(&cause) => {}
                knocked => drop(knocked.map_err(|cause| Error::system("wake the peer", cause))?),
            },
        }
        Ok(())
    }
}

fn is_end(cause: &io::Error) -> bool {
    matches!(cause.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}
