//! What is waited for, and what came of it.

/// What a socket or pipe is watched for. Hang-ups are always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    /// It can be accepted from. Reported once, whatever the poller.
    Clients,
    /// It can be read from.
    Readable,
    /// It can be written to.
    Writable,
    /// The peer hung up; data alone is no news.
    Hangup,
}

/// Why a wait of a [`Poller`](super::Poller) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Something happened to the one of that token.
    Ready {
        /// As given with the socket or pipe.
        token: u64,
        /// The peer hung up, or the connection is broken. There may be data to read nevertheless.
        hangup: bool,
    },
    /// [`Poller::wake`](super::Poller::wake) was called.
    Woken,
    /// The deadline passed.
    TimedOut,
}
