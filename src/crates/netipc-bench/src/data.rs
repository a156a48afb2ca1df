//! What the cases carry: the same made-up control groups and processes for the floors and for netipc.

use std::collections::HashSet;

/// A control group as a provider knows it.
pub(crate) struct Cgroup {
    pub(crate) hash: u32,
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) labels: [(&'static str, String); 2],
}

/// A process as a provider knows it.
pub(crate) struct Process {
    pub(crate) pid: u32,
    pub(crate) comm: String,
    pub(crate) cgroup_path: String,
    pub(crate) cgroup_name: String,
}

/// `count` control groups, number `i` at index `i`.
pub(crate) fn cgroups(count: usize) -> Vec<Cgroup> {
    let cgroup = |i| {
        let name = format!("unit-{i:06}.service");
        Cgroup {
            hash: djb2(name.as_bytes()),
            path: format!("/system.slice/{name}"),
            name,
            labels: [("image", format!("registry/app-{:03}", i % 1000)), ("team", "core".into())],
        }
    };
    (0..count).map(cgroup).collect()
}

/// `count` processes, process id `i + 1` at index `i`.
pub(crate) fn processes(count: usize) -> Vec<Process> {
    let process = |i: usize| Process {
        pid: i as u32 + 1,
        comm: format!("worker-{:03}", i % 1000),
        cgroup_path: format!("/system.slice/unit-{i:06}.service"),
        cgroup_name: format!("unit-{i:06}"),
    };
    (0..count).map(process).collect()
}

/// The index of the control group at `path`: its six digits, the cheapest index there can be.
pub(crate) fn index_of(path: &[u8]) -> Option<usize> {
    const SUFFIX: usize = ".service".len();
    let end = path.len().checked_sub(SUFFIX)?;
    let digits = path.get(end.checked_sub(6)?..end)?;
    digits.iter().try_fold(0, |index, digit| match digit {
        b'0'..=b'9' => Some(index * 10 + usize::from(digit - b'0')),
        _ => None,
    })
}

/// The hash that producers of snapshots use.
pub(crate) fn djb2(name: &[u8]) -> u32 {
    name.iter().fold(5381, |hash: u32, &byte| hash.wrapping_mul(33).wrapping_add(byte.into()))
}

/// The numbers below `count` in an order without pattern, the same in every run.
pub(crate) fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for last in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(last, (state % (last as u64 + 1)) as usize);
    }
    debug_assert_eq!(order.iter().collect::<HashSet<_>>().len(), count);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_control_group_leads_to_its_index() {
        let all = cgroups(1200);
        assert_eq!(index_of(all[1187].path.as_bytes()), Some(1187));
        assert_eq!(index_of(b"/user.slice"), None);
        assert_eq!(index_of(b""), None);
    }

    #[test]
    fn shuffling_keeps_every_number_and_moves_most() {
        let order = shuffled(1000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1000));
        assert!(order.iter().enumerate().filter(|(i, n)| i != *n).count() > 900);
    }
}
