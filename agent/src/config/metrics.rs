//! Which numbers the agent tells about itself, where and how often.

use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;

/// The settings of the metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MetricsConfig {
    pub(crate) enabled: bool,
    /// Time between two snapshots.
    pub(crate) interval: Duration,
    /// The same as it was written.
    pub(crate) interval_text: String,
    /// Whether a snapshot is sent as an alert.
    pub(crate) output_rule: bool,
    /// A file that snapshots are appended to.
    pub(crate) output_file: Option<PathBuf>,
    pub(crate) rules_counters: bool,
    pub(crate) resource_utilization: bool,
    /// Whether plugins are asked for metrics of their own.
    pub(crate) plugins_metrics: bool,
    pub(crate) convert_memory_to_mb: bool,
    pub(crate) include_empty_values: bool,
}

const MIN_INTERVAL: Duration = Duration::from_millis(100);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(3600);

impl MetricsConfig {
    /// Whether plugins are asked for numbers of their own.
    pub(crate) fn asks_plugins(&self) -> bool {
        self.enabled && self.plugins_metrics
    }

    /// `is_scraped` says whether the webserver serves metrics.
    pub(super) fn read(root: &mut Section<'_, '_>, is_scraped: bool) -> MetricsConfig {
        root.section("metrics", |section| {
            let enabled = section.flag("enabled", false);
            // As in stock, a wrong interval does no harm while metrics are off.
            let interval =
                section.parsed("interval", DEFAULT_INTERVAL, |text| {
                    match parse_interval(text).filter(|interval| *interval >= MIN_INTERVAL) {
                        Some(interval) => Ok(interval),
                        None if !enabled => Ok(DEFAULT_INTERVAL),
                        None => {
                            Err("Metrics interval must have a minimum value of 100ms and reflect \
                                 a Prometheus compliant time duration format: \
                                 https://prometheus.io/docs/prometheus/latest/querying/basics/\
                                 #time-durations. "
                                .to_string())
                        }
                    }
                });
            let interval_text = section.text("interval", "1h");
            for key in [
                "state_counters_enabled",
                "kernel_event_counters_enabled",
                "kernel_event_counters_per_cpu_enabled",
                "libbpf_stats_enabled",
                "kernel_iter_event_counters_enabled",
                "jemalloc_stats_enabled",
            ] {
                // Counters of the kernel driver and of an allocator that this build lacks.
                section.flag(key, false);
            }
            let output_file = section.text("output_file", "");
            let config = MetricsConfig {
                enabled,
                interval,
                interval_text,
                output_rule: section.flag("output_rule", false),
                output_file: (!output_file.is_empty()).then(|| output_file.into()),
                rules_counters: section.flag("rules_counters_enabled", true),
                resource_utilization: section.flag("resource_utilization_enabled", true),
                plugins_metrics: section.flag("plugins_metrics_enabled", true),
                convert_memory_to_mb: section.flag("convert_memory_to_mb", true),
                include_empty_values: section.flag("include_empty_values", false),
            };
            if enabled && !config.output_rule && config.output_file.is_none() && !is_scraped {
                section.problem(
                    "enabled",
                    "Metrics are enabled with no output configured. Please enable at least one \
                     output channel ('metrics.output_rule', 'metrics.output_file' or \
                     'webserver.prometheus_metrics_enabled')",
                );
            }
            config
        })
    }
}

/// Reads a duration as Prometheus writes it: `1h30m`, units from large to small, each at most once.
pub(super) fn parse_interval(text: &str) -> Option<Duration> {
    const DAY: u64 = 24 * 3600 * 1000;
    const UNITS: [(&str, u64); 7] = [
        ("y", 365 * DAY),
        ("w", 7 * DAY),
        ("d", DAY),
        ("h", 3600 * 1000),
        ("m", 60 * 1000),
        ("s", 1000),
        ("ms", 1),
    ];
    let text: String = text.split_whitespace().collect();
    let mut rest = text.as_str();
    let mut units = UNITS.iter();
    let mut total_ms = 0u64;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        // Going on where the last unit was found demands their order.
        let (_, unit_ms) = units.find(|(name, _)| *name == unit)?;
        total_ms = total_ms.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit_ms)?)?;
        rest = after;
    }
    Some(Duration::from_millis(total_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected_ms: Option<u64>) {
        assert_eq!(parse_interval(text), expected_ms.map(Duration::from_millis));
    }

    #[test]
    fn intervals_list_units_from_large_to_small() {
        check("1h", Some(3_600_000));
        check("1h30m", Some(5_400_000));
        check(" 1 h 30 m ", Some(5_400_000));
        check("2s", Some(2000));
        check("1m500ms", Some(60_500));
        check("1y1w", Some(372 * 24 * 3_600_000));
        check("50ms", Some(50));
        check("30m1h", None);
        check("1h1h", None);
        check("5000", None);
        check("1x", None);
        check("h", None);
        check("99999999999999999999y", None);
    }
}
