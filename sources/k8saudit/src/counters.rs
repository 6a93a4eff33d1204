//! What became of everything that arrived.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};

use falco_plugin::base::{Metric, MetricLabel, MetricType, MetricValue};

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
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        // Nothing else is published with it, so no ordering is needed.
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    /// The counts as the host asks for them.
    pub(crate) fn metrics(&self) -> [Metric; 8] {
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
        ]
    }
}
