//! How many workers, how many connections, and whether one descriptor table can hold them.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fastgate_core::snapshot::Snapshot;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept for everything that is not a client connection.
const RESERVE: u32 = 512;

/// What the machine and the snapshot lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) workers: usize,
    /// Each worker has a descriptor table of its own.
    pub(crate) private: bool,
    pub(crate) max_connections: u32,
    /// Client connections of one worker after which others take them.
    pub(crate) worker_descriptors: u32,
    /// Files that may be open at once, all workers together.
    pub(crate) files: u32,
}

impl Plan {
    /// Raises the soft limit to the hard one and reckons with it.
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::reckon(snapshot, cpus, raise_limit())
    }

    fn reckon(snapshot: &Snapshot, cpus: usize, limit: u32) -> Self {
        let files = (limit / 4).max(1);
        let room = limit.saturating_sub(RESERVE).max(limit / 2).max(1);
        let asked = snapshot.limits.max_connections;
        let workers = if snapshot.workers == 0 { cpus } else { snapshot.workers as usize };
        let private = snapshot.private_descriptors || asked > room;
        if !private {
            let max_connections = if asked == 0 { room } else { asked };
            return Self { workers, private, max_connections, worker_descriptors: u32::MAX, files };
        }
        // Some of each table is for connections to targets.
        let each = (room / 8 * 7).max(1);
        let workers = workers.max(asked.div_ceil(each) as usize);
        let max_connections = if asked == 0 { each.saturating_mul(u32::try_from(workers).unwrap_or(1)) } else { asked };
        Self { workers, private, max_connections, worker_descriptors: each, files }
    }
}

fn raise_limit() -> u32 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised { maximum } else { current };
    limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX)
}

/// A descriptor of somebody else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreign {
    fd: i32,
    /// Device and inode of what it stood for when it was listed.
    file: (u64, u64),
}

impl Foreign {
    /// What a number stands for in the table of a thread: `self` (the process's first) or `thread-self`.
    fn look(table: &str, fd: i32) -> Option<Self> {
        let file = std::fs::metadata(format!("/proc/{table}/fd/{fd}")).ok()?;
        Some(Self { fd, file: (file.dev(), file.ino()) })
    }

    fn of(fd: i32) -> Option<Self> {
        Self::look("self", fd)
    }

    /// Its number, if it still stands for the same in this thread's table. Another thread of the process may have closed
    /// it since, and the number may be one of our own by now.
    pub(crate) fn still(self) -> Option<i32> {
        (Self::look("thread-self", self.fd) == Some(self)).then_some(self.fd)
    }
}

/// Descriptors that a private table should not keep open: a peer or a port would hang for as long as it does.
/// Standard streams and event descriptors (wake-ups, epoll) stay.
pub(crate) fn inherited() -> io::Result<Vec<Foreign>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        numbers.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    numbers.retain(|fd| {
        // The listing's own descriptor is gone by now: its number must not be closed when somebody else has it.
        let kind = std::fs::read_link(Path::new("/proc/self/fd").join(fd.to_string()));
        *fd > 2 && kind.is_ok_and(|kind| !kind.to_string_lossy().starts_with("anon_inode:"))
    });
    Ok(numbers.into_iter().filter_map(Foreign::of).collect())
}

/// What a worker must not keep: what was inherited, and the descriptors of the others, given with their worker's index.
pub(crate) fn others(numbers: &[(usize, i32)], index: usize, inherited: &[Foreign]) -> Vec<Foreign> {
    let others = numbers.iter().filter(|(of, _)| *of != index).filter_map(|(_, fd)| Foreign::of(*fd));
    others.chain(inherited.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(max_connections: u32, workers: u32) -> Snapshot {
        let mut snapshot: Snapshot = serde_json::from_str(include_str!("../tests/data/minimal.json")).unwrap();
        snapshot.limits.max_connections = max_connections;
        snapshot.workers = workers;
        snapshot
    }

    #[test]
    fn a_number_that_another_file_has_by_now_is_left_alone() {
        use std::os::fd::AsRawFd;

        let (one, other) = (std::io::pipe().unwrap(), std::io::pipe().unwrap());
        let listed = Foreign::look("thread-self", one.0.as_raw_fd()).unwrap();
        assert_eq!(listed.still(), Some(one.0.as_raw_fd()));
        let stranger = Foreign::look("thread-self", other.0.as_raw_fd()).unwrap();
        assert_eq!(Foreign { fd: listed.fd, ..stranger }.still(), None);
        assert_eq!(Foreign { fd: i32::MAX, ..listed }.still(), None);
    }

    #[test]
    fn one_table_where_it_is_large_enough() {
        let plan = Plan::reckon(&snapshot(10_000, 0), 2, 20_000);
        assert_eq!((plan.workers, plan.private, plan.max_connections), (2, false, 10_000));
        let plan = Plan::reckon(&snapshot(0, 1), 2, 20_000);
        assert_eq!((plan.workers, plan.private, plan.max_connections), (1, false, 19_488));
    }

    #[test]
    fn more_workers_where_tables_must_be_private() {
        let plan = Plan::reckon(&snapshot(100_000, 0), 2, 20_000);
        assert!(plan.private);
        assert!(plan.workers as u32 * plan.worker_descriptors >= 100_000 && plan.workers <= 6, "{plan:?}");
    }
}
