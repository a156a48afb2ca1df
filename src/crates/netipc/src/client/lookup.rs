//! One lookup, in as many requests as it takes.

use std::{mem, time::Duration};

use netipc_proto::{Defect, Found, Lookup, LookupReplyHeader, Mismatch, Step, Stitch};

use super::Client;
use crate::{
    error::{Error, ErrorKind, Result},
    wait::Wait,
};

impl<L: Lookup> Client<L> {
    /// Looks up `keys`, in as many requests as it takes, and answers in their order. The answers
    /// borrow this client until its next call.
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
        self.logical_call(timeout, |client, wait| {
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
    ) -> Result<bool> {
        let mut stitch = Stitch::<L>::new(keys, self.options.ceilings, out).map_err(mismatch)?;
        loop {
            wait.remaining()?;
            let session = self.session.as_ref().ok_or(ErrorKind::NotReady)?;
            match stitch.next(session.agreement()).map_err(mismatch)? {
                Step::Done => {
                    stitch.finish();
                    return Ok(false);
                }
                Step::Grow(needed) => {
                    let wish = self.request_wish;
                    if !self.request_wish.need(needed as u64) {
                        stitch.no_larger_request();
                        continue;
                    }
                    match self.reconnect(wait) {
                        // The server takes no requests that long. What it took before it will take
                        // again.
                        Err(refusal) if refusal.kind() == ErrorKind::LimitExceeded => {
                            self.request_wish = wish;
                            self.reconnect(wait)?;
                            stitch.no_larger_request();
                        }
                        reconnected => reconnected?,
                    }
                }
                Step::Ask => {
                    self.request.resize(stitch.request_len(), 0);
                    stitch.write(&mut self.request).map_err(mismatch)?;
                    match self.exchange(wait, 1) {
                        Ok(()) => {
                            let session = self.session.as_ref().ok_or(ErrorKind::NotReady)?;
                            if stitch.take(Found::again(session.payload())?).map_err(mismatch)? {
                                return Ok(true);
                            }
                        }
                        // Larger sessions were tried; fewer keys at once may do.
                        Err(error) if error.kind() == ErrorKind::LimitExceeded => {
                            if !stitch.halve() {
                                return Err(error);
                            }
                            if !self.ready() {
                                self.reconnect(wait)?;
                            }
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }
}

fn mismatch(mismatch: Mismatch) -> Error {
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
    Error::new(kind, mismatch.to_string())
}
