//! Which cgroup hierarchies there are: version 1, version 2, or both at once.

use std::{
    ffi::OsString,
    fmt, fs, io,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use crate::{failure::reason, term::escape};

/// One tree of cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// The directory that shows its root.
    pub dir: PathBuf,
    /// Whether it is the unified hierarchy of version 2.
    pub unified: bool,
    /// What precedes a path below [`dir`](Self::dir) in the names of its cgroups, where only a part
    /// of the hierarchy is mounted. Empty, or begins with `/` and does not end with it.
    pub prefix: Vec<u8>,
    /// Whether its root lies above the cgroup namespace of this process: processes then see other
    /// paths than those below [`dir`](Self::dir).
    pub above_namespace: bool,
    /// Which hierarchy speaks for a cgroup found in several: the lowest.
    rank: usize,
}

/// Why no hierarchy can be served.
#[derive(Debug)]
pub enum Unusable {
    /// The file or directory cannot be read.
    Unreadable(PathBuf, io::Error),
    /// The directory holds no cgroups.
    NoTree(PathBuf),
    /// Nothing of the kind is mounted.
    NotMounted,
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unusable::Unreadable(path, why) => {
                write!(f, "read {}: {}", escape::path(path), reason(why))
            }
            Unusable::NoTree(path) => write!(
                f,
                "read cgroups of {}: no cgroup tree (no cgroup.procs or cgroup.controllers there, \
                 nor below)",
                escape::path(path)
            ),
            Unusable::NotMounted => {
                write!(f, "read cgroups of this machine: no cgroup filesystem is mounted")
            }
        }
    }
}

impl std::error::Error for Unusable {}

/// Version 1 controllers, the most telling first: nearly every container has its own cgroup in the
/// first ones, while all processes may share one in the last ones.
const CONTROLLERS: [&[u8]; 15] = [
    b"cpuacct",
    b"blkio",
    b"memory",
    b"cpu",
    b"pids",
    b"name=systemd",
    b"systemd",
    b"devices",
    b"freezer",
    b"cpuset",
    b"net_cls",
    b"net_prio",
    b"perf_event",
    b"hugetlb",
    b"rdma",
];

/// The hierarchies mounted on this machine, as its `mountinfo` lists them.
///
/// # Errors
///
/// [`Unusable`] when the list cannot be read, or holds none.
pub fn mounted() -> Result<Vec<Hierarchy>, Unusable> {
    let path = Path::new("/proc/self/mountinfo");
    let text = fs::read(path).map_err(|why| Unusable::Unreadable(path.into(), why))?;
    let found = of_mountinfo(&text);
    if found.is_empty() { Err(Unusable::NotMounted) } else { Ok(found) }
}

/// The hierarchies below `dir`, laid out as they are below `/sys/fs/cgroup`.
///
/// # Errors
///
/// [`Unusable`] when `dir` cannot be read or is no cgroup tree.
pub fn below(dir: &Path) -> Result<Vec<Hierarchy>, Unusable> {
    let unreadable = |why| Unusable::Unreadable(dir.into(), why);
    let dir = &dir.canonicalize().map_err(unreadable)?;
    let entries = fs::read_dir(dir).map_err(unreadable)?;
    if dir.join("cgroup.controllers").exists() {
        return Ok(vec![Hierarchy::at(dir.clone(), true, 0)]);
    }
    if !dir.join("cgroup.procs").exists() {
        let found = version_1_or_hybrid(entries.flatten());
        if !found.is_empty() {
            return Ok(found);
        }
        if !holds_cgroups(dir) {
            return Err(Unusable::NoTree(dir.clone()));
        }
    }
    let version_1 = ["tasks", "notify_on_release", "cgroup.clone_children"];
    let unified = !version_1.iter().any(|file| dir.join(file).exists());
    Ok(vec![Hierarchy::at(dir.clone(), unified, 0)])
}

impl Hierarchy {
    fn at(dir: PathBuf, unified: bool, rank: usize) -> Self {
        Hierarchy { dir, unified, prefix: Vec::new(), above_namespace: false, rank }
    }
}

