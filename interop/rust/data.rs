//! What servers serve and clients expect: the rules of `interop/README.md`.

/// A cgroup of a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) hash: u32,
    pub(crate) options: u32,
    pub(crate) enabled: u32,
    pub(crate) name: String,
    pub(crate) path: String,
}

/// Cgroup `i` of a snapshot.
pub(crate) fn member(i: u32) -> Member {
    Member {
        hash: i.wrapping_mul(2_654_435_761),
        options: i % 7,
        enabled: i % 2,
        name: format!("cgroup-{i}"),
        path: format!("/sys/fs/cgroup/interop/{i}{}", "x".repeat(i as usize % 50)),
    }
}

/// The key of lookup `i`.
pub(crate) fn path(i: u32) -> String {
    format!("/interop/{i}/{}", "x".repeat(i as usize % 40))
}

/// Which lookup a key is of.
pub(crate) fn index_of(path: &[u8]) -> Option<u32> {
    let path = std::str::from_utf8(path).ok()?;
    let (digits, _) = path.strip_prefix("/interop/")?.split_once('/')?;
    digits.parse().ok()
}

/// The key whose answer fits in no response.
pub(crate) const OVERSIZED: u32 = 4;

/// The name of what lookup `i` finds, where a response takes `response_bytes`.
pub(crate) fn name(i: u32, response_bytes: u32) -> String {
    if i == OVERSIZED { "n".repeat(response_bytes as usize) } else { format!("name-{i}") }
}

/// The first `count` labels of what lookup `i` finds.
pub(crate) fn labels(i: u32, count: u32) -> Vec<(String, String)> {
    (0..count).map(|j| (format!("key-{j}"), format!("value-{i}-{j}"))).collect()
}

/// The payload of message `id`, `len` bytes of it.
pub(crate) fn payload(id: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| (id * 31 + at * 7) as u8).collect()
}
