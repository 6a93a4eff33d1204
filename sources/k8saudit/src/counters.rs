//! What became of everything that arrived.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU64, Ordering};

use falco_plugin::base::{Metric, MetricLabel, MetricType, MetricValue};
use plugin_support::counter::Counter;

/// Counts since the start of the plugin state, shared by all threads of its source.
///
/// A ledger is kept of what was received: `received` = `events` + `duplicates` + what is rejected, once nothing waits. What is
/// no event, such as a line that is not JSON, counts as one.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) received: Counter,
    /// Events that the host got.
    pub(crate) events: Counter,
    /// Events that the webhook got before, within `duplicateWindow`.
    pub(crate) duplicates: Counter,
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
    /// Events that the host did not get before it closed the source; their senders know.
    pub(crate) events_unprocessed: Counter,
    /// Requests over `webhookMaxBatchSize`.
    pub(crate) requests_too_large: Counter,
    /// Requests that found no room: the sender keeps them and tries again.
    pub(crate) requests_postponed: Counter,
    /// Requests without a valid bearer token.
    pub(crate) requests_unauthorized: Counter,
    /// Connections that failed before their first request: TLS, client certificates, too many at once.
    pub(crate) connections_refused: Counter,
    /// Bytes of what was announced, received or handed out, and not processed yet; a gauge.
    pub(crate) queued_bytes: AtomicU64,
}

impl Counters {
    /// Counts what is not taken, and logs why now and then.
    pub(crate) fn reject(&self, reason: &Counter, why: impl FnOnce() -> String) {
        self.received.add(1);
        reason.report(why);
    }

    /// The counts as the host asks for them. The agent finds the ledger by the names `received`, `duplicates` and `rejected_…`.
    pub(crate) fn metrics(&self) -> [Metric; 14] {
        let metric = |name: &'static CStr, counter: &Counter| {
            MetricLabel::new(name, MetricType::Monotonic)
                .with_value(MetricValue::U64(counter.value()))
        };
        let queued_bytes = self.queued_bytes.load(Ordering::Relaxed);
        [
            metric(c"received", &self.received),
            metric(c"events", &self.events),
            metric(c"duplicates", &self.duplicates),
            metric(c"rejected_without_time", &self.events_without_time),
            metric(c"rejected_too_large", &self.events_too_large),
            metric(c"rejected_not_recognized", &self.texts_not_recognized),
            metric(c"rejected_not_json", &self.texts_not_json),
            metric(c"rejected_line_too_long", &self.lines_too_long),
            metric(c"rejected_unprocessed", &self.events_unprocessed),
            metric(c"requests_too_large", &self.requests_too_large),
            metric(c"requests_postponed", &self.requests_postponed),
            metric(c"requests_unauthorized", &self.requests_unauthorized),
            metric(c"connections_refused", &self.connections_refused),
            MetricLabel::new(c"queued_bytes", MetricType::NonMonotonic)
                .with_value(MetricValue::U64(queued_bytes)),
        ]
    }
}
