//! The services under the names that Netdata plugin-ipc publishes, for programs written against it:
//! thin faces of [`Client`](crate::Client), [`Server`] and [`Cache`](crate::Cache).

pub mod apps_lookup;
pub mod cgroups_lookup;
pub mod cgroups_snapshot;

/// The older name of [`cgroups_snapshot`].
pub mod cgroups {
    pub use super::cgroups_snapshot::*;
}

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use netipc_proto::{Ceilings, Declined, Handler as Handle, Service};

use crate::{
    Abort, ClientOptions, Result, Server, ServerOptions, SessionOptions, client::DEFAULT_TIMEOUT,
};

/// Calls off what a client does, from other threads.
#[derive(Clone, Debug)]
pub struct ClientAbortHandle(Abort);

impl ClientAbortHandle {
    /// Ends the call under way and those that begin later, until [`clear`](Self::clear).
    pub fn abort(&self) {
        self.0.set();
    }

    /// Lets calls last again.
    pub fn clear(&self) {
        self.0.clear();
    }
}

/// The fields that the published configurations share.
struct Published {
    supported_profiles: u32,
    preferred_profiles: u32,
    max_request_payload_bytes: u32,
    max_request_batch_items: u32,
    max_response_payload_bytes: u32,
    auth_token: u64,
}

impl Published {
    fn session(self) -> SessionOptions {
        SessionOptions {
            supported_profiles: self.supported_profiles,
            preferred_profiles: self.preferred_profiles,
            max_request_payload_bytes: self.max_request_payload_bytes,
            max_request_batch_items: self.max_request_batch_items,
            max_response_payload_bytes: self.max_response_payload_bytes,
            auth_token: self.auth_token,
            ..SessionOptions::default()
        }
    }

    fn client(self, ceilings: Ceilings) -> ClientOptions {
        ClientOptions { session: self.session(), timeout: DEFAULT_TIMEOUT, ceilings }
    }
}

/// The published configuration of a kind of service, once for clients and once for servers.
macro_rules! config {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            /// What may carry messages: bits of [`protocol`](crate::protocol). 0 is the socket.
            pub supported_profiles: u32,
            /// What would rather carry them.
            pub preferred_profiles: u32,
            /// The longest request payload in bytes. 0: 1,024.
            pub max_request_payload_bytes: u32,
            /// The most requests in a batch. 0: 1.
            pub max_request_batch_items: u32,
            /// The longest response payload in bytes. 0: 65,536.
            pub max_response_payload_bytes: u32,
            /// What client and server must both know.
            pub auth_token: u64,
            $($(#[$field_doc])* pub $field: u32,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name {
                    supported_profiles: $crate::protocol::PROFILE_BASELINE,
                    preferred_profiles: 0,
                    max_request_payload_bytes: 0,
                    max_request_batch_items: 0,
                    max_response_payload_bytes: 0,
                    auth_token: 0,
                    $($field: 0,)*
                }
            }
        }

        impl $name {
            fn published(&self) -> $crate::service::Published {
                $crate::service::Published {
                    supported_profiles: self.supported_profiles,
                    preferred_profiles: self.preferred_profiles,
                    max_request_payload_bytes: self.max_request_payload_bytes,
                    max_request_batch_items: self.max_request_batch_items,
                    max_response_payload_bytes: self.max_response_payload_bytes,
                    auth_token: self.auth_token,
                }
            }
        }
    };
}

/// What the published clients have in common, as methods of a newtype around [`Client`].
macro_rules! client_methods {
    ($name:ident) => {
        impl $name {
            /// A client of `service` in `run_dir`. Does not connect.
            pub fn new(run_dir: &str, service: &str, config: ClientConfig) -> Self {
                $name($crate::Client::with_options(run_dir, service, config.options()))
            }

            /// Connects if there is no session. Whether the state has changed.
            pub fn refresh(&mut self) -> bool {
                self.0.refresh()
            }

            /// Whether there is a session.
            pub fn ready(&self) -> bool {
                self.0.ready()
            }

            /// What it did so far.
            pub fn status(&self) -> $crate::ClientStatus {
                self.0.status()
            }

            /// How long calls may take, in milliseconds. 0: 30,000.
            pub fn set_call_timeout(&mut self, timeout_ms: u32) {
                self.0.set_timeout($crate::service::millis(timeout_ms));
            }

            /// What calls this client off from other threads.
            pub fn abort_handle(&self) -> $crate::service::ClientAbortHandle {
                $crate::service::ClientAbortHandle(self.0.abort().clone())
            }

            /// Calls it off, until [`clear_abort`](Self::clear_abort).
            pub fn abort(&self) {
                self.0.abort().set();
            }

            /// Lets calls last again.
            pub fn clear_abort(&self) {
                self.0.abort().clear();
            }

            /// Hangs up. It can be refreshed again.
            pub fn close(&mut self) {
                self.0.close();
            }
        }
    };
}

