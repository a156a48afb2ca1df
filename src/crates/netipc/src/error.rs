//! What can go wrong, for programs and for people.

use std::{borrow::Cow, fmt, io, sync::Arc};

use netipc_proto::{Fault, Malformed};

/// What kind of failure it was: what a program decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A name, an option or an argument that cannot be used.
    InvalidInput,
    /// A path built from directory and service name is longer than the system allows.
    NameTooLong,
    /// Another live server has the endpoint.
    AddressInUse,
    /// Nothing listens there: no provider yet, or no longer.
    NotFound,
    /// The system forbids it to this user.
    PermissionDenied,
    /// The system has no memory, descriptors or space left for it.
    Exhausted,
    /// The provider lives but takes no connections now.
    Busy,
    /// The client has no session: call `refresh` first.
    NotReady,
    /// The peer hung up or died.
    Disconnected,
    /// The deadline passed.
    TimedOut,
    /// The caller called it off.
    Aborted,
    /// The peer expects another token.
    AuthenticationFailed,
    /// The peer speaks another version or layout of the protocol.
    Incompatible,
    /// Client and server have no profile in common.
    NoCommonProfile,
    /// A message is larger than was agreed, or than the peer can answer within its limits.
    LimitExceeded,
    /// The peer's bytes break the protocol.
    Protocol,
    /// A message in parts was continued with a part that does not belong to it.
    Parts,
    /// A request carries the id of another one in flight.
    DuplicateId,
    /// A response carries an id that nobody waits for.
    UnknownId,
    /// The server does not serve this kind of request.
    Unsupported,
    /// The server could not read the request.
    Rejected,
    /// The server's handler failed.
    HandlerFailed,
    /// Any other failure reported by the system.
    System,
}

