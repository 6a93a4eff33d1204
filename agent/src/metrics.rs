//! The registry of counters, and its text for Prometheus.

mod facts;
mod host;
mod ledger;
mod plugins;
mod rule_costs;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use plugin_host::{Metric, MetricValue};
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use rules_engine::RuleInfo;

pub(crate) use self::facts::{EnabledSource, Facts, FileHash, Files, now_ns};
pub(crate) use self::plugins::add_metrics;
pub(crate) use self::rule_costs::{RuleCosts, RuleRow, SourceCosts, TIMED_EVERY};
pub(crate) use self::snapshot::{SnapshotSetup, Snapshots, SnapshotsError};

pub(crate) use self::ledger::Account;

use self::ledger::Ledger;
use self::plugins::PluginMetrics;

type Labels = Vec<(String, String)>;

/// Milliseconds where all keeps up, and hours where an outage was caught up with.
const LAG_BUCKETS_S: [f64; 13] =
    [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0];

/// Every counter of the agent. One value, passed to whoever counts.
///
/// Names are stock's where stock has the metric (agent.md 6.4), else ours with the same prefix.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    plugins: Arc<PluginMetrics>,
    ledger: Arc<Ledger>,
    lag: Family<Labels, Histogram, fn() -> Histogram>,
    events: Family<Labels, Counter>,
    source_failures: Family<Labels, Counter>,
    async_lost: Family<Labels, Counter>,
    protocol_errors: Family<Labels, Counter>,
    source_reopenings: Family<Labels, Counter>,
    matches: Family<Labels, Counter>,
    delivered: Family<Labels, Counter>,
    failures: Family<Labels, Counter>,
    lost: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    dropped: Family<Labels, Counter>,
    damaged_spool_files: Family<Labels, Counter>,
    spool_alerts: Family<Labels, Gauge>,
    spool_bytes: Family<Labels, Gauge>,
    /// Alerts dropped by all outputs.
    all_dropped: Counter,
    /// What rules cost.
    pub(crate) rule_costs: Arc<RuleCosts>,
    /// Reloads that took effect.
    pub(crate) reloads: Counter,
    /// Reloads that were refused, so that all stayed as it was.
    pub(crate) reload_failures: Counter,
    /// When the rules and the configuration in force were loaded, in nanoseconds since the Unix epoch.
    pub(crate) reload_timestamp_ns: Gauge<u64, AtomicU64>,
}

/// What is counted for each event source.
#[derive(Clone, Debug)]
pub(crate) struct SourceCounters {
    /// Events evaluated.
    pub(crate) events: Counter,
    /// Seconds from an event to the delivery of its alert.
    pub(crate) lag: Histogram,
    /// Events that plugins wanted to add and that were lost.
    pub(crate) async_lost: Counter,
    /// Failures of the source, while it ran or when it was opened.
    pub(crate) failures: Counter,
    /// Times that it was opened again after a failure.
    pub(crate) reopenings: Counter,
}

/// What is counted for each output.
#[derive(Clone, Debug)]
pub(crate) struct OutputCounters {
    /// Alerts written.
    pub(crate) delivered: Counter,
    /// Writes that failed and were tried again.
    pub(crate) failures: Counter,
    /// Alerts given up at the end of the grace period.
    pub(crate) lost: Counter,
    /// Alerts that the receiver refused for good.
    pub(crate) refused: Counter,
    /// Alerts dropped because the spool was full, and the configuration wants that.
    pub(crate) dropped: Counter,
    all_dropped: Counter,
    /// Files of the spool that were set aside.
    pub(crate) damaged_spool_files: Counter,
    spool_alerts: Gauge,
    spool_bytes: Gauge,
}

impl OutputCounters {
    pub(crate) fn count_dropped(&self, alerts: u64) {
        self.dropped.inc_by(alerts);
        self.all_dropped.inc_by(alerts);
    }

