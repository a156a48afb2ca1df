//! What is known of the cgroups at given paths, under the published names.

use netipc_proto::{Declined, Handler as Handle, kinds::CgroupsLookup};

use super::{agreed, ceilings, client_methods, config, managed_server, millis};
use crate::{
    Client, ClientOptions, Result,
    protocol::{CgroupsLookupBuilder, CgroupsLookupRequestView, CgroupsLookupResponseView},
};

pub use super::ClientAbortHandle;
pub use crate::client::{ClientState, ClientStatus};

config! {
    /// How a client connects and how much one lookup may take.
    ClientConfig {
        /// The most keys of a lookup. 0: 65,536.
        max_logical_lookup_items,
        /// The most requests of a lookup. 0: 4,096.
        max_logical_lookup_subcalls,
        /// The longest reply to a lookup in bytes. 0: 64 MiB.
        max_logical_lookup_response_bytes,
    }
}

config! {
    /// What a server grants.
    ServerConfig {
        /// Without effect on a server.
        max_logical_lookup_items,
        /// Without effect on a server.
        max_logical_lookup_subcalls,
        /// Without effect on a server.
        max_logical_lookup_response_bytes,
    }
}

impl ClientConfig {
    fn options(&self) -> ClientOptions {
        self.published().client(ceilings(
            self.max_logical_lookup_items,
            self.max_logical_lookup_subcalls,
            self.max_logical_lookup_response_bytes,
        ))
    }
}

/// Answers every key and says whether it could.
pub type CgroupsLookupHandler = Box<
    dyn for<'a> Fn(&CgroupsLookupRequestView<'_>, &mut CgroupsLookupBuilder<'a>) -> bool
        + Send
        + Sync,
>;

/// What a server does.
#[derive(Default)]
pub struct Handler {
    /// Answers every key and says whether it could. Without one, requests are not served.
    pub handle: Option<CgroupsLookupHandler>,
}

impl Handler {
    fn into_typed(self) -> Box<dyn Handle<CgroupsLookup>> {
        Box::new(
            move |asked: &CgroupsLookupRequestView<'_>, reply: &mut CgroupsLookupBuilder<'_>| {
                let handle = self.handle.as_ref().ok_or(Declined::Unsupported)?;
                agreed(handle(asked, reply))
            },
        )
    }
}

/// A client of a lookup service.
#[derive(Debug)]
pub struct CgroupsLookupClient(Client<CgroupsLookup>);

client_methods!(CgroupsLookupClient);

impl CgroupsLookupClient {
    /// Looks up `paths` and answers in their order. The answers borrow this client until its next
    /// call.
    ///
    /// # Errors
    ///
    /// Those of [`Client::lookup`].
    pub fn call(&mut self, paths: &[&[u8]]) -> Result<CgroupsLookupResponseView<'_>> {
        self.0.lookup(paths)
    }

    /// As [`call`](Self::call), within so many milliseconds. 0: as configured.
    ///
    /// # Errors
    ///
    /// Those of [`Client::lookup`].
    pub fn call_with_timeout(
        &mut self,
        paths: &[&[u8]],
        timeout_ms: u32,
    ) -> Result<CgroupsLookupResponseView<'_>> {
        self.0.lookup_within(paths, millis(timeout_ms))
    }
}

managed_server!(CgroupsLookup);