impl ErrorKind {
    fn as_str(self) -> &'static str {
        match self {
            ErrorKind::InvalidInput => "invalid input",
            ErrorKind::NameTooLong => "name too long",
            ErrorKind::AddressInUse => "address in use",
            ErrorKind::NotFound => "no provider",
            ErrorKind::PermissionDenied => "permission denied",
            ErrorKind::Exhausted => "out of resources",
            ErrorKind::Busy => "provider is busy",
            ErrorKind::NotReady => "not connected",
            ErrorKind::Disconnected => "peer is gone",
            ErrorKind::TimedOut => "timed out",
            ErrorKind::Aborted => "aborted",
            ErrorKind::AuthenticationFailed => "authentication failed",
            ErrorKind::Incompatible => "incompatible protocol",
            ErrorKind::NoCommonProfile => "no common profile",
            ErrorKind::LimitExceeded => "limit exceeded",
            ErrorKind::Protocol => "peer broke the protocol",
            ErrorKind::Parts => "message parts out of order",
            ErrorKind::DuplicateId => "message id already in flight",
            ErrorKind::UnknownId => "response nobody asked for",
            ErrorKind::Unsupported => "not served there",
            ErrorKind::Rejected => "request rejected as malformed",
            ErrorKind::HandlerFailed => "provider failed to answer",
            ErrorKind::System => "system error",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure: its kind for programs, what was tried and why it failed for people.
///
/// Displayed as `connect to /run/x/y.sock: connection refused`; the operating system's error, where
/// there is one, is the [`source`](std::error::Error::source).
#[derive(Clone, Debug)]
pub struct Error(Box<Failure>);

/// One pointer away, so that what succeeds is returned in registers.
#[derive(Clone, Debug)]
struct Failure {
    kind: ErrorKind,
    /// What was tried, on what. Empty if the kind says it all.
    context: Cow<'static, str>,
    cause: Option<Cause>,
}

#[derive(Clone, Debug)]
enum Cause {
    System(Arc<io::Error>),
    Malformed(Malformed),
    Fault(Fault),
}

/// What this crate's functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of `kind` while doing what `context` says.
    pub fn new(kind: ErrorKind, context: impl Into<Cow<'static, str>>) -> Self {
        Error::of(kind, context.into(), None)
    }

    /// A failure reported by the operating system, of the kind its number says.
    pub fn system(context: impl Into<Cow<'static, str>>, cause: impl Into<io::Error>) -> Self {
        let cause = cause.into();
        let kind = kind_of(&cause);
        Error::of(kind, context.into(), Some(Cause::System(Arc::new(cause))))
    }

    #[cold]
    fn of(kind: ErrorKind, context: Cow<'static, str>, cause: Option<Cause>) -> Self {
        Error(Box::new(Failure { kind, context, cause }))
    }

    /// The same failure under another kind, where the caller knows better than the number.
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same failure, as the reason why what `context` says failed.
    pub fn within(mut self, context: impl fmt::Display) -> Self {
        self.0.context = match self.0.context.is_empty() {
            true => context.to_string().into(),
            false => format!("{context}: {}", self.0.context).into(),
        };
        self
    }

    /// What a program decides by.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operating system's number for the failure, if it reported one.
    pub fn raw_os_error(&self) -> Option<i32> {
        match &self.0.cause {
            Some(Cause::System(cause)) => cause.raw_os_error(),
            _ => None,
        }
    }

    /// Which rule of the wire the bytes broke, if that was it.
    pub fn malformed(&self) -> Option<&Malformed> {
        match &self.0.cause {
            Some(Cause::Malformed(malformed)) => Some(malformed),
            _ => None,
        }
    }

    /// Which rule of its session a message broke, if that was it.
    pub fn fault(&self) -> Option<&Fault> {
        match &self.0.cause {
            Some(Cause::Fault(fault)) => Some(fault),
            _ => None,
        }
    }
}

/// What the number of an operating system's error means here.
fn kind_of(cause: &io::Error) -> ErrorKind {
    match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        io::ErrorKind::AddrInUse => ErrorKind::AddressInUse,
        io::ErrorKind::OutOfMemory
        | io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::FileTooLarge => ErrorKind::Exhausted,
        io::ErrorKind::TimedOut => ErrorKind::TimedOut,
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof => ErrorKind::Disconnected,
        io::ErrorKind::InvalidFilename => ErrorKind::NameTooLong,
        io::ErrorKind::InvalidInput => ErrorKind::InvalidInput,
        _ if crate::sys::is_exhaustion(cause) => ErrorKind::Exhausted,
        _ => ErrorKind::System,
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Error::new(kind, "")
    }
}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Error::of(ErrorKind::Protocol, Cow::Borrowed(""), Some(Cause::Malformed(malformed)))
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let kind = match fault {
            Fault::Malformed(_) | Fault::Trailing | Fault::Length => ErrorKind::Protocol,
            Fault::BadPart(_) | Fault::WrongPart => ErrorKind::Parts,
            Fault::PacketSize => ErrorKind::InvalidInput,
            Fault::TooLong { .. } | Fault::TooManyItems { .. } => ErrorKind::LimitExceeded,
            Fault::DuplicateId(_) => ErrorKind::DuplicateId,
            Fault::UnknownId(_) => ErrorKind::UnknownId,
        };
        Error::of(kind, Cow::Borrowed(""), Some(Cause::Fault(fault)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failure { kind, context, cause } = &*self.0;
        if !context.is_empty() {
            write!(f, "{context}: ")?;
        }
        match cause {
            Some(Cause::System(cause)) => write!(f, "{}", crate::sys::describe(cause)),
            Some(Cause::Malformed(cause)) => write!(f, "{kind}: {cause}"),
            Some(Cause::Fault(cause)) => write!(f, "{kind}: {cause}"),
            None => write!(f, "{kind}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.cause {
            Some(Cause::System(cause)) => Some(&**cause),
            Some(Cause::Malformed(cause)) => Some(cause),
            Some(Cause::Fault(cause)) => Some(cause),
            None => None,
        }
    }
}
