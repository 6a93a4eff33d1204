//! What is not counted but looked up: of the machine, the process, and the files in force.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Labels;
use super::host::{Machine, Usage};
use crate::config::{Config, LoadedFile};
use crate::rules::LoadedRules;
use crate::sha256::Sha256;

/// A file in force, and what was in it.
pub(crate) type FileHash = (PathBuf, Sha256);

/// What the agent can say about itself. Names are stock's where stock has the metric (agent.md 6.4).
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) start_timestamp_ns: u64,
    pub(crate) machine: Machine,
    pub(crate) hostname: String,
    /// The enabled event sources.
    pub(crate) sources: Vec<EnabledSource>,
    files: Mutex<Files>,
}

/// An event source and what feeds it.
#[derive(Clone, Debug)]
pub(crate) struct EnabledSource {
    pub(crate) name: String,
    /// `source_plugin`, or `nodriver` for `syscall`.
    pub(crate) engine: &'static str,
}

/// The files in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct Files {
    pub(crate) rules: Vec<FileHash>,
    pub(crate) config: Vec<FileHash>,
}

impl Files {
    pub(crate) fn new(rules: &LoadedRules, config: &Config) -> Files {
        let hash = |file: &LoadedFile| (file.path.clone(), Sha256::of(file.text.as_bytes()));
        Files { rules: rules.hashes.clone(), config: config.files.iter().map(hash).collect() }
    }
}

impl Facts {
    pub(crate) fn new(hostname: String, sources: Vec<EnabledSource>, files: Files) -> Facts {
        Facts {
            start_timestamp_ns: now_ns(),
            machine: Machine::read(),
            hostname,
            sources,
            files: Mutex::new(files),
        }
    }

    /// The files that a reload has put into force.
    pub(crate) fn set_files(&self, files: Files) {
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    pub(crate) fn files(&self) -> Files {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(now_ns().saturating_sub(self.start_timestamp_ns))
    }
}

impl Collector for Facts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let files = self.files();
        for (name, help, files) in [
            ("falco_sha256_rules_files", "Hash of a rules file in force", &files.rules),
            ("falco_sha256_config_files", "Hash of a configuration file in force", &files.config),
        ] {
            let labels = files.iter().map(|(path, hash)| {
                labels([("file_name", &file_name(path)), ("sha256", &hash.to_string())])
            });
            encode_info(&mut encoder, name, help, labels)?;
        }
        let engines = self
            .sources
            .iter()
            .map(|source| labels([("engine_name", source.engine), ("evt_source", &source.name)]));
        encode_info(&mut encoder, "scap_engine_name", "What feeds an event source", engines)?;
        let kernel = self.machine.kernel_release.iter();
        let kernel = kernel.map(|release| labels([("kernel_release", release)]));
        encode_info(&mut encoder, "falco_kernel_release", "The kernel of the machine", kernel)?;
        let hostname = [labels([("hostname", &self.hostname)])];
        encode_info(&mut encoder, "evt_hostname", "The machine's name in alerts", hostname)?;

        let (name, help) = ("falco_duration_seconds", "Time since the start");
        let metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(self.elapsed().as_secs()).encode(metric)?;
        for (name, help, value) in self.timestamps().into_iter().chain(usage(&Usage::read())) {
            if let Some(value) = value {
                let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
                match value {
                    Number::Whole(value) => ConstGauge::new(value).encode(metric)?,
                    Number::Ratio(value) => ConstGauge::new(value).encode(metric)?,
                }
            }
        }
        Ok(())
    }
}

/// A gauge's value.
enum Number {
    Whole(u64),
    Ratio(f64),
}

type Reading = (&'static str, &'static str, Option<Number>);

impl Facts {
    fn timestamps(&self) -> [Reading; 3] {
        let (boot, cpus) = (self.machine.boot_timestamp_ns, self.machine.cpus);
        [
            (
                "falco_start_timestamp_nanoseconds",
                "When the agent started",
                Some(Number::Whole(self.start_timestamp_ns)),
            ),
            (
                "falco_host_boot_timestamp_nanoseconds",
                "When the machine started",
                boot.map(Number::Whole),
            ),
            ("falco_host_num_cpus_total", "CPUs of the machine", cpus.map(Number::Whole)),
        ]
    }
}

fn usage(usage: &Usage) -> [Reading; 10] {
    let whole = |value: Option<u64>| value.map(Number::Whole);
    let ratio = |percent: Option<f64>| percent.map(|percent| Number::Ratio(percent / 100.0));
    [
        ("falco_cpu_usage_ratio", "CPU time a second of the agent", ratio(usage.cpu_percent)),
        (
            "falco_host_cpu_usage_ratio",
            "Share of the machine's CPU time that is used",
            ratio(usage.host_cpu_percent),
        ),
        ("falco_memory_rss_bytes", "Resident memory", whole(usage.rss_bytes)),
        ("falco_memory_vsz_bytes", "Virtual memory", whole(usage.vsz_bytes)),
        ("falco_memory_pss_bytes", "Proportional share of memory", whole(usage.pss_bytes)),
        (
            "falco_container_memory_used_bytes",
            "Memory of the control group",
            whole(usage.container_bytes),
        ),
        ("falco_host_memory_used_bytes", "Memory used on the machine", whole(usage.host_bytes)),
        (
            "falco_host_procs_running_total",
            "Running processes on the machine",
            whole(usage.host_procs_running),
        ),
        ("falco_host_open_fds_total", "Open files on the machine", whole(usage.host_open_fds)),
        ("falco_open_fds", "Open file descriptors of the agent", whole(usage.open_fds)),
    ]
}

fn encode_info(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    sets: impl IntoIterator<Item = Labels>,
) -> fmt::Result {
    let mut sets: Vec<Labels> = sets.into_iter().collect();
    // Files of one name in two directories with the same content are one series.
    sets.sort();
    sets.dedup();
    if sets.is_empty() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Info)?;
    sets.iter().try_for_each(|labels| metric.encode_info(labels))
}

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// Nanoseconds since 1970.
pub(crate) fn now_ns() -> u64 {
    // Negative before 1970, and above 64 bits after 2554.
    u64::try_from(Timestamp::now().as_nanosecond()).unwrap_or_default()
}
