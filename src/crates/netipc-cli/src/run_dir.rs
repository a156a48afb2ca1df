//! The directory in which providers are found.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, access},
    io::Errno,
};

use crate::failure::{Exit, Failure};

/// The variable in which Netdata hands its directory to what it starts.
pub const VARIABLE: &str = "NETDATA_RUN_DIR";

/// Where providers are found if nobody says otherwise.
const USUAL: [&str; 2] = ["/run/netdata", "/var/run/netdata"];

/// What the directory is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Finding providers.
    Find,
    /// Providing: sockets are made there.
    Provide,
}

/// Chooses the directory: the one named, else the environment's if it can be used, else a usual one.
///
/// # Errors
///
/// The directory named, or the one of last resort, is missing, is none, or may not be used so.
pub fn choose(
    named: Option<&Path>,
    environment: Option<OsString>,
    purpose: Purpose,
) -> Result<PathBuf, Failure> {
    if let Some(dir) = named {
        return check(dir, purpose).map(|()| dir.to_path_buf());
    }
    let environment = environment.filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let usual = USUAL.iter().map(PathBuf::from);
    let candidates: Vec<PathBuf> = environment.into_iter().chain(usual).collect();
    let usable = candidates.iter().find(|dir| check(dir, purpose).is_ok());
    match usable {
        Some(dir) => Ok(dir.clone()),
        None => {
            let worst = candidates.iter().map(|dir| check(dir, purpose)).filter_map(Result::err);
            // One that is there and cannot be used tells more than one that is not there.
            let mut failures: Vec<_> = worst.collect();
            failures.sort_by_key(|failure| failure.exit == Exit::NotFound);
            Err(failures.swap_remove(0))
        }
    }
}

fn check(dir: &Path, purpose: Purpose) -> Result<(), Failure> {
    let shown = crate::term::escape::path(dir);
    let what = format!("use run directory {shown}");
    let found = fs::metadata(dir).map_err(|why| {
        let failure = Failure::system(&what, &why);
        match (why.kind(), purpose) {
            (io::ErrorKind::NotFound, Purpose::Provide) => failure.hint(format_args!(
                "make it first (mkdir -m 0755 {shown}), or name another with --run-dir"
            )),
            (io::ErrorKind::NotFound, Purpose::Find) => failure.hint(
                "no provider has run there; name the providers' directory with --run-dir or \
                 NETDATA_RUN_DIR",
            ),
            _ => failure,
        }
    })?;
    if !found.is_dir() {
        return Err(Failure::new(Exit::NotFound, format_args!("{what}: not a directory")));
    }
    let needed = match purpose {
        Purpose::Find => Access::EXEC_OK,
        Purpose::Provide => Access::EXEC_OK | Access::WRITE_OK,
    };
    access(dir, needed).map_err(|why| {
        let failure = Failure::system(&what, &why.into());
        match purpose {
            Purpose::Find => failure.hint("ask its owner for permission to enter it"),
            Purpose::Provide if why == Errno::ROFS => {
                failure.hint("name another directory with --run-dir")
            }
            Purpose::Provide => {
                failure.hint("run as its owner, or name another directory with --run-dir")
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_directory_goes_first_and_must_be_good() {
        let named = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let environment = Some(other.path().as_os_str().to_owned());
        let chosen = choose(Some(named.path()), environment.clone(), Purpose::Provide).unwrap();
        assert_eq!(chosen, named.path());
        let missing = named.path().join("missing");
        let failure = choose(Some(&missing), environment, Purpose::Provide).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
        assert!(failure.to_string().contains("mkdir"), "{failure}");
    }

    #[test]
    fn the_environment_is_used_if_it_can_be() {
        let dir = tempfile::tempdir().unwrap();
        let environment = Some(dir.path().as_os_str().to_owned());
        assert_eq!(choose(None, environment, Purpose::Find).unwrap(), dir.path());
    }

    #[test]
    fn a_file_is_no_directory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let failure = choose(Some(&file), None, Purpose::Find).unwrap_err();
        assert!(failure.message.ends_with("not a directory"), "{failure}");
    }
}
