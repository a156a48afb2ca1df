//! `netipc ls`: lists the services in the run directory, and whether each is alive.

use std::{
    collections::HashMap,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::Path,
    thread,
    time::Duration,
};

use netipc::{Error, ErrorKind, SessionOptions, Wait, transport::Session};
use serde::Serialize;

use crate::{
    args::Transport,
    context::{Context, session_options},
    failure::Failure,
    rows,
    term::{
        escape,
        output::{Stop, note},
        style,
        table::{Cell, Column, Cut, Table},
    },
};

/// Lists them.
///
/// # Errors
///
/// The directory cannot be read, or nobody reads what is printed.
pub fn run(context: &mut Context) -> Result<(), Stop> {
    let services = names(&context.run_dir)?;
    /// Who is alive answers in a fraction of this.
    const PATIENCE: Duration = Duration::from_secs(1);
    let patience = context.common.timeout.min(PATIENCE);
    // Asked for everything there is, to see what there is.
    let transport = match context.common.transport {
        Transport::Shm => Transport::Auto,
        other => other,
    };
    let options = session_options(transport, context.token);
    let dir = context.run_dir.as_path();
    let listed: Vec<Listed> = thread::scope(|scope| {
        // Those that hang do not hold up the others.
        let asked: Vec<_> = services
            .iter()
            .map(|service| scope.spawn(|| Listed::ask(dir, service, &options, patience)))
            .collect();
        asked.into_iter().map(|asked| asked.join().expect("asking does not panic")).collect()
    });
    let out = &mut context.out;
    if context.common.json {
        out.json(&listed)?;
        return Ok(());
    }
    if listed.is_empty() {
        note(format_args!("no services in {}", escape::path(&context.run_dir)));
        return Ok(());
    }
    let users = users();
    let mut table = Table::new([
        Column::left("SERVICE"),
        Column::left("STATE"),
        Column::right("PID"),
        Column::left("UID"),
        Column::left("TRANSPORT"),
        Column::left("NOTE").cut(Cut::Back),
    ]);
    listed.iter().for_each(|listed| table.push(listed.cells(&users)));
    out.table(&table)?;
    Ok(out.flush()?)
}

/// The names of what looks like an endpoint in `dir`, in order.
///
/// # Errors
///
/// The directory cannot be read.
pub fn names(dir: &Path) -> Result<Vec<String>, Failure> {
    let failed = |why| Failure::system(format_args!("read {}", escape::path(dir)), &why);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(name) = name.as_bytes().strip_suffix(b".sock") else { continue };
        let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        // Nothing else can be the name of a service.
        if !name.is_empty() && name.iter().all(is_allowed) && !matches!(name, b"." | b"..") {
            names.push(String::from_utf8_lossy(name).into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[derive(Debug, Serialize)]
struct Listed {
    service: String,
    state: &'static str,
    pid: Option<u32>,
    uid: Option<u32>,
    transport: Option<&'static str>,
    note: Option<String>,
}

impl Listed {
    /// Looks at a service and tries to agree on a session with it.
    fn ask(dir: &Path, service: &str, options: &SessionOptions, patience: Duration) -> Self {
        let mut listed = Listed {
            service: service.to_owned(),
            state: "ready",
            pid: None,
            uid: None,
            transport: None,
            note: None,
        };
        let found = match fs::symlink_metadata(dir.join(format!("{service}.sock"))) {
            Ok(found) => found,
            Err(why) => {
                listed.state = "gone";
                listed.note = Some(crate::failure::reason(&why));
                return listed;
            }
        };
        listed.uid = Some(found.uid());
        if !found.file_type().is_socket() {
            listed.state = "foreign";
            listed.note = Some("something that is no socket lies there".into());
            return listed;
        }
        match Session::connect(dir, service, options, Wait::at_most(patience)) {
            Ok(session) => {
                if let Ok(peer) = session.peer() {
                    listed.pid = Some(peer.pid);
                    listed.uid = Some(peer.uid);
                }
                listed.transport = Some(rows::transport_name(session.carrier()));
                listed.note = session.fallback().map(|why| format!("no shared memory: {why}"));
            }
            Err(why) => (listed.state, listed.note) = state(&why, &found),
        }
        listed
    }

    fn cells(&self, users: &HashMap<u32, String>) -> [Cell; 6] {
        let style = match self.state {
            "ready" => style::GOOD,
            "stale" | "busy" | "gone" => style::ODD,
            _ => style::BAD,
        };
        let none = || "-".to_owned();
        let user = |uid: u32| users.get(&uid).cloned().unwrap_or_else(|| uid.to_string());
        [
            self.service.clone().into(),
            Cell::from(self.state).styled(style),
            self.pid.map_or_else(none, |pid| pid.to_string()).into(),
            self.uid.map_or_else(none, user).into(),
            self.transport.unwrap_or("-").into(),
            self.note.clone().unwrap_or_else(none).into(),
        ]
    }
}

/// What a failure to connect says of a service, and what to tell of it.
fn state(why: &Error, socket: &fs::Metadata) -> (&'static str, Option<String>) {
    match why.kind() {
        ErrorKind::NotFound => ("stale", Some("no listener (connection refused)".into())),
        ErrorKind::PermissionDenied => {
            let note = format!(
                "socket {:04o} of {}:{}, you are uid {}",
                socket.permissions().mode() & 0o7777,
                socket.uid(),
                socket.gid(),
                rustix::process::geteuid().as_raw()
            );
            ("denied", Some(note))
        }
        ErrorKind::AuthenticationFailed => ("auth", Some("expects another token".into())),
        ErrorKind::Incompatible | ErrorKind::NoCommonProfile => {
            ("incompatible", Some(why.to_string()))
        }
        ErrorKind::TimedOut => ("stuck", Some("accepts, but does not answer".into())),
        ErrorKind::Busy => ("busy", Some("takes no connections now".into())),
        _ => ("failed", Some(why.to_string())),
    }
}

/// The names of the local users.
fn users() -> HashMap<u32, String> {
    let text = fs::read("/etc/passwd").unwrap_or_default();
    let lines = text.split(|&byte| byte == b'\n');
    lines
        .filter_map(|line| {
            let mut fields = line.split(|&byte| byte == b':');
            let name = fields.next()?;
            let uid = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
            Some((uid, escape::bytes(name)))
        })
        .collect()
}
