//! How often each rule matched, and the summary at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use rules_engine::{Detection, Priority};

/// Counts of detections over all sources.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    /// By position in the rules files, name and priority: a reload may change what stands at a position.
    rules: Mutex<Counts>,
}

type Counts = BTreeMap<(usize, String, Priority), u64>;

impl Statistics {
    /// Counts the detections of one batch.
    pub(crate) fn record(&self, detections: &[Detection]) {
        if detections.is_empty() {
            return;
        }
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        for Detection { rule, .. } in detections {
            *rules.entry((rule.position, rule.name.clone(), rule.priority)).or_default() += 1;
        }
    }

    /// How often each rule matched, in load order.
    pub(crate) fn matches(&self) -> Vec<(String, u64)> {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        by_name(&rules).map(|(name, count)| (name.to_owned(), count)).collect()
    }

    /// The closing summary as stock prints it on standard output.
    ///
    /// Source: `stats_manager::print_stats` in Falco 0.45-dev.
    pub(crate) fn summary(&self) -> String {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |wanted: Priority| -> u64 {
            rules
                .iter()
                .filter(|((_, _, priority), _)| *priority == wanted)
                .map(|(_, count)| count)
                .sum()
        };
        let total: u64 = rules.values().sum();
        let mut text = format!("Events detected: {total}\nRule counts by severity:\n");
        for priority in Priority::ALL.into_iter().filter(|priority| count(*priority) > 0) {
            let name = match priority {
                Priority::Informational => "INFO".to_owned(),
                other => other.name().to_uppercase(),
            };
            writeln!(text, "   {name}: {}", count(priority)).expect("writing to a string");
        }
        text.push_str("Triggered rules by rule name:\n");
        for (name, count) in by_name(&rules) {
            writeln!(text, "   {name}: {count}").expect("writing to a string");
        }
        text
    }
}

/// A rule is one whatever priority it had.
fn by_name(rules: &Counts) -> impl Iterator<Item = (&str, u64)> {
    let mut by_name = BTreeMap::new();
    for ((position, name, _), count) in rules {
        *by_name.entry((*position, name.as_str())).or_insert(0) += count;
    }
    by_name.into_iter().map(|((_, name), count)| (name, count))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rules_engine::RuleInfo;

    use super::*;

    fn detection(position: usize, name: &str, priority: Priority) -> Detection {
        let (source, tags) = ("s".into(), Arc::default());
        let rule = RuleInfo { name: name.into(), priority, source, tags, position };
        Detection {
            rule: Arc::new(rule),
            timestamp_ns: 0,
            message: String::new(),
            fields: Vec::new(),
        }
    }

    #[test]
    fn summary_lists_severities_by_rank_and_rules_in_load_order() {
        let statistics = Statistics::default();
        statistics.record(&[
            detection(1, "Other rule", Priority::Informational),
            detection(0, "Some rule", Priority::Warning),
            detection(0, "Some rule", Priority::Warning),
            // A reload has changed it.
            detection(0, "Some rule", Priority::Error),
        ]);
        assert_eq!(
            statistics.summary(),
            "Events detected: 4\nRule counts by severity:\n   ERROR: 1\n   WARNING: 2\n   INFO: 1\n\
             Triggered rules by rule name:\n   Some rule: 3\n   Other rule: 1\n"
        );
    }

    #[test]
    fn summary_of_nothing_has_its_headings() {
        let expected =
            "Events detected: 0\nRule counts by severity:\nTriggered rules by rule name:\n";
        assert_eq!(Statistics::default().summary(), expected);
    }
}
