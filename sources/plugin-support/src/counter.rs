//! Counts of what happens often, with a log line now and then.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time between two log lines about things of one kind: whoever sends garbage must not fill the log.
const PAUSE: Duration = Duration::from_secs(10);

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter {
    count: AtomicU64,
    last_report: Mutex<Option<Instant>>,
}

impl Counter {
    /// Counts several more.
    pub fn add(&self, count: u64) {
        // Nothing else is published with it, so no ordering is needed.
        self.count.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts one more and logs why; of many that come soon after each other, only the first.
    pub fn report(&self, why: impl FnOnce() -> String) {
        self.report_many(1, why);
    }

    /// As [`report`](Self::report), for several at once.
    pub fn report_many(&self, count: u64, why: impl FnOnce() -> String) {
        self.add(count);
        if self.is_report_due(Instant::now()) {
            match self.value() {
                1 => log::warn!("{}", why()),
                count => log::warn!("{} ({count} such so far)", why()),
            }
        }
    }

    /// The number so far.
    pub fn value(&self) -> u64 {
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
