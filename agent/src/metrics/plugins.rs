//! What plugins count themselves, as they last told it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_host::{Metric, MetricValue};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::{Labels, sanitized};

/// The numbers that every plugin state told last, by plugin and metric joined by a dot, then by event source.
///
/// Source threads bring them about once a second, because only they may call their plugins; a scrape or a snapshot takes what is there.
#[derive(Debug, Default)]
pub(super) struct PluginMetrics(Mutex<BTreeMap<String, Series>>);

/// One metric of a plugin, which has a state of its own for each event source.
#[derive(Debug, Default)]
struct Series {
    is_monotonic: bool,
    values: BTreeMap<String, MetricValue>,
}

impl PluginMetrics {
    /// Replaces what the state that `plugin` has for `event_source` told before.
    pub(super) fn store(&self, plugin: &str, event_source: &str, metrics: Vec<Metric>) {
        let mut all = self.lock();
        for Metric { name, is_monotonic, value } in metrics {
            let series = all.entry(format!("{plugin}.{name}")).or_default();
            series.is_monotonic = is_monotonic;
            series.values.insert(event_source.to_owned(), value);
        }
    }

    /// The names and values of the states for one event source.
    pub(super) fn of_source(&self, event_source: &str) -> Vec<(String, MetricValue)> {
        let value = |(name, series): (&String, &Series)| {
            series.values.get(event_source).map(|value| (name.clone(), *value))
        };
        self.lock().iter().filter_map(value).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Series>> {
        // Whoever panicked left whole numbers behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds what one more state of a plugin tells to what others told. A number that may fall is a sum too: what all of them hold.
pub(crate) fn add_metrics(sums: &mut Vec<Metric>, told: Vec<Metric>) {
    for metric in told {
        match sums.iter_mut().find(|sum| sum.name == metric.name) {
            Some(sum) => sum.value = plus(sum.value, metric.value),
            None => sums.push(metric),
        }
    }
}

/// The newer one, if a plugin cannot decide on a type.
fn plus(one: MetricValue, other: MetricValue) -> MetricValue {
    use MetricValue::{Float, Signed, Unsigned};
    match (one, other) {
        (Unsigned(one), Unsigned(other)) => Unsigned(one.saturating_add(other)),
        (Signed(one), Signed(other)) => Signed(one.saturating_add(other)),
        (Float(one), Float(other)) => Float(one + other),
        _ => other,
    }
}

impl Collector for PluginMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.lock().iter().try_for_each(|(name, series)| series.encode(name, &mut encoder))
    }
}

impl Series {
    fn encode(&self, name: &str, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        const HELP: &str = "Told by the plugin";
        // The encoder ends counters with `_total`; stock ends gauges with it too.
        let (name, kind) = match self.is_monotonic {
            true => (exported_name(name), MetricType::Counter),
            false => (exported_name(name) + "_total", MetricType::Gauge),
        };
        let mut family = encoder.encode_descriptor(&name, HELP, None, kind)?;
        for (event_source, value) in &self.values {
            let labels = Labels::from([("source".into(), event_source.clone())]);
            let encoder = family.encode_family(&labels)?;
            match (self.is_monotonic, *value) {
                (true, MetricValue::Unsigned(value)) => ConstCounter::new(value).encode(encoder),
                // A counter has no negative values, whatever the plugin says.
                (true, MetricValue::Signed(value)) => {
                    ConstCounter::new(value.max(0).cast_unsigned()).encode(encoder)
                }
                (true, MetricValue::Float(value)) => ConstCounter::new(value).encode(encoder),
                (false, MetricValue::Unsigned(value)) => ConstGauge::new(value).encode(encoder),
                (false, MetricValue::Signed(value)) => ConstGauge::new(value).encode(encoder),
                (false, MetricValue::Float(value)) => ConstGauge::new(value).encode(encoder),
            }?;
        }
        Ok(())
    }
}

/// The name under `falcosecurity_plugins_` and without the ending `_total`.
///
/// As in stock, what looks like a unit is cut out wherever it stands.
fn exported_name(name: &str) -> String {
    /// The first that fits is taken, so that `_percentage` leaves `entage`, as in stock.
    const UNITS: [&str; 10] =
        ["_kb", "_bytes", "_mb", "_perc", "_percentage", "_ratio", "_ns", "_ts", "_sec", "_total"];
    let (mut rest, mut kept) = (name, String::new());
    while let Some(first) = rest.chars().next() {
        match UNITS.iter().find_map(|unit| rest.strip_prefix(unit)) {
            Some(after) => rest = after,
            None => {
                kept.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    sanitized(&kept, |c| c.is_ascii_alphanumeric() || c == ':')
}

#[cfg(test)]
mod tests {
    use crate::metrics::{Format, Metrics};

    use super::*;

    #[test]
    fn names_lose_units_and_odd_characters() {
        let check = |metric: &str, expected: &str| {
            assert_eq!(exported_name(&format!("k8s-audit.{metric}")), expected, "{metric}");
        };
        check("events", "k8s_audit_events");
        check("events_total", "k8s_audit_events");
        check("read_bytes_per_sec", "k8s_audit_read_per");
        check("cpu_percentage", "k8s_audit_cpuentage");
        check("a:b.c--d  é", "k8s_audit_a:b_c_d_");
    }

    #[test]
    fn metrics_of_one_plugin_are_told_apart_by_event_source() {
        let metrics = Metrics::new();
        let metric = |name: &str, is_monotonic, value| {
            vec![Metric { name: name.to_owned(), is_monotonic, value }]
        };
        let store = |source: &str, metric| metrics.store_plugin("p", source, metric);
        store("a", metric("events", true, MetricValue::Unsigned(1)));
        store("a", metric("events", true, MetricValue::Unsigned(2)));
        store("b", metric("events", true, MetricValue::Signed(-1)));
        store("a", metric("waiting", false, MetricValue::Signed(-1)));
        store("b", metric("load", false, MetricValue::Float(0.5)));
        let text = metrics.encode(Format::OpenMetrics);
        let lines: Vec<_> = text.lines().filter(|line| line.contains("plugins")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        # HELP falcosecurity_plugins_p_events Told by the plugin
        # TYPE falcosecurity_plugins_p_events counter
        falcosecurity_plugins_p_events_total{source="a"} 2
        falcosecurity_plugins_p_events_total{source="b"} 0
        # HELP falcosecurity_plugins_p_load_total Told by the plugin
        # TYPE falcosecurity_plugins_p_load_total gauge
        falcosecurity_plugins_p_load_total{source="b"} 0.5
        # HELP falcosecurity_plugins_p_waiting_total Told by the plugin
        # TYPE falcosecurity_plugins_p_waiting_total gauge
        falcosecurity_plugins_p_waiting_total{source="a"} -1
        "#);
        assert!(text.ends_with("# EOF\n"));
        let of_b = [
            ("p.events".to_owned(), MetricValue::Signed(-1)),
            ("p.load".to_owned(), MetricValue::Float(0.5)),
        ];
        assert_eq!(metrics.plugin_values("b"), of_b);
    }
}
