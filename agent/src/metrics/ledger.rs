//! What became of everything that event sources received.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use plugin_host::{Metric, MetricValue};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::Labels;

/// An account for each event source: received = evaluated + rejected + duplicates, whenever nothing is under way.
///
/// The agent counts what it evaluates. The rest a plugin tells by metrics with the names `received`, `duplicates` and
/// `rejected_REASON`; of one that does not, what was received is what was evaluated.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<BTreeMap<String, Account>>);

/// The account of one event source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    evaluated: u64,
    /// By the plugin states that are closed.
    past: Told,
    /// By the one that is open.
    current: Told,
}

/// What a plugin state told last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    received: Option<u64>,
    duplicates: u64,
    rejected: BTreeMap<String, u64>,
}

impl Told {
    fn read(metrics: &[Metric]) -> Told {
        let mut told = Told::default();
        for Metric { name, value, .. } in metrics {
            let MetricValue::Unsigned(value) = *value else { continue };
            match name.as_str() {
                "received" => told.received = Some(value),
                "duplicates" => told.duplicates = value,
                _ => {
                    if let Some(reason) = name.strip_prefix("rejected_") {
                        told.rejected.insert(reason.to_owned(), value);
                    }
                }
            }
        }
        told
    }

    fn add(&mut self, other: &Told) {
        if let Some(received) = other.received {
            *self.received.get_or_insert(0) += received;
        }
        self.duplicates += other.duplicates;
        for (reason, count) in &other.rejected {
            *self.rejected.entry(reason.clone()).or_insert(0) += count;
        }
    }
}

impl Account {
    fn told(&self) -> Told {
        let mut told = self.past.clone();
        told.add(&self.current);
        told
    }
}

/// The account in a line of the log.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Told { received, duplicates, rejected } = self.told();
        let sum: u64 = rejected.values().sum();
        let known = self.evaluated + sum + duplicates;
        write!(f, "{} received = {} evaluated", received.unwrap_or(known), self.evaluated)?;
        write!(f, " + {sum} rejected")?;
        let mut reasons = String::new();
        for (reason, count) in rejected.iter().filter(|(_, count)| **count > 0) {
            let comma = if reasons.is_empty() { "" } else { ", " };
            write!(reasons, "{comma}{reason} {count}")?;
        }
        if !reasons.is_empty() {
            write!(f, " ({reasons})")?;
        }
        write!(f, " + {duplicates} duplicates")?;
        match received {
            Some(received) if received > known => {
                write!(f, " + {} not processed", received - known)
            }
            _ => Ok(()),
        }
    }
}

impl Ledger {
    pub(super) fn evaluated(&self, event_source: &str, events: u64) {
        self.change(event_source, |account| account.evaluated += events);
    }

    /// What the plugin state that is open for `event_source` tells now.
    pub(super) fn told(&self, event_source: &str, metrics: &[Metric]) {
        let told = Told::read(metrics);
        self.change(event_source, |account| account.current = told);
    }

    /// The plugin state is closed: the next one counts from zero.
    pub(super) fn closed(&self, event_source: &str) {
        self.change(event_source, |account| {
            let last = std::mem::take(&mut account.current);
            account.past.add(&last);
        });
    }

    pub(super) fn accounts(&self) -> BTreeMap<String, Account> {
        self.lock().clone()
    }

    fn change(&self, event_source: &str, change: impl FnOnce(&mut Account)) {
        let mut accounts = self.lock();
        match accounts.get_mut(event_source) {
            Some(account) => change(account),
            None => change(accounts.entry(event_source.to_owned()).or_default()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        // Whoever panicked left whole numbers behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Ledger {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        type Samples = Vec<(Labels, u64)>;
        let (mut received, mut evaluated, mut rejected, mut duplicates) =
            (Samples::new(), Samples::new(), Samples::new(), Samples::new());
        for (event_source, account) in self.accounts() {
            let labels = Labels::from([("source".into(), event_source)]);
            let told = account.told();
            let known = account.evaluated + told.duplicates + told.rejected.values().sum::<u64>();
            received.push((labels.clone(), told.received.unwrap_or(known)));
            for (reason, count) in told.rejected {
                let mut labels = labels.clone();
                labels.push(("reason".into(), reason));
                rejected.push((labels, count));
            }
            evaluated.push((labels.clone(), account.evaluated));
            duplicates.push((labels, told.duplicates));
        }
        for (name, help, samples) in [
            ("source_received", "Events that arrived, and what arrived in their place", received),
            ("source_evaluated", "Of what was received: events evaluated", evaluated),
            ("source_rejected", "Of what was received: not taken, by reason", rejected),
            ("source_duplicates", "Of what was received: came before", duplicates),
        ] {
            if samples.is_empty() {
                continue;
            }
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (labels, value) in samples {
                ConstCounter::new(value).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(ledger: &Ledger, counts: &[(&str, u64)]) {
        let metric = |(name, value): &(&str, u64)| Metric {
            name: (*name).to_owned(),
            is_monotonic: true,
            value: MetricValue::Unsigned(*value),
        };
        ledger.told("s", &counts.iter().map(metric).collect::<Vec<_>>());
    }

    #[track_caller]
    fn check(ledger: &Ledger, expected: &str) {
        assert_eq!(ledger.accounts()["s"].to_string(), expected);
    }

    #[test]
    fn an_account_goes_on_when_the_source_is_opened_again() {
        let ledger = Ledger::default();
        ledger.evaluated("s", 3);
        check(&ledger, "3 received = 3 evaluated + 0 rejected + 0 duplicates");
        told(&ledger, &[("received", 8), ("duplicates", 1), ("rejected_a", 2), ("rejected_b", 1)]);
        let expected =
            "8 received = 3 evaluated + 3 rejected (a 2, b 1) + 1 duplicates + 1 not processed";
        check(&ledger, expected);
        ledger.closed("s");
        check(&ledger, expected);
        ledger.evaluated("s", 2);
        told(&ledger, &[("received", 2), ("rejected_a", 1)]);
        let expected = "10 received = 5 evaluated + 4 rejected (a 3, b 1) + 1 duplicates";
        check(&ledger, expected);
    }
}