/// The hierarchies among the entries of a directory: named after their controllers, or `unified`.
fn version_1_or_hybrid(entries: impl Iterator<Item = fs::DirEntry>) -> Vec<Hierarchy> {
    let mut found: Vec<(Hierarchy, (u64, u64))> = Vec::new();
    for entry in entries {
        let name = entry.file_name();
        let unified = name == "unified";
        let rank = if unified { Some(UNIFIED) } else { rank(name.as_bytes()) };
        let Some(rank) = rank else { continue };
        // Follows links: `cpu` is one to `cpu,cpuacct` on most machines.
        let Ok(directory) = fs::metadata(entry.path()) else { continue };
        if directory.is_dir() {
            let hierarchy = Hierarchy::at(entry.path(), unified, rank);
            found.push((hierarchy, (directory.dev(), directory.ino())));
        }
    }
    found.sort_by(|(a, _), (b, _)| (a.rank, &a.dir).cmp(&(b.rank, &b.dir)));
    let mut seen = Vec::new();
    found.retain(|(_, id)| {
        !seen.contains(id) && {
            seen.push(*id);
            true
        }
    });
    found.into_iter().map(|(hierarchy, _)| hierarchy).collect()
}

/// Behind every version 1 hierarchy: where both exist, the controllers are with version 1.
const UNIFIED: usize = CONTROLLERS.len();

/// The rank of a version 1 hierarchy with these controllers, `None` if it is none.
fn rank(controllers: &[u8]) -> Option<usize> {
    controllers
        .split(|&byte| byte == b',')
        .filter_map(|name| CONTROLLERS.iter().position(|known| *known == name))
        .min()
}

/// Whether any directory below `dir` has the file that every cgroup has.
fn holds_cgroups(dir: &Path) -> bool {
    /// Enough to tell a tree of cgroups from a home directory without reading all of the latter.
    const MAX_DIRECTORIES: usize = 10_000;
    let mut pending = vec![dir.to_path_buf()];
    let mut visited = 0;
    while let Some(dir) = pending.pop() {
        visited += 1;
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            if entry.file_name() == "cgroup.procs" {
                return true;
            }
            if visited < MAX_DIRECTORIES && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                pending.push(entry.path());
            }
        }
    }
    false
}

/// The hierarchies in the text of a `mountinfo` file (proc(5)).
fn of_mountinfo(text: &[u8]) -> Vec<Hierarchy> {
    let mut found: Vec<(Hierarchy, Mount<'_>)> = Vec::new();
    for line in text.split(|&byte| byte == b'\n') {
        let Some(mount) = Mount::parse(line) else { continue };
        let rank = match mount.kind {
            b"cgroup2" => UNIFIED,
            b"cgroup" => {
                let ranks = mount.options.split(|&byte| byte == b',').filter_map(rank);
                ranks.min().unwrap_or(UNIFIED - 1)
            }
            _ => continue,
        };
        let dir = PathBuf::from(OsString::from_vec(unescape(mount.point)));
        let root = unescape(mount.root);
        // A root of `/../..` lies above the namespace: the mount shows the whole tree.
        let above_namespace = root == b"/.." || root.starts_with(b"/../");
        let prefix = if above_namespace || root == b"/" { Vec::new() } else { root };
        let unified = mount.kind == b"cgroup2";
        let hierarchy = Hierarchy { dir, unified, prefix, above_namespace, rank };
        found.push((hierarchy, mount));
    }
    // Mounted twice: the mount that shows most of it stands for it.
    found.sort_by(|(a, at), (b, bt)| {
        (at.device, a.prefix.len(), &a.dir).cmp(&(bt.device, b.prefix.len(), &b.dir))
    });
    found.dedup_by(|(_, later), (_, earlier)| later.device == earlier.device);
    let mut found: Vec<_> = found.into_iter().map(|(hierarchy, _)| hierarchy).collect();
    found.sort_by(|a, b| (a.rank, &a.dir).cmp(&(b.rank, &b.dir)));
    found
}

/// The fields of a line of `mountinfo` that matter here.
struct Mount<'a> {
    device: &'a [u8],
    root: &'a [u8],
    point: &'a [u8],
    kind: &'a [u8],
    options: &'a [u8],
}

