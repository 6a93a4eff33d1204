//! What became of everything that arrived.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use falco_plugin::base::{Metric, MetricLabel, MetricType, MetricValue};

/// The time between two log lines about things of one kind: whoever sends garbage must not fill the log.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts since the start of the plugin state, shared by all threads of its source.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Events that the host got.
    pub(crate) events: Counter,
    /// Events without a valid `stageTimestamp`.
    pub(crate) events_without_time: Counter,
    /// Events over `maxEventSize`.
    pub(crate) events_too_large: Counter,
    /// JSON texts that are no audit events.
    pub(crate) texts_not_recognized: Counter,
    /// Lines and request bodies that are not JSON.
    pub(crate) texts_not_json: Counter,
    /// Lines over the limit.
    pub(crate) lines_too_long: Counter,
    /// Requests over `webhookMaxBatchSize`.
    pub(crate) requests_too_large: Counter,
    /// Requests that found no room: the sender keeps them and tries again.
    pub(crate) requests_postponed: Counter,
    /// Requests without a valid bearer token.
    pub(crate) requests_unauthorized: Counter,
    /// Connections that failed before their first request: TLS, client certificates, too many at once.
    pub(crate) connections_refused: Counter,
    /// Events that the webhook got before, within `duplicateWindow`.
    pub(crate) duplicates: Counter,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    count: AtomicU64,
    last_report: Mutex<Option<Instant>>,
}

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        // Nothing else is published with it, so no ordering is needed.
        self.count.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts one more and logs why; of many that come soon after each other, only the first.
    pub(crate) fn report(&self, why: impl FnOnce() -> String) {
        self.report_many(1, why);
    }

    /// As [`report`](Self::report), for several at once.
    pub(crate) fn report_many(&self, count: u64, why: impl FnOnce() -> String) {
        self.add(count);
        if self.is_report_due(Instant::now()) {
            match self.value() {
                1 => log::warn!("{}", why()),
                count => log::warn!("{} ({count} such so far)", why()),
            }
        }
    }

    pub(crate) fn value(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    fn is_report_due(&self, now: Instant) -> bool {
        let mut last = self.last_report.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.saturating_duration_since(last) >= PAUSE);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

impl Counters {
    /// The counts as the host asks for them.
    pub(crate) fn metrics(&self) -> [Metric; 11] {
        let metric = |name: &'static CStr, counter: &Counter| {
            MetricLabel::new(name, MetricType::Monotonic)
                .with_value(MetricValue::U64(counter.value()))
        };
        [
            metric(c"events", &self.events),
            metric(c"events_without_time", &self.events_without_time),
            metric(c"events_too_large", &self.events_too_large),
            metric(c"texts_not_recognized", &self.texts_not_recognized),
            metric(c"texts_not_json", &self.texts_not_json),
            metric(c"lines_too_long", &self.lines_too_long),
            metric(c"requests_too_large", &self.requests_too_large),
            metric(c"requests_postponed", &self.requests_postponed),
            metric(c"requests_unauthorized", &self.requests_unauthorized),
            metric(c"connections_refused", &self.connections_refused),
            metric(c"duplicates", &self.duplicates),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_a_kind_are_reported_now_and_then() {
        let counter = Counter::default();
        let start = Instant::now();
        let due: Vec<u64> = (0..=25)
            .filter(|second| counter.is_report_due(start + Duration::from_secs(*second)))
            .collect();
        assert_eq!(due, [0, 10, 20]);
    }
}
