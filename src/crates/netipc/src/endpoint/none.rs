//! Systems without a carrier: no service has a name.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

use super::check_name;
use crate::{
    error::Result,
    sys::{ListenSocket, missing},
};

/// There is none, whatever the directory is.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a name that is none; else
/// [`ErrorKind::System`](crate::ErrorKind::System), with what is missing.
pub(crate) fn socket_path(_dir: &Path, service: &str) -> Result<PathBuf> {
    check_name(service)?;
    Err(missing())
}

/// How an endpoint would be made.
#[derive(Clone, Copy, Debug, Default)]
#[allow(dead_code, reason = "nobody listens")]
pub(crate) struct ListenOptions {
    pub(crate) mode: u32,
    pub(crate) group: Option<u32>,
    pub(crate) backlog: u32,
}

#[derive(Debug)]
pub(crate) struct Endpoint(Infallible);

impl Endpoint {
    pub(crate) fn listen(dir: &Path, service: &str, _options: &ListenOptions) -> Result<Self> {
        Err(socket_path(dir, service).err().unwrap_or_else(missing))
    }

    pub(crate) fn socket(&self) -> &ListenSocket {
        match self.0 {}
    }

    pub(crate) fn path(&self) -> &Path {
        match self.0 {}
    }
}