    /// What waits in the spool now.
    pub(crate) fn show_spool(&self, alerts: u64, bytes: u64) {
        self.spool_alerts.set(alerts.cast_signed());
        self.spool_bytes.set(bytes.cast_signed());
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut all = Registry::with_prefix("falcosecurity");
        let plugins = Arc::<PluginMetrics>::default();
        let for_plugins = all.sub_registry_with_prefix("plugins");
        for_plugins.register_collector(Box::new(Arc::clone(&plugins)));
        let registry = all.sub_registry_with_prefix("falco");
        let rule_costs = Arc::<RuleCosts>::default();
        registry.register_collector(Box::new(Arc::clone(&rule_costs)));
        let version = Labels::from([("version".into(), env!("CARGO_PKG_VERSION").into())]);
        let info = Family::<Labels, Gauge>::default();
        info.get_or_create(&version).set(1);
        registry.register("version_info", "Version of the agent", info);
        let ledger = Arc::<Ledger>::default();
        registry.register_collector(Box::new(Arc::clone(&ledger)));
        let metrics = Metrics {
            ledger,
            lag: Family::new_with_constructor(|| Histogram::new(LAG_BUCKETS_S)),
            events: Family::default(),
            source_failures: Family::default(),
            async_lost: Family::default(),
            protocol_errors: Family::default(),
            source_reopenings: Family::default(),
            matches: Family::default(),
            delivered: Family::default(),
            failures: Family::default(),
            lost: Family::default(),
            refused: Family::default(),
            dropped: Family::default(),
            damaged_spool_files: Family::default(),
            spool_alerts: Family::default(),
            spool_bytes: Family::default(),
            all_dropped: Counter::default(),
            rule_costs,
            reloads: Counter::default(),
            reload_failures: Counter::default(),
            reload_timestamp_ns: Gauge::default(),
            plugins,
            registry: Registry::default(),
        };
        let counters = [
            ("events", "Events evaluated", &metrics.events),
            ("source_failures", "Failures of an event source", &metrics.source_failures),
            (
                "async_events_lost",
                "Events of plugins that found no room or lie too far in the future",
                &metrics.async_lost,
            ),
            (
                "plugin_protocol_errors",
                "What a plugin did wrong and the agent corrected or refused",
                &metrics.protocol_errors,
            ),
            (
                "source_reopenings",
                "Times that an event source was opened again after a failure",
                &metrics.source_reopenings,
            ),
            ("rules_matches", "Matches of a rule", &metrics.matches),
            ("output_alerts", "Alerts written by an output", &metrics.delivered),
            ("output_failures", "Failed writes of an output, tried again", &metrics.failures),
            ("output_lost_alerts", "Alerts that an output gave up at the end", &metrics.lost),
            ("output_refused_alerts", "Alerts that a receiver refused for good", &metrics.refused),
            ("output_dropped_alerts", "Alerts dropped because a spool was full", &metrics.dropped),
            (
                "output_damaged_spool_files",
                "Damaged files of a spool, set aside",
                &metrics.damaged_spool_files,
            ),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
        registry.register(
            "alert_lag_seconds",
            "From the time of an event to the delivery of its alert",
            metrics.lag.clone(),
        );
        for (name, help, gauge) in [
            ("output_spool_alerts", "Alerts that wait in a spool", &metrics.spool_alerts),
            ("output_spool_bytes", "Room that they take", &metrics.spool_bytes),
        ] {
            registry.register(name, help, gauge.clone());
        }
        registry.register("reloads", "Reloads that took effect", metrics.reloads.clone());
        registry.register(
            "reload_failures",
            "Reloads that were refused",
            metrics.reload_failures.clone(),
        );
        registry.register(
            "outputs_queue_num_drops",
            "Alerts dropped by all outputs, which only happens where outputs_spool.when_full asks for it",
            metrics.all_dropped.clone(),
        );
        let time = "When the rules in force were loaded";
        registry.register(
            "reload_timestamp_nanoseconds",
            time,
            metrics.reload_timestamp_ns.clone(),
        );
        Metrics { registry: all, ..metrics }
    }

    /// Tells `facts` too from now on.
    pub(crate) fn with_facts(mut self, facts: Arc<Facts>) -> Self {
        self.registry.register_collector(Box::new(facts));
        self
    }

    pub(crate) fn source(&self, name: &str) -> SourceCounters {
        let labels = Labels::from([("source".into(), name.into())]);
        SourceCounters {
            events: self.events.get_or_create_owned(&labels),
            lag: self.lag.get_or_create_owned(&labels),
            failures: self.source_failures.get_or_create_owned(&labels),
            async_lost: self.async_lost.get_or_create_owned(&labels),
            reopenings: self.source_reopenings.get_or_create_owned(&labels),
        }
    }

    pub(crate) fn output(&self, name: &str) -> OutputCounters {
        let labels = Labels::from([("output".into(), name.into())]);
        OutputCounters {
            delivered: self.delivered.get_or_create_owned(&labels),
            failures: self.failures.get_or_create_owned(&labels),
            lost: self.lost.get_or_create_owned(&labels),
            refused: self.refused.get_or_create_owned(&labels),
            dropped: self.dropped.get_or_create_owned(&labels),
            all_dropped: self.all_dropped.clone(),
            damaged_spool_files: self.damaged_spool_files.get_or_create_owned(&labels),
            spool_alerts: self.spool_alerts.get_or_create_owned(&labels),
            spool_bytes: self.spool_bytes.get_or_create_owned(&labels),
        }
    }

    /// Counts a match. Labels: number of the priority, name, source, and one label a tag.
    pub(crate) fn rule_matched(&self, rule: &RuleInfo) {
        let mut labels = Labels::from([
            ("priority".into(), (rule.priority as u8).to_string()),
            ("rule_name".into(), rule.name.clone()),
            ("source".into(), rule.source.clone()),
        ]);
        labels.extend(rule.tags.iter().map(|tag| {
            (format!("tag_{}", sanitized(tag, |c| c.is_ascii_alphanumeric())), "true".into())
        }));
        // Two tags may become one name, and no label may stand twice.
        labels.sort();
        labels.dedup_by(|a, b| a.0 == b.0);
        self.matches.get_or_create(&labels).inc();
    }

    /// Counts events of one batch as evaluated.
    pub(crate) fn evaluated(&self, event_source: &str, events: u64) {
        self.ledger.evaluated(event_source, events);
    }

    /// Keeps what the plugin that feeds `event_source` tells of what it received; after the last time, `is_closed`.
    pub(crate) fn keep_account(&self, event_source: &str, metrics: &[Metric], is_closed: bool) {
        self.ledger.told(event_source, metrics);
        if is_closed {
            self.ledger.closed(event_source);
        }
    }

    /// What became of what was received, by event source.
    pub(crate) fn accounts(&self) -> BTreeMap<String, Account> {
        self.ledger.accounts()
    }

    /// Keeps what `plugin` tells of itself in its state for `event_source`.
    pub(crate) fn store_plugin(&self, plugin: &str, event_source: &str, metrics: Vec<Metric>) {
        self.plugins.store(plugin, event_source, metrics);
    }

    /// Counts what the agent corrected or refused of what `plugin` did in its state for `event_source`.
    pub(crate) fn protocol_errors(&self, plugin: &str, event_source: &str) -> Counter {
        let labels = Labels::from([
            ("plugin".into(), plugin.into()),
            ("source".into(), event_source.into()),
        ]);
        self.protocol_errors.get_or_create_owned(&labels)
    }

    /// What the plugins of `event_source` told last: plugin and metric joined by a dot, and the value.
    fn plugin_values(&self, event_source: &str) -> Vec<(String, MetricValue)> {
        self.plugins.of_source(event_source)
    }

    /// All metrics in the text format.
    pub(crate) fn encode(&self, format: Format) -> String {
        let mut text = String::new();
        let result = match format {
            Format::Prometheus => prometheus_text::encode(&mut text, &self.registry),
            Format::OpenMetrics => text::encode(&mut text, &self.registry),
        };
        result.expect("writing to a string");
        text
    }
}

/// The form in which metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus text, version 0.0.4.
    Prometheus,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What a client that sends this `Accept` header gets: OpenMetrics if it asks for it.
    pub(crate) fn accepted(accept: &str) -> Format {
        let mut types = accept.split(',').map(|range| range.split(';').next().unwrap_or_default());
        match types.any(|name| name.trim().eq_ignore_ascii_case("application/openmetrics-text")) {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The name of a rule or a file as part of a metric's name.
fn metric_name(text: &str) -> String {
    let name = sanitized(text, |c| c.is_ascii_alphanumeric() || c == ':');
    name.strip_suffix('_').map(str::to_owned).unwrap_or(name)
}

/// Everything that is not kept becomes `_`, runs of it one.
fn sanitized(text: &str, is_kept: impl Fn(char) -> bool) -> String {
    let mut name = String::new();
    for c in text.chars() {
        let c = if is_kept(c) { c } else { '_' };
        if c != '_' || !name.ends_with('_') {
            name.push(c);
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use rules_engine::Priority;

    use super::*;

    #[test]
    fn metrics_carry_stocks_names_and_labels() {
        let metrics = Metrics::new();
        metrics.source("k8s_audit").events.inc_by(3);
        metrics.rule_matched(&RuleInfo {
            name: "A \"rule\"".into(),
            priority: Priority::Warning,
            source: "k8s_audit".into(),
            tags: ["T1552.007", "k8s", "k8s.x", "k8s0", "k8s_x"].map(String::from).into(),
            position: 0,
        });
        let text = metrics.encode(Format::Prometheus);
        for line in [
            r#"falcosecurity_falco_events_total{source="k8s_audit"} 3"#,
            r#"falcosecurity_falco_rules_matches_total{priority="4",rule_name="A \"rule\"",source="k8s_audit",tag_T1552_007="true",tag_k8s="true",tag_k8s0="true",tag_k8s_x="true"} 1"#,
            r#"falcosecurity_falco_version_info{version="0.1.0"} 1"#,
            "falcosecurity_falco_reloads_total 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
    }
}
