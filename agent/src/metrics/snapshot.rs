//! `metrics.output_rule` and `metrics.output_file`: all numbers of a moment as an alert, or as a line of a file.
//!
//! Source: `stats_writer` in Falco 0.45-dev. Unlike there, a timer drives it, so an idle event source tells its numbers too.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::ZonedDateTime;
use plugin_host::MetricValue;
use rules_engine::Priority;
use serde_json::{Value, json};

use super::facts::{EnabledSource, Facts, now_ns};
use super::host::Usage;
use super::{Metrics, SourceCounters, metric_name};
use crate::alert::AlertFormat;
use crate::commands::version::FALCO_VERSION;
use crate::config::MetricsConfig;
use crate::outputs::AlertSender;
use crate::statistics::Statistics;

const RULE: &str = "Falco internal: metrics snapshot";
const MESSAGE: &str = "Falco metrics snapshot";

/// Why no snapshots can be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotsError {
    #[error("cannot open metrics.output_file {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start the thread of metrics")]
    Thread(#[from] io::Error),
}

/// The thread that takes snapshots.
#[derive(Debug)]
pub(crate) struct Snapshots {
    /// The thread ends when this is dropped.
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

/// What snapshots are made of, and where they go.
#[derive(Debug)]
pub(crate) struct SnapshotSetup {
    pub(crate) config: MetricsConfig,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) statistics: Arc<Statistics>,
    pub(crate) format: Arc<AlertFormat>,
    pub(crate) alerts: AlertSender,
}

