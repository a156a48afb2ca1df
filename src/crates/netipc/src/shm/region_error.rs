//! Why there is no region.

use std::{error, fmt, io, path::Path};

use crate::error::{Error, ErrorKind};

/// What was wrong with a region of shared memory (PROTOCOL.md, sections 24.2 and 24.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RegionFault {
    /// A service name that is none, or sizes that no region can have.
    BadParam,
    /// The path would be longer than 255 bytes.
    PathTooLong,
    /// The file cannot be opened or made.
    Open,
    /// The system has no memory or space to back it.
    Allocate,
    /// It cannot be mapped.
    Map,
    /// Its owner has not finished making it.
    NotReady,
    /// It is no region.
    BadMagic,
    /// It is of another version.
    BadVersion,
    /// Its header is of another length.
    BadHeader,
    /// It is of another profile. Windows only.
    BadProfile,
    /// Its areas overlap, are not aligned, or lie outside.
    BadSize,
    /// A live server has it.
    InUse,
}

impl RegionFault {
    fn as_str(self) -> &'static str {
        match self {
            RegionFault::BadParam => "sizes that no region can have",
            RegionFault::PathTooLong => "path is too long",
            RegionFault::Open => "open",
            RegionFault::Allocate => "allocate",
            RegionFault::Map => "map",
            RegionFault::NotReady => "not ready yet",
            RegionFault::BadMagic => "not a region",
            RegionFault::BadVersion => "region of another version",
            RegionFault::BadHeader => "region with another header",
            RegionFault::BadProfile => "region of another profile",
            RegionFault::BadSize => "areas of the region lie outside it or overlap",
            RegionFault::InUse => "a live server has it",
        }
    }
}

/// A region that could not be made or attached to, and why.
///
/// Displayed as `shared memory /run/x/y-0000000000000001.ipcshm: allocate: no space left on device`.
#[derive(Debug)]
pub struct RegionError {
    fault: RegionFault,
    /// The path, or what else it is about.
    subject: String,
    cause: Option<io::Error>,
}

impl RegionError {
    pub(super) fn new(fault: RegionFault, path: &Path) -> Self {
        RegionError { fault, subject: path.display().to_string(), cause: None }
    }

    pub(super) fn system(fault: RegionFault, path: &Path, cause: impl Into<io::Error>) -> Self {
        RegionError { cause: Some(cause.into()), ..RegionError::new(fault, path) }
    }

    /// A path that cannot be built.
    pub(super) fn unnamed(error: &Error) -> Self {
        let fault = match error.kind() {
            ErrorKind::NameTooLong => RegionFault::PathTooLong,
            _ => RegionFault::BadParam,
        };
        RegionError { fault, subject: error.to_string(), cause: None }
    }

    /// What was wrong.
    pub fn fault(&self) -> RegionFault {
        self.fault
    }

    /// The operating system's number for the failure, if it reported one.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.cause.as_ref().and_then(io::Error::raw_os_error)
    }

    fn context(&self) -> String {
        format!("shared memory {}: {}", self.subject, self.fault.as_str())
    }
}

impl fmt::Display for RegionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context())?;
        match &self.cause {
            Some(cause) => write!(f, ": {}", crate::sys::describe(cause)),
            None => Ok(()),
        }
    }
}

impl error::Error for RegionError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}

impl From<RegionError> for Error {
    fn from(error: RegionError) -> Self {
        let context = error.context();
        let kind = match error.fault {
            RegionFault::BadParam => ErrorKind::InvalidInput,
            RegionFault::PathTooLong => ErrorKind::NameTooLong,
            RegionFault::InUse => ErrorKind::AddressInUse,
            RegionFault::BadVersion => ErrorKind::Incompatible,
            RegionFault::NotReady
            | RegionFault::BadMagic
            | RegionFault::BadHeader
            | RegionFault::BadProfile
            | RegionFault::BadSize => ErrorKind::Protocol,
            RegionFault::Open | RegionFault::Allocate | RegionFault::Map => match error.cause {
                Some(cause) => return Error::system(context, cause),
                None => ErrorKind::System,
            },
        };
        Error::new(kind, context)
    }
}
