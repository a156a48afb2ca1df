//! One lookup, in as many requests as it takes.

use std::{
    mem,
    time::{Duration, Instant},
};

use netipc_proto::{Ceilings, Defect, Found, Lookup, LookupReplyHeader, Mismatch, Step, Stitch};

use super::{Client, Failed};
use crate::{
    error::{Error, ErrorKind, Result},
    wait::Wait,
};

impl<L: Lookup> Client<L> {
    /// Looks up `keys`, in as many requests as it takes, and answers in their order. The answers
    /// borrow this client until its next call.
    ///
    /// All requests share one deadline. If it passes, or the lookup is called off, between two of
    /// them, the session stays and no error is counted (PROTOCOL.md, section 21).
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call); [`ErrorKind::LimitExceeded`] also if there are more keys, requests
    /// or answers than the client's ceilings allow; [`ErrorKind::Protocol`] if the server answers
    /// other keys than were asked, or changes again and again while it is asked.
    pub fn lookup<'k>(&mut self, keys: &'k [L::Key<'k>]) -> Result<Found<'_, L>> {
        self.lookup_within(keys, Duration::ZERO)
    }

    /// As [`lookup`](Self::lookup), within `timeout`; zero stands for the client's own.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Self::lookup).
    pub fn lookup_within<'k>(
        &mut self,
        keys: &'k [L::Key<'k>],
        timeout: Duration,
    ) -> Result<Found<'_, L>> {
        self.logical_call(timeout, |client, wait, _| {
            let mut out = mem::take(&mut client.stitched);
            let done = client.stitch(keys, &mut out, wait);
            client.stitched = out;
            client.is_stitched = !done?;
            Ok(())
        })?;
        Ok(Found::again(self.reply())?)
    }

    /// Whether the session's last reply is the whole answer; otherwise it stands in `out`.
    fn stitch<'k>(
        &mut self,
        keys: &'k [L::Key<'k>],
        out: &mut Vec<u8>,
        wait: Wait<'_>,
    ) -> Result<bool, Failed> {
        let ceilings = self.options.ceilings;
        let mismatch = |why| mismatch(why, keys.len(), ceilings);
        let mut stitch = Stitch::<L>::new(keys, ceilings, out).map_err(mismatch)?;
        // A lookup that is over before it asked anything is like any other call.
        let mut over: fn(Error) -> Failed = Failed::Call;
        loop {
            let session = self.session.as_ref().ok_or_else(|| Error::from(ErrorKind::NotReady))?;
            match stitch.next(session.agreement()).map_err(mismatch)? {
                Step::Done => {
                    stitch.finish();
                    return Ok(false);
                }
                Step::Grow(needed) => {
                    wait.remaining().map_err(over)?;
                    if !self.grow_for_key(needed, wait)? {
                        stitch.no_larger_request();
                    }
                }
                Step::Ask => {
                    let now = Instant::now();
                    wait.remaining_at(now).map_err(over)?;
                    self.request.resize(stitch.request_len(), 0);
                    stitch.write(&mut self.request).map_err(mismatch)?;
                    let answered = self.exchange(wait, now, 1);
                    over = Failed::BetweenRequests;
                    match answered {
                        Ok(()) => {
                            let session = self.session.as_ref().expect("it was answered in one");
                            let reply = Found::again(session.payload()).map_err(Error::from)?;
                            if stitch.take(reply).map_err(mismatch)? {
                                return Ok(true);
                            }
                        }
                        // Larger sessions were tried; fewer keys at once may do.
                        Err(error) if error.kind() == ErrorKind::LimitExceeded => {
                            if !stitch.halve() {
                                return Err(error.into());
                            }
                            if !self.ready() {
                                self.reconnect(wait)?;
                            }
                        }
                        Err(error) => return Err(error.into()),
                    }
                }
            }
        }
    }

    /// Makes a session that takes requests of `needed` bytes. `false` if the server takes none.
    fn grow_for_key(&mut self, needed: usize, wait: Wait<'_>) -> Result<bool> {
        let wish = self.request_wish;
        if !self.request_wish.need(needed as u64) {
            return Ok(false);
        }
        match self.reconnect(wait) {
            // What it took before it will take again.
            Err(refusal) if refusal.kind() == ErrorKind::LimitExceeded => {
                self.request_wish = wish;
                self.reconnect(wait).map(|()| false)
            }
            reconnected => reconnected.map(|()| true),
        }
    }
}

/// Why a lookup of so many `keys` fails although its requests were answered.
fn mismatch(mismatch: Mismatch, keys: usize, ceilings: Ceilings) -> Error {
    let kind = match mismatch {
        Mismatch::Count => {
            let why = "has not one item per key";
            let head = LookupReplyHeader::LAYOUT;
            return head.wrong("item_count", Defect::BadItemCount, why).into();
        }
        Mismatch::Unwritable(_) => ErrorKind::InvalidInput,
        Mismatch::TooManyKeys
        | Mismatch::TooManyCalls
        | Mismatch::TooLong
        | Mismatch::KeyTooLong
        | Mismatch::NoProgress => ErrorKind::LimitExceeded,
        Mismatch::Keys | Mismatch::Generation => ErrorKind::Protocol,
    };
    let Ceilings { items, subcalls, response_bytes } = ceilings;
    let ceiling = match mismatch {
        Mismatch::TooManyKeys => format!(" ({keys} keys, at most {items})"),
        Mismatch::TooManyCalls => format!(" ({keys} keys within {subcalls} requests)"),
        Mismatch::TooLong => format!(" ({response_bytes} bytes for {keys} keys)"),
        _ => String::new(),
    };
    Error::new(kind, format!("{mismatch}{ceiling}"))
}
