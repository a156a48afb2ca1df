//! Several requests of one kind in one message (PROTOCOL.md, section 5).

use std::{fmt, marker::PhantomData};

use netipc_proto::{Items, ItemsWriter, Malformed, Rule, Service, Unwritable};

/// The answers to a batch, in the order of the requests. Each was checked when it came.
pub struct Answers<'a, S> {
    source: Source<'a>,
    kind: PhantomData<fn() -> S>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    None,
    /// A batch of one travels as a message like any other.
    One(&'a [u8]),
    Many(Items<'a>),
}

impl<S> fmt::Debug for Answers<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answers").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl<S> Answers<'_, S> {
    /// How many there are: one for every request.
    pub fn len(&self) -> u32 {
        match &self.source {
            Source::None => 0,
            Source::One(_) => 1,
            Source::Many(items) => items.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a, S: Service> Answers<'a, S> {
    /// The answers in a reply to so many requests.
    pub(crate) fn read(payload: &'a [u8], count: u32) -> Result<Self, Malformed> {
        let source = match count {
            0 => Source::None,
            1 => Source::One(payload),
            count => Source::Many(Items::read(payload, count, Rule::Free(0))?),
        };
        Ok(Answers { source, kind: PhantomData })
    }

    /// Checks each answer.
    pub(crate) fn check(&self) -> Result<(), Malformed> {
        match self.source {
            Source::None => Ok(()),
            Source::One(answer) => S::read_reply(answer).map(drop),
            Source::Many(answers) => {
                answers.iter().try_for_each(|answer| S::read_reply(answer).map(drop))
            }
        }
    }

    /// Each answer.
    ///
    /// # Errors
    ///
    /// None: each was checked when it came. The type is that of reading an answer.
    pub fn iter(&self) -> impl Iterator<Item = Result<S::ReplyView<'a>, Malformed>> + use<'a, S> {
        self.bytes().map(S::read_reply)
    }

    fn bytes(&self) -> impl Iterator<Item = &'a [u8]> + use<'a, S> {
        let (one, many) = match self.source {
            Source::None => (None, None),
            Source::One(answer) => (Some(answer), None),
            Source::Many(items) => (None, Some(items)),
        };
        one.into_iter().chain(many.into_iter().flat_map(Items::iter))
    }
}

/// Writes several requests as one message into `out`, which is given the length of it.
pub(crate) fn write<S: Service>(
    requests: &[S::Request<'_>],
    out: &mut Vec<u8>,
) -> Result<(), Unwritable> {
    if let &[only] = requests {
        out.resize(S::request_len(only), 0);
        return S::write_request(only, out).map(drop);
    }
    let count = u32::try_from(requests.len()).map_err(|_| Unwritable::Full)?;
    let most = requests.iter().fold(0usize, |most, &request| {
        most.saturating_add(S::request_len(request)).saturating_add(16)
    });
    out.resize(most, 0);
    let mut items = ItemsWriter::new(out, 0, count)?;
    for &request in requests {
        items.push(|out| S::write_request(request, out))?;
    }
    let (_, len) = items.finish_padded();
    out.truncate(len);
    Ok(())
}
