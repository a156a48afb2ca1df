//! What is known of the processes with given PIDs, under the published names.

use netipc_proto::{Declined, Handler as Handle, kinds::AppsLookup};

use super::{agreed, ceilings, client_methods, config, managed_server, millis};
use crate::{
    Client, ClientOptions, Result,
    protocol::{AppsLookupBuilder, AppsLookupRequestView, AppsLookupResponseView},
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
pub type AppsLookupHandler = Box<
    dyn for<'a> Fn(&AppsLookupRequestView<'_>, &mut AppsLookupBuilder<'a>) -> bool + Send + Sync,
>;

/// What a server does.
#[derive(Default)]
pub struct Handler {
    /// Answers every key and says whether it could. Without one, requests are not served.
    pub handle: Option<AppsLookupHandler>,
}

impl Handler {
    fn into_typed(self) -> Box<dyn Handle<AppsLookup>> {
        Box::new(move |asked: &AppsLookupRequestView<'_>, reply: &mut AppsLookupBuilder<'_>| {
            let handle = self.handle.as_ref().ok_or(Declined::Unsupported)?;
            agreed(handle(asked, reply))
        })
    }
}

/// A client of a lookup service.
#[derive(Debug)]
pub struct AppsLookupClient(Client<AppsLookup>);

client_methods!(AppsLookupClient);

impl AppsLookupClient {
    /// Looks up `pids` and answers in their order. The answers borrow this client until its next
    /// call.
    ///
    /// # Errors
    ///
    /// Those of [`Client::lookup`].
    pub fn call(&mut self, pids: &[u32]) -> Result<AppsLookupResponseView<'_>> {
        self.0.lookup(pids)
    }

    /// As [`call`](Self::call), within so many milliseconds. 0: as configured.
    ///
    /// # Errors
    ///
    /// Those of [`Client::lookup`].
    pub fn call_with_timeout(
        &mut self,
        pids: &[u32],
        timeout_ms: u32,
    ) -> Result<AppsLookupResponseView<'_>> {
        self.0.lookup_within(pids, millis(timeout_ms))
    }
}

managed_server!(AppsLookup);
