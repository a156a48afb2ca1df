//! One walk through the hierarchies: every cgroup there is at that moment.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::hierarchy::Hierarchy;

/// A cgroup that a walk came upon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name within the hierarchy: `/` for the root, `/system.slice/nginx.service`.
    pub path: Vec<u8>,
    /// The full path of its `cgroup.procs`; empty if it has none.
    pub procs: Vec<u8>,
    /// Whether it was found in the unified hierarchy.
    pub unified: bool,
}

/// What a walk came upon.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Walk {
    /// The cgroups, ordered by path, each path once.
    pub cgroups: Vec<Found>,
    /// Paths whose insides were left alone, ordered.
    pub closed: Vec<Vec<u8>>,
    /// Whether processes may see other paths than these: the tree was seen from inside a namespace.
    pub namespaced: bool,
    /// Directories that could not be read, and why.
    pub unreadable: Vec<(PathBuf, io::ErrorKind)>,
}

/// Walks `hierarchies`; the first one in which a path exists speaks for it.
///
/// `enter` is called with every directory before it is read, so that whoever watches it then misses
/// nothing.
///
/// # Errors
///
/// The first failure to read the root of a hierarchy. A directory below that cannot be read is
/// noted in the result, one that vanished is no failure.
pub fn walk(hierarchies: &[Hierarchy], enter: &mut dyn FnMut(&Path)) -> Result<Walk, Blocked> {
    let mut cgroups: HashMap<Vec<u8>, Found> = HashMap::new();
    let namespaced = hierarchies.iter().any(|hierarchy| hierarchy.above_namespace);
    let mut walk = Walk { namespaced, ..Walk::default() };
    for hierarchy in hierarchies {
        let top =
            if hierarchy.prefix.is_empty() { b"/".to_vec() } else { hierarchy.prefix.clone() };
        let mut pending = vec![(top, hierarchy.dir.clone())];
        let mut at_root = true;
        while let Some((path, dir)) = pending.pop() {
            enter(&dir);
            let listed = list(&dir);
            let (children, has_procs) = match listed {
                Ok(listed) => listed,
                Err(why) if at_root => return Err(Blocked { dir, why }),
                Err(why) if vanished(&why) => continue,
                Err(why) => {
                    walk.closed.push(path.clone());
                    walk.unreadable.push((dir.clone(), why.kind()));
                    (Vec::new(), dir.join("cgroup.procs").exists())
                }
            };
            at_root = false;
            if is_closed(&path) {
                walk.closed.push(path.clone());
            } else {
                for name in children {
                    pending.push((join(&path, &name), dir.join(OsStr::from_bytes(&name))));
                }
            }
            let procs = if has_procs { procs_of(&dir) } else { Vec::new() };
            let found = Found { path: path.clone(), procs, unified: hierarchy.unified };
            let known = cgroups.entry(path).or_insert_with(|| found.clone());
            if known.procs.is_empty() && !found.procs.is_empty() {
                *known = found;
            }
        }
    }
    walk.cgroups = cgroups.into_values().collect();
    walk.cgroups.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    walk.closed.sort_unstable();
    walk.closed.dedup();
    walk.unreadable.sort_unstable();
    Ok(walk)
}

/// The root of a hierarchy that cannot be read.
#[derive(Debug)]
pub struct Blocked {
    /// The directory.
    pub dir: PathBuf,
    /// Why not.
    pub why: io::Error,
}

/// Whether the insides of `path` are never looked at: they belong to the init process alone.
pub(super) fn is_closed(path: &[u8]) -> bool {
    path == b"/init.scope" || path.ends_with(b"/init.scope")
}

/// The subdirectories of `dir`, and whether it has a `cgroup.procs`. Links are no subdirectories.
fn list(dir: &Path) -> io::Result<(Vec<Vec<u8>>, bool)> {
    let mut children = Vec::new();
    let mut has_procs = false;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_dir() {
            children.push(name.as_bytes().to_vec());
        } else if name == "cgroup.procs" {
            has_procs = true;
        }
    }
    Ok((children, has_procs))
}

fn vanished(why: &io::Error) -> bool {
    // ENODEV is what a cgroup that is being removed says.
    matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || why.raw_os_error() == Some(rustix::io::Errno::NODEV.raw_os_error())
}

fn procs_of(dir: &Path) -> Vec<u8> {
    dir.join("cgroup.procs").into_os_string().as_bytes().to_vec()
}

fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    let parent = if path == b"/" { b"" } else { path };
    [parent, b"/", name].concat()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::cgroups::hierarchy;

    fn tree(cgroups: &[&str]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        for path in cgroups {
            let dir = tree.path().join(path);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("cgroup.procs"), "").unwrap();
        }
        tree
    }

    fn walk_of(tree: &tempfile::TempDir) -> Walk {
        walk(&hierarchy::below(tree.path()).unwrap(), &mut |_| ()).unwrap()
    }

    fn paths(walk: &Walk) -> Vec<&str> {
        walk.cgroups.iter().map(|found| std::str::from_utf8(&found.path).unwrap()).collect()
    }

    #[test]
    fn walks_version_2_from_its_root() {
        let tree = tree(&["", "system.slice", "system.slice/nginx.service"]);
        fs::write(tree.path().join("cgroup.controllers"), "").unwrap();
        fs::create_dir(tree.path().join("bare")).unwrap();
        symlink("system.slice", tree.path().join("link")).unwrap();
        let walk = walk_of(&tree);
        assert_eq!(paths(&walk), ["/", "/bare", "/system.slice", "/system.slice/nginx.service"]);
        assert!(walk.cgroups[1].procs.is_empty());
        assert!(walk.cgroups[3].procs.ends_with(b"/system.slice/nginx.service/cgroup.procs"));
        assert!(walk.cgroups.iter().all(|found| found.unified));
    }

    #[test]
    fn a_cgroup_in_several_hierarchies_is_found_once() {
        let tree = tree(&["memory/a", "unified/a", "unified/b", "cpuacct/a"]);
        let walk = walk_of(&tree);
        assert_eq!(paths(&walk), ["/", "/a", "/b"]);
        assert!(walk.cgroups[1].procs.ends_with(b"/cpuacct/a/cgroup.procs"));
        assert!(!walk.cgroups[1].unified && walk.cgroups[2].unified);
    }

    #[test]
    fn leaves_the_inside_of_init_alone() {
        let tree = tree(&["", "init.scope/inner"]);
        let walk = walk_of(&tree);
        assert_eq!(paths(&walk), ["/", "/init.scope"]);
        assert_eq!(walk.closed, [b"/init.scope"]);
    }

    #[test]
    fn names_bytes_that_are_no_text() {
        let tree = tree(&[""]);
        fs::create_dir(tree.path().join(OsStr::from_bytes(b"odd\xff\n"))).unwrap();
        assert_eq!(walk_of(&tree).cgroups[1].path, b"/odd\xff\n");
    }

    #[test]
    fn enters_every_directory_before_reading_it() {
        let tree = tree(&["", "a"]);
        let root = tree.path().canonicalize().unwrap();
        let hierarchies = hierarchy::below(&root).unwrap();
        let mut entered = Vec::new();
        let mut enter = |dir: &Path| {
            entered.push(dir.to_path_buf());
            if dir.ends_with("a") {
                fs::create_dir(dir.join("born-meanwhile")).unwrap();
            }
        };
        let walk = walk(&hierarchies, &mut enter).unwrap();
        assert_eq!(paths(&walk), ["/", "/a", "/a/born-meanwhile"]);
        assert_eq!(entered[..2], [root.clone(), root.join("a")]);
    }

    #[test]
    fn an_unreadable_root_is_a_failure_and_an_unreadable_branch_is_not() {
        if rustix::process::geteuid().is_root() {
            eprintln!("skipped: root may read everything");
            return;
        }
        let tree = tree(&["", "secret/inner"]);
        let closed = |dir: &Path| fs::set_permissions(dir, PermissionsExt::from_mode(0o000));
        let hierarchies = hierarchy::below(tree.path()).unwrap();
        closed(&tree.path().join("secret")).unwrap();
        let found = walk(&hierarchies, &mut |_| ()).unwrap();
        assert_eq!(found.closed, [b"/secret"]);
        assert_eq!(found.unreadable.len(), 1);
        closed(tree.path()).unwrap();
        assert!(walk(&hierarchies, &mut |_| ()).is_err());
        fs::set_permissions(tree.path(), PermissionsExt::from_mode(0o700)).unwrap();
        fs::set_permissions(tree.path().join("secret"), PermissionsExt::from_mode(0o700)).unwrap();
    }
}