impl<'a> Mount<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|&byte| byte == b' ').skip(2);
        let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
        // Optional fields end with a lone dash.
        let mut fields = fields.skip_while(|field| *field != b"-").skip(1);
        let kind = fields.next()?;
        Some(Mount { device, root, point, kind, options: fields.nth(1)? })
    }
}

/// Undoes the octal escapes (`\040`) of `mountinfo`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        match tail {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if *first == b'\\' => {
                plain.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs(found: &[Hierarchy]) -> Vec<&str> {
        found.iter().map(|hierarchy| hierarchy.dir.to_str().unwrap()).collect()
    }

    #[test]
    fn reads_a_hybrid_mountinfo_with_the_most_telling_hierarchy_first() {
        let text = b"31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
            38 31 0:35 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,xattr,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n\
            33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:4 - cgroup cgroup rw,cpu,cpuacct\n";
        let found = of_mountinfo(text);
        assert_eq!(
            dirs(&found),
            [
                "/sys/fs/cgroup/cpu,cpuacct",
                "/sys/fs/cgroup/blkio",
                "/sys/fs/cgroup/systemd",
                "/sys/fs/cgroup/unified"
            ]
        );
        assert_eq!(found.iter().filter(|hierarchy| hierarchy.unified).count(), 1);
    }

    #[test]
    fn a_hierarchy_mounted_twice_is_found_once_where_it_shows_most() {
        let text = b"50 31 0:38 /docker/abc /mnt/part rw - cgroup2 cgroup2 rw\n\
            41 31 0:38 / /mnt/a\\040b rw - cgroup2 cgroup2 rw\n";
        let found = of_mountinfo(text);
        assert_eq!(dirs(&found), ["/mnt/a b"]);
        assert!(found[0].prefix.is_empty());
    }

    #[test]
    fn a_mounted_part_gives_its_cgroups_their_full_names() {
        let found = of_mountinfo(b"50 31 0:38 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
        assert_eq!(found[0].prefix, b"/docker/abc");
        let above = of_mountinfo(b"50 31 0:38 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
        assert!(above[0].prefix.is_empty() && above[0].above_namespace);
    }

    #[test]
    fn lines_that_are_no_mount_are_passed_over() {
        assert!(of_mountinfo(b"\n1 2\n3 4 5 6 7 - cgroup\nnonsense - - -\n").is_empty());
    }

    #[test]
    fn finds_version_2_by_its_controllers_file() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("cgroup.controllers"), "cpu\n").unwrap();
        // A cgroup that happens to be called like a controller does not make it version 1.
        fs::create_dir(tree.path().join("memory")).unwrap();
        let found = below(tree.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].unified);
    }

    #[test]
    fn finds_linked_version_1_hierarchies_once() {
        let tree = tempfile::tempdir().unwrap();
        for name in ["cpu,cpuacct", "memory", "unified", "systemd", "not-a-controller"] {
            fs::create_dir(tree.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("cpu,cpuacct", tree.path().join("cpuacct")).unwrap();
        let found = below(tree.path()).unwrap();
        let names: Vec<_> = found.iter().map(|h| h.dir.file_name().unwrap()).collect();
        assert_eq!(names, ["cpu,cpuacct", "memory", "systemd", "unified"]);
        assert!(found[3].unified);
    }

    #[test]
    fn refuses_a_directory_without_cgroups() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("home/somebody")).unwrap();
        assert!(matches!(below(tree.path()), Err(Unusable::NoTree(_))));
        assert!(matches!(below(&tree.path().join("gone")), Err(Unusable::Unreadable(..))));
        fs::write(tree.path().join("home/somebody/cgroup.procs"), "").unwrap();
        assert!(below(tree.path()).unwrap()[0].unified);
    }
}