impl Snapshots {
    /// Starts the thread if snapshots are wanted.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or the system cannot start one more thread.
    pub(crate) fn start(setup: SnapshotSetup) -> Result<Option<Snapshots>, SnapshotsError> {
        let MetricsConfig { enabled, output_rule, output_file, .. } = &setup.config;
        if !enabled || (!output_rule && output_file.is_none()) {
            return Ok(None);
        }
        if let Some(path) = output_file {
            append_to(path)
                .map_err(|source| SnapshotsError::File { path: path.clone(), source })?;
        }
        tracing::info!(
            "Setting metrics interval to {}, equivalent to {} (ms)",
            setup.config.interval_text,
            setup.config.interval.as_millis()
        );
        let (stop, stopped) = sync_channel(0);
        let thread = std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || setup.run(&stopped))?;
        Ok(Some(Snapshots { stop, thread }))
    }

    /// Ends the thread. One that waits for an output longer than `grace` is left behind.
    pub(crate) fn stop(self, grace: Duration) {
        drop(self.stop);
        let deadline = Instant::now() + grace;
        while !self.thread.is_finished() && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
        if !self.thread.is_finished() {
            tracing::error!("the thread of metrics does not return, leaving it behind");
        } else if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// The counts of one event source at the snapshot before.
struct Previous {
    source: EnabledSource,
    counters: SourceCounters,
    events: u64,
    taken: Option<Instant>,
}

impl SnapshotSetup {
    fn run(mut self, stopped: &Receiver<()>) {
        let previous = |source: &EnabledSource| Previous {
            source: source.clone(),
            counters: self.metrics.source(&source.name),
            events: 0,
            taken: None,
        };
        let mut sources: Vec<_> = self.facts.sources.iter().map(previous).collect();
        for sample in 0_u64.. {
            let usage = Usage::read();
            for source in &mut sources {
                let fields = self.fields(source, &usage);
                self.write(&fields, sample);
            }
            match stopped.recv_timeout(self.config.interval) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn write(&mut self, fields: &BTreeMap<String, Value>, sample: u64) {
        if let Some(path) = &self.config.output_file {
            let line = format!("{}\n", json!({ "output_fields": fields, "sample": sample }));
            // Opened anew each time, so that whoever rotates the file need not tell.
            if let Err(error) = append_to(path).and_then(|mut file| file.write_all(line.as_bytes()))
            {
                tracing::error!("metrics.output_file {}: {error}", path.display());
            }
        }
        if self.config.output_rule {
            let now = ZonedDateTime::now();
            let fields =
                fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            let priority = Priority::Informational;
            let alert = self.format.internal(
                RULE,
                priority,
                MESSAGE,
                &fields,
                now_ns(),
                now.offset().seconds(),
            );
            if let Err(error) = self.alerts.push(alert).and_then(|()| self.alerts.commit()) {
                tracing::error!("no alert with metrics: {error}");
            }
        }
    }

    /// Names and order of stock; what is not known is left out.
    fn fields(&self, previous: &mut Previous, usage: &Usage) -> BTreeMap<String, Value> {
        let (facts, machine) = (&self.facts, &self.facts.machine);
        let events = previous.counters.events.get();
        let mut fields = BTreeMap::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("evt.time", now_ns().into());
        put("evt.hostname", facts.hostname.as_str().into());
        put("evt.source", previous.source.name.as_str().into());
        put("falco.version", FALCO_VERSION.into());
        put("falco.start_ts", facts.start_timestamp_ns.into());
        put("falco.duration_sec", facts.elapsed().as_secs().into());
        put("falco.reload_ts", self.metrics.reload_timestamp_ns.get().into());
        put("falco.outputs_queue_num_drops", 0.into());
        put("falco.num_evts", events.into());
        put("falco.num_evts_prev", previous.events.into());
        put("scap.engine_name", previous.source.engine.into());
        put("scap.n_drops_perc", 0.0.into());
        if let Some(taken) = previous.taken {
            let seconds = taken.elapsed().as_secs_f64();
            put("falco.evts_rate_sec", rounded((events - previous.events) as f64 / seconds));
        }
        (previous.events, previous.taken) = (events, Some(Instant::now()));
        for (name, value) in [
            ("falco.host_boot_ts", machine.boot_timestamp_ns.map(Value::from)),
            ("falco.host_num_cpus", machine.cpus.map(Value::from)),
            ("falco.kernel_release", machine.kernel_release.clone().map(Value::from)),
        ] {
            value.map(|value| put(name, value));
        }
        let files = facts.files();
        for (kind, files) in [("rules", &files.rules), ("config", &files.config)] {
            for (path, hash) in files {
                let name = format!("falco.sha256_{kind}_file.{}", metric_name(&stem(path)));
                put(&name, hash.to_string().into());
            }
        }
        if self.config.resource_utilization {
            self.put_usage(usage, &mut put);
        }
        if self.config.plugins_metrics {
            for (name, value) in self.metrics.plugin_values(&previous.source.name) {
                let value = match value {
                    MetricValue::Unsigned(value) => Value::from(value),
                    MetricValue::Signed(value) => value.into(),
                    MetricValue::Float(value) => value.into(),
                };
                if self.config.include_empty_values || value.as_f64() != Some(0.0) {
                    put(&format!("plugins.{name}"), value);
                }
            }
        }
        if self.config.rules_counters {
            let matches = self.statistics.matches();
            let total: u64 = matches.iter().map(|(_, count)| count).sum();
            if total > 0 || self.config.include_empty_values {
                put("falco.rules.matches_total", total.into());
            }
            for (rule, count) in matches {
                put(&format!("falco.rules.{}", metric_name(&rule)), count.into());
            }
        }
        fields
    }

    fn put_usage(&self, usage: &Usage, mut put: impl FnMut(&str, Value) -> Option<Value>) {
        let in_mb = self.config.convert_memory_to_mb;
        for (name, percent) in [
            ("falco.cpu_usage_perc", usage.cpu_percent),
            ("falco.host_cpu_usage_perc", usage.host_cpu_percent),
        ] {
            percent.map(|percent| put(name, rounded(percent)));
        }
        for (name, bytes) in [
            ("falco.memory_rss", usage.rss_bytes),
            ("falco.memory_vsz", usage.vsz_bytes),
            ("falco.memory_pss", usage.pss_bytes),
            ("falco.host_memory_used", usage.host_bytes),
            ("falco.container_memory_used", usage.container_bytes),
        ] {
            let Some(bytes) = bytes else { continue };
            match name {
                _ if in_mb => put(&format!("{name}_mb"), rounded(bytes as f64 / 1_048_576.0)),
                "falco.container_memory_used" => put(&format!("{name}_bytes"), bytes.into()),
                _ => put(&format!("{name}_kb"), (bytes / 1024).into()),
            };
        }
        for (name, count) in [
            ("falco.host_procs_running", usage.host_procs_running),
            ("falco.host_open_fds", usage.host_open_fds),
        ] {
            count.map(|count| put(name, count.into()));
        }
    }
}

/// One decimal, as stock prints shares and rates.
fn rounded(value: f64) -> Value {
    ((value * 10.0).round() / 10.0).into()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}
