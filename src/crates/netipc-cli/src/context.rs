//! What every command works with: the directory, the token, and clients made of them.

use std::{ffi::OsString, path::PathBuf};

use netipc::{
    Client, ClientOptions, Error, ErrorKind, SessionOptions,
    proto::{Service, handshake::profile},
};

use crate::{
    args::{Color, Common, Transport},
    auth::{INVOCATION_VARIABLE, Token},
    failure::{Exit, Failure},
    run_dir::{self, Purpose},
    term::output::Output,
};

/// The longest reply a client takes: about 300,000 cgroups.
pub const MAX_REPLY: u32 = 64 << 20;

/// What every command works with.
#[derive(Debug)]
pub struct Context {
    /// What the command line says.
    pub common: Common,
    /// The directory of the services.
    pub run_dir: PathBuf,
    /// The token.
    pub token: Token,
    /// Standard output.
    pub out: Output,
}

impl Context {
    /// Makes sense of the command line and the environment.
    ///
    /// # Errors
    ///
    /// The token is none, or no run directory can be used.
    pub fn new(common: Common, purpose: Purpose) -> Result<Self, Failure> {
        let token = token(&common)?;
        let environment = std::env::var_os(run_dir::VARIABLE);
        let run_dir = run_dir::choose(common.run_dir.as_deref(), environment, purpose)?;
        let out = output(&common);
        Ok(Context { common, run_dir, token, out })
    }

    /// What sessions to ask for, or to grant.
    pub fn session_options(&self) -> SessionOptions {
        session_options(self.common.transport, self.token)
    }

    /// How clients connect and call.
    pub fn client_options(&self) -> ClientOptions {
        ClientOptions {
            session: self.session_options(),
            timeout: self.common.timeout,
            ..ClientOptions::default()
        }
    }

    /// A connected client of a service.
    ///
    /// # Errors
    ///
    /// Why it is not connected.
    pub fn connected<S: Service>(&self, service: &str) -> Result<Client<S>, Failure> {
        let mut client = Client::with_options(&self.run_dir, service, self.client_options());
        client.refresh();
        match client.last_error() {
            Some(why) if !client.ready() => Err(self.failure(service, why)),
            _ => Ok(client),
        }
    }

    /// A failure to ask a service, for people and programs.
    pub fn failure(&self, service: &str, why: &Error) -> Failure {
        let failure = Failure::new(exit(why.kind()), why);
        match self.hint(service, why.kind()) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    fn hint(&self, service: &str, kind: ErrorKind) -> Option<String> {
        Some(match kind {
            ErrorKind::NotFound => {
                let what = match service {
                    "cgroups-snapshot" | "cgroups-lookup" => "cgroups",
                    "apps-lookup" => "apps",
                    _ => return None,
                };
                format!("start a provider with `netipc serve {what}`, or see `netipc ls`")
            }
            ErrorKind::PermissionDenied => "see whose socket it is with `netipc ls`".into(),
            ErrorKind::AuthenticationFailed => {
                "give the provider's token with NETIPC_AUTH, NETDATA_INVOCATION_ID or --auth".into()
            }
            ErrorKind::NoCommonProfile if self.common.transport == Transport::Shm => {
                "the provider has no shared memory to offer: it serves without, or its run \
                 directory is full; --transport auto goes on over the socket"
                    .into()
            }
            ErrorKind::NoCommonProfile if self.common.transport == Transport::Ring => {
                "the provider has no rings to offer: it is one of Netdata plugin-ipc, or serves \
                 without; --transport auto goes on over what it has"
                    .into()
            }
            ErrorKind::System | ErrorKind::Exhausted
                if matches!(self.common.transport, Transport::Shm | Transport::Ring) =>
            {
                "the provider's shared memory cannot be used from here; --transport auto goes on \
                 over the socket"
                    .into()
            }
            ErrorKind::TimedOut => {
                format!("nothing came within {:?}; allow more with --timeout", self.common.timeout)
            }
            ErrorKind::LimitExceeded => {
                "the reply is larger than the provider may send; see its --max-reply".into()
            }
            _ => return None,
        })
    }
}

/// What sessions to ask for, or to grant.
pub fn session_options(transport: Transport, token: Token) -> SessionOptions {
    let options = match transport {
        Transport::Auto => SessionOptions::shared_memory(),
        Transport::Socket => SessionOptions::default(),
        Transport::Shm => SessionOptions {
            supported_profiles: profile::SHM,
            ..SessionOptions::published_shared_memory()
        },
        Transport::Ring => {
            SessionOptions { supported_profiles: profile::RING, ..SessionOptions::shared_memory() }
        }
    };
    SessionOptions { auth_token: token.number(), response_growth_bytes: MAX_REPLY, ..options }
}

/// Standard output, as the command line wants it.
pub fn output(common: &Common) -> Output {
    Output::new(match common.color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    })
}

/// The token of the command line or the environment.
///
/// # Errors
///
/// It is none.
pub fn token(common: &Common) -> Result<Token, Failure> {
    let given = match &common.auth {
        Some(text) => text.parse().map_err(|why| ("--auth or NETIPC_AUTH", why)),
        None => {
            let invocation = std::env::var_os(INVOCATION_VARIABLE).map(OsString::into_string);
            let invocation = invocation.map(|text| text.unwrap_or_else(|_| "not UTF-8".into()));
            Token::of_environment(invocation.as_deref()).map_err(|why| (INVOCATION_VARIABLE, why))
        }
    };
    given.map_err(|(origin, why)| {
        Failure::new(Exit::Usage, format_args!("token of {origin}: {why}"))
    })
}

/// The exit code of a kind of failure.
pub fn exit(kind: ErrorKind) -> Exit {
    match kind {
        ErrorKind::InvalidInput | ErrorKind::NameTooLong => Exit::Usage,
        ErrorKind::NotFound => Exit::NotFound,
        ErrorKind::PermissionDenied => Exit::Permission,
        ErrorKind::AuthenticationFailed => Exit::Authentication,
        ErrorKind::Incompatible | ErrorKind::NoCommonProfile | ErrorKind::Unsupported => {
            Exit::Incompatible
        }
        ErrorKind::TimedOut => Exit::Timeout,
        _ => Exit::Failed,
    }
}