/// The published server of one kind.
macro_rules! managed_server {
    ($service:ty) => {
        /// A server that binds its endpoint when it runs.
        pub struct ManagedServer($crate::service::Managed<$service>);

        impl ManagedServer {
            /// A server of `service` in `run_dir` with 8 workers. Does not listen yet.
            pub fn new(
                run_dir: &str,
                service: &str,
                config: ServerConfig,
                handler: Handler,
            ) -> Self {
                Self::with_workers(run_dir, service, config, handler, 8)
            }

            /// As [`new`](Self::new), with so many requests handled at once.
            pub fn with_workers(
                run_dir: &str,
                service: &str,
                config: ServerConfig,
                handler: Handler,
                workers: usize,
            ) -> Self {
                let session = config.published().session();
                let handler = handler.into_typed();
                ManagedServer($crate::service::Managed::new(
                    run_dir, service, session, handler, workers,
                ))
            }

            /// Listens and serves until [`stop`](Self::stop), from any thread. A server that was
            /// stopped before returns at once.
            ///
            /// # Errors
            ///
            /// Those of [`Server::bind`](crate::Server::bind).
            pub fn run(&self) -> $crate::Result<()> {
                self.0.run()
            }

            /// Ends the server, now or as soon as it runs.
            pub fn stop(&self) {
                self.0.stop();
            }

            /// Stops, waits up to `timeout` for the requests being handled, and cuts off what is
            /// left then. Whether nothing was.
            pub fn drain(&self, timeout: std::time::Duration) -> bool {
                self.0.drain(timeout)
            }
        }
    };
}

use client_methods;
use config;
use managed_server;

fn millis(timeout_ms: u32) -> Duration {
    Duration::from_millis(timeout_ms.into())
}

fn ceilings(items: u32, subcalls: u32, response_bytes: u32) -> Ceilings {
    let usual = Ceilings::default();
    let or = |configured, usual| if configured == 0 { usual } else { configured };
    Ceilings {
        items: or(items, usual.items),
        subcalls: or(subcalls, usual.subcalls),
        response_bytes: or(response_bytes, usual.response_bytes),
    }
}

/// What a published handler that only says yes or no means.
fn agreed(yes: bool) -> Result<(), Declined> {
    if yes { Ok(()) } else { Err(Declined::Failed) }
}

/// A server that is configured now and binds later, as the published ones do.
struct Managed<S> {
    dir: PathBuf,
    service: String,
    options: ServerOptions,
    state: Mutex<State<S>>,
}

enum State<S> {
    New(Box<dyn Handle<S>>),
    Running(Server<S>),
    Stopped,
}

/// A boxed handler as one.
struct Boxed<S>(Box<dyn Handle<S>>);

impl<S: Service> Handle<S> for Boxed<S> {
    fn handle(
        &self,
        asked: &S::RequestView<'_>,
        reply: &mut S::ReplyBuilder<'_>,
    ) -> Result<(), Declined> {
        self.0.handle(asked, reply)
    }
}

impl<S: Service> Managed<S> {
    fn new(
        run_dir: &str,
        service: &str,
        session: SessionOptions,
        handler: Box<dyn Handle<S>>,
        workers: usize,
    ) -> Self {
        Managed {
            dir: run_dir.into(),
            service: service.to_owned(),
            options: ServerOptions { session, workers, ..ServerOptions::default() },
            state: Mutex::new(State::New(handler)),
        }
    }

    fn run(&self) -> Result<()> {
        let server = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match std::mem::replace(&mut *state, State::Stopped) {
                State::New(handler) => {
                    let options = self.options.clone();
                    let bound = Server::bind(&self.dir, &self.service, options, Boxed(handler));
                    let server = bound?;
                    *state = State::Running(server.clone());
                    server
                }
                // It runs in another thread already, or has run.
                other => {
                    *state = other;
                    return Ok(());
                }
            }
        };
        server.run();
        Ok(())
    }

    fn stop(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::New(_) => *state = State::Stopped,
            State::Running(server) => server.stop(),
            State::Stopped => {}
        }
    }

    fn drain(&self, timeout: Duration) -> bool {
        let server = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            match &*state {
                State::Running(server) => Some(server.clone()),
                State::New(_) | State::Stopped => {
                    *state = State::Stopped;
                    None
                }
            }
        };
        server.is_none_or(|server| server.drain(timeout))
    }
}
