//! What the kernel says about this process; what it does not say is left out.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// The process as the kernel sees it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Process {
    /// User and system time.
    pub(crate) cpu_seconds: Option<f64>,
    /// Resident memory.
    pub(crate) resident_bytes: Option<u64>,
    /// Address space.
    pub(crate) virtual_bytes: Option<u64>,
    /// What the control group lets it have.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// Open descriptors of the process's own table.
    pub(crate) descriptors: Option<u64>,
    /// The most there may be.
    pub(crate) max_descriptors: Option<u64>,
    /// When it started, in seconds since 1970.
    pub(crate) start_seconds: Option<f64>,
}

impl Process {
    /// Asks the kernel.
    pub(crate) fn now() -> Self {
        let mut process = Self {
            descriptors: descriptors(),
            max_descriptors: getrlimit(Resource::Nofile).current,
            memory_limit_bytes: memory_limit(),
            ..Self::default()
        };
        if let Ok(stat) = fs::read_to_string("/proc/self/stat") {
            process.read_stat(&stat, boot_seconds());
        }
        process
    }

    /// Reads `/proc/PID/stat` (proc(5)).
    #[expect(clippy::cast_precision_loss, reason = "seconds need no more than 53 bits")]
    fn read_stat(&mut self, stat: &str, boot_seconds: Option<u64>) {
        // The name in parentheses may hold anything; what follows the last one are numbers from field 3 on.
        let Some((_, rest)) = stat.rsplit_once(')') else { return };
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok());
        let second = clock_ticks_per_second().max(1) as f64;
        self.cpu_seconds = field(14).zip(field(15)).map(|(user, system)| (user + system) as f64 / second);
        self.start_seconds = field(22).zip(boot_seconds).map(|(start, boot)| boot as f64 + start as f64 / second);
        self.virtual_bytes = field(23);
        self.resident_bytes = field(24).map(|pages| pages.saturating_mul(page_size() as u64));
    }
}

fn descriptors() -> Option<u64> {
    // Newer kernels have the number in the folder's size, which spares listing it.
    match fs::metadata("/proc/self/fd").ok()?.len() {
        0 => Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64),
        n => Some(n),
    }
}

fn boot_seconds() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

/// The least limit of its control groups (version 2), from its own up to the root.
fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mut path = std::path::PathBuf::from("/sys/fs/cgroup").join(own.trim_start_matches('/'));
    let mut least = None;
    while path.starts_with("/sys/fs/cgroup") {
        if let Some(limit) = fs::read_to_string(path.join("memory.max")).ok().and_then(|text| text.trim().parse().ok())
        {
            least = Some(least.map_or(limit, |least: u64| least.min(limit)));
        }
        path.pop();
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stat_line_is_read_whatever_the_process_is_called() {
        let mut process = Process::default();
        let numbers: Vec<String> = (4..=52).map(|n: u64| (n * 100).to_string()).collect();
        process.read_stat(&format!("7 (a) b)) S {}", numbers.join(" ")), Some(1_000));
        let second = clock_ticks_per_second() as f64;
        assert_eq!(process.cpu_seconds, Some(2_900.0 / second));
        assert_eq!(process.start_seconds, Some(1_000.0 + 2_200.0 / second));
        assert_eq!(process.virtual_bytes, Some(2_300));
        assert_eq!(process.resident_bytes, Some(2_400 * page_size() as u64));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_seen() {
        let process = Process::now();
        assert!(process.resident_bytes.unwrap() > 100_000);
        assert!(process.descriptors.unwrap() >= 3 && process.max_descriptors.unwrap() > process.descriptors.unwrap());
        assert!(process.start_seconds.unwrap() > 1e9 && process.cpu_seconds.is_some());
    }
}
