//! What the system tells of the agent's process and of the machine, from `/proc`. What cannot be read is left out.

use std::fs;
use std::path::{Path, PathBuf};

/// Ticks a second in which the kernel tells times to programs: `USER_HZ`, the same on every architecture we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// What does not change while the agent runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    pub(crate) kernel_release: Option<String>,
    pub(crate) boot_timestamp_ns: Option<u64>,
    pub(crate) cpus: Option<u64>,
}

/// What the agent and the machine use at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    /// CPU time of the agent over its life, in percent of one CPU.
    pub(crate) cpu_percent: Option<f64>,
    /// CPU time of the machine since it started that was not idle, in percent of all.
    pub(crate) host_cpu_percent: Option<f64>,
    pub(crate) rss_bytes: Option<u64>,
    pub(crate) vsz_bytes: Option<u64>,
    pub(crate) pss_bytes: Option<u64>,
    /// Of the control group that the agent runs in.
    pub(crate) container_bytes: Option<u64>,
    pub(crate) host_bytes: Option<u64>,
    pub(crate) host_procs_running: Option<u64>,
    pub(crate) host_open_fds: Option<u64>,
    pub(crate) open_fds: Option<u64>,
}

impl Machine {
    pub(crate) fn read() -> Machine {
        let stat = read(&host_proc("stat"));
        Machine {
            kernel_release: read(&host_proc("sys/kernel/osrelease")).map(|text| text.trim().into()),
            boot_timestamp_ns: stat.as_deref().and_then(|stat| {
                number_after(stat, "btime").map(|seconds| seconds * 1_000_000_000)
            }),
            cpus: stat.map(|stat| {
                let is_cpu = |line: &str| {
                    line.strip_prefix("cpu").is_some_and(|rest| !rest.starts_with(' '))
                };
                stat.lines().filter(|line| is_cpu(line)).count() as u64
            }),
        }
    }
}

impl Usage {
    pub(crate) fn read() -> Usage {
        let status = read(Path::new("/proc/self/status")).unwrap_or_default();
        let rollup = read(Path::new("/proc/self/smaps_rollup")).unwrap_or_default();
        let memory = read(&host_proc("meminfo")).unwrap_or_default();
        let stat = read(&host_proc("stat")).unwrap_or_default();
        let kilobytes = |text: &str, key| number_after(text, key).map(|kilobytes| kilobytes * 1024);
        Usage {
            cpu_percent: cpu_percent(),
            host_cpu_percent: host_cpu_percent(&stat),
            rss_bytes: kilobytes(&status, "VmRSS:"),
            vsz_bytes: kilobytes(&status, "VmSize:"),
            pss_bytes: kilobytes(&rollup, "Pss:"),
            container_bytes: container_bytes(),
            host_bytes: kilobytes(&memory, "MemTotal:").and_then(|total| {
                let free = ["MemFree:", "Buffers:", "Cached:"].map(|key| kilobytes(&memory, key));
                let free = free.into_iter().sum::<Option<u64>>()?;
                Some(total.saturating_sub(free))
            }),
            host_procs_running: number_after(&stat, "procs_running"),
            host_open_fds: read(&host_proc("sys/fs/file-nr"))
                .and_then(|text| text.split_whitespace().next()?.parse().ok()),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count() as u64),
        }
    }
}

/// A file of the machine's `/proc`, which in a container is mounted below `HOST_ROOT`.
fn host_proc(name: &str) -> PathBuf {
    let root = std::env::var("HOST_ROOT").unwrap_or_default();
    Path::new(&format!("{root}/proc")).join(name)
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The number in the line that starts with the word `key`.
fn number_after(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == key).then(|| words.next()?.parse().ok())?
    })
}

/// As `ps` shows it: CPU time divided by the time since the process started.
fn cpu_percent() -> Option<f64> {
    let stat = read(Path::new("/proc/self/stat"))?;
    // The name of the program is in parentheses and may hold anything; the third field follows it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    let (user, system, start) = (ticks(14)?, ticks(15)?, ticks(22)?);
    let uptime = read(Path::new("/proc/uptime"))?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    // At least one tick, since it may have started just now.
    let age = (uptime * TICKS_PER_SECOND - start).max(1.0);
    Some((user + system) / age * 100.0)
}

fn host_cpu_percent(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<f64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
    // Guests' time, after the eighth, is counted in the first two already.
    let total: f64 = ticks.iter().take(8).sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    (total > 0.0).then(|| (total - idle) / total * 100.0)
}

fn container_bytes() -> Option<u64> {
    let named = std::env::var_os("FALCO_CGROUP_MEM_PATH").map(PathBuf::from);
    let paths = ["memory.current", "memory/memory.usage_in_bytes"]
        .map(|name| Path::new("/sys/fs/cgroup").join(name));
    let text = named.into_iter().chain(paths).find_map(|path| read(&path))?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_after_their_words() {
        let text = "cpu  1 2\nVmRSSx: 5 kB\nVmRSS:\t   1234 kB\nbtime 7\n";
        assert_eq!(number_after(text, "VmRSS:"), Some(1234));
        assert_eq!(number_after(text, "btime"), Some(7));
        assert_eq!(number_after(text, "Pss:"), None);
    }

    #[test]
    fn time_of_guests_is_not_counted_twice() {
        assert_eq!(host_cpu_percent("cpu  10 0 10 70 10 0 0 0 5 0\ncpu0 1\n"), Some(20.0));
        assert_eq!(host_cpu_percent("cpu0 1\n"), None);
    }

    #[test]
    fn this_process_uses_something() {
        let usage = Usage::read();
        assert!(usage.rss_bytes.unwrap() > 0 && usage.rss_bytes <= usage.vsz_bytes, "{usage:?}");
        assert!(usage.open_fds.unwrap() >= 3 && usage.cpu_percent.is_some(), "{usage:?}");
        assert!(Machine::read().cpus.unwrap() >= 1);
    }
}
