//! The system whose headers and library are compared.
//!
//! With `NETIPC_WINDOWS_LIBRARY` set to the path of a `netipc.dll` it is Windows, by its cross compiler;
//! otherwise this one.

use std::{
    collections::BTreeSet, env, ffi::OsString, path::Path, process::Command, sync::LazyLock,
};

use super::run;

pub(super) enum System {
    Unix,
    Windows { library: OsString },
}

impl System {
    pub(super) fn chosen() -> &'static System {
        static CHOSEN: LazyLock<System> =
            LazyLock::new(|| match env::var_os("NETIPC_WINDOWS_LIBRARY") {
                None => System::Unix,
                Some(library) => System::Windows { library },
            });
        &CHOSEN
    }

    pub(super) fn compiler(&self) -> &'static str {
        match self {
            System::Unix => "cc",
            System::Windows { .. } => "x86_64-w64-mingw32-gcc",
        }
    }

    /// Whether a source file belongs to it, or to both.
    pub(super) fn has(&self, path: &Path) -> bool {
        const UNIX: [&str; 3] = ["unix", "uds", "shm"];
        const WINDOWS: [&str; 3] = ["windows", "named_pipe", "win_shm"];
        let others = match self {
            System::Unix => WINDOWS,
            System::Windows { .. } => UNIX,
        };
        let of_others =
            |part: &Path| others.iter().any(|other| part.file_stem() == Some(other.as_ref()));
        !path.ancestors().any(of_others)
    }

    /// Structs of Rust that are several of C.
    pub(super) fn shared(&self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            System::Unix => &[("ClientConfig", &["nipc_uds_client_config_t"])],
            System::Windows { .. } => {
                &[("ClientConfig", &["nipc_np_client_config_t", "nipc_np_server_config_t"])]
            }
        }
    }

    /// A type in C that has one name in Rust on all systems.
    pub(super) fn name<'a>(&self, rust: &'a str) -> &'a str {
        match (rust, self) {
            ("ClientConfig", System::Unix) => "nipc_uds_client_config_t",
            ("ServerConfig", System::Unix) => "nipc_uds_server_config_t",
            ("Session", System::Unix) => "nipc_uds_session_t",
            ("Listener", System::Unix) => "nipc_uds_listener_t",
            ("region::Context", System::Unix) => "nipc_shm_ctx_t",
            ("ClientConfig", System::Windows { .. }) => "nipc_np_client_config_t",
            ("ServerConfig", System::Windows { .. }) => "nipc_np_server_config_t",
            ("Session", System::Windows { .. }) => "nipc_np_session_t",
            ("Listener", System::Windows { .. }) => "nipc_np_listener_t",
            ("region::Context", System::Windows { .. }) => "nipc_win_shm_ctx_t",
            (named, _) => named,
        }
    }

    /// The names that the library exports.
    pub(super) fn exported(&self) -> BTreeSet<String> {
        match self {
            System::Unix => {
                let library = env::current_exe().unwrap().with_file_name("libnetipc.so");
                assert!(
                    library.exists(),
                    "no {}: `cargo build -p netipc-c` makes it",
                    library.display()
                );
                let symbols = run(Command::new("nm")
                    .args(["-D", "--defined-only", "--format=just-symbols"])
                    .arg(library));
                symbols.lines().map(str::to_owned).collect()
            }
            System::Windows { library } => {
                let all = run(Command::new("x86_64-w64-mingw32-objdump").arg("-p").arg(library));
                let (_, table) = all.split_once("[Ordinal/Name Pointer] Table\n").unwrap();
                let names = table.lines().take_while(|line| line.trim_start().starts_with('['));
                names.map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect()
            }
        }
    }
}
