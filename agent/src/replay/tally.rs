//! Alerts by rule: how many, when, by whom.

use std::collections::{BTreeMap, HashMap};

use rules_engine::{Detection, OutputValue, Priority};

use super::USER;
use crate::extraction::SourceProgram;

/// Alerts are counted by spans of so many nanoseconds; a report makes fewer of them.
const SPAN_NS: u64 = 1_000_000_000;

/// What was found, by rule.
#[derive(Debug)]
pub(super) struct Tally {
    /// Of all events.
    pub(super) times: Option<(u64, u64)>,
    /// By position.
    pub(super) rules: Vec<RuleTally>,
    /// What the plugin made no events of, by its reasons.
    pub(super) skipped: BTreeMap<String, u64>,
    /// With two sets of rules: how the second differs.
    pub(super) comparison: Option<Vec<Difference>>,
}

/// The alerts of one rule.
#[derive(Clone, Debug)]
pub(super) struct RuleTally {
    position: usize,
    pub(super) name: String,
    pub(super) priority: Priority,
    pub(super) count: u64,
    pub(super) first_ns: u64,
    pub(super) last_ns: u64,
    pub(super) users: HashMap<String, u64>,
    /// By number of the span since the epoch.
    pub(super) spans: HashMap<u64, u64>,
}

/// Alerts of one rule that only one of two sets of rules raises.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    pub(super) rule: String,
    /// Only the rules that are compared with raise them.
    pub(super) new: u64,
    /// Only the rules of the replay raise them.
    pub(super) gone: u64,
    /// The first of them: when it was, and its message.
    pub(super) example: (u64, String),
}

impl Tally {
    /// Nothing found yet by any rule of the first program.
    pub(super) fn new(programs: &[SourceProgram]) -> Tally {
        let rules = programs[0].program.rules().map(|rule| RuleTally {
            position: rule.position,
            name: rule.name.clone(),
            priority: rule.priority,
            count: 0,
            first_ns: u64::MAX,
            last_ns: 0,
            users: HashMap::new(),
            spans: HashMap::new(),
        });
        let mut rules: Vec<RuleTally> = rules.collect();
        rules.sort_by_key(|rule| rule.position);
        let comparison = (programs.len() > 1).then(Vec::new);
        Tally { times: None, rules, skipped: BTreeMap::new(), comparison }
    }

    pub(super) fn note_time(&mut self, time_ns: u64) {
        let (first, last) = self.times.unwrap_or((time_ns, time_ns));
        self.times = Some((first.min(time_ns), last.max(time_ns)));
    }

    pub(super) fn note_skipped(&mut self, reason: &str, count: u64) {
        *self.skipped.entry(reason.to_owned()).or_default() += count;
    }

    /// Counts the detections of one batch, by program.
    pub(super) fn note(&mut self, detections: &[Vec<Detection>]) {
        for detection in &detections[0] {
            let found = self.rules.binary_search_by_key(&detection.rule.position, |it| it.position);
            self.rules[found.expect("the program has no other rules")].note(detection);
        }
        if let ([before, after], Some(differences)) = (detections, &mut self.comparison) {
            compare(before, after, differences);
        }
    }

    /// Adds what another thread found with the same programs.
    pub(super) fn add(&mut self, other: Tally) {
        for time in other.times.into_iter().flat_map(|(first, last)| [first, last]) {
            self.note_time(time);
        }
        for (rule, other) in self.rules.iter_mut().zip(other.rules) {
            rule.count += other.count;
            rule.first_ns = rule.first_ns.min(other.first_ns);
            rule.last_ns = rule.last_ns.max(other.last_ns);
            add_counts(&mut rule.users, other.users);
            add_counts(&mut rule.spans, other.spans);
        }
        for (reason, count) in other.skipped {
            self.note_skipped(&reason, count);
        }
        for one in other.comparison.into_iter().flatten() {
            let differences = self.comparison.get_or_insert_default();
            match differences.iter_mut().find(|known| known.rule == one.rule) {
                Some(known) => known.add(one),
                None => differences.push(one),
            }
        }
    }
}

fn add_counts<K: std::hash::Hash + Eq>(all: &mut HashMap<K, u64>, part: HashMap<K, u64>) {
    for (key, count) in part {
        *all.entry(key).or_default() += count;
    }
}

impl RuleTally {
    fn note(&mut self, detection: &Detection) {
        let time_ns = detection.timestamp_ns;
        self.count += 1;
        self.first_ns = self.first_ns.min(time_ns);
        self.last_ns = self.last_ns.max(time_ns);
        *self.spans.entry(time_ns / SPAN_NS).or_default() += 1;
        let user = detection.fields.iter().find(|(name, _)| **name == *USER);
        if let Some((_, OutputValue::Text(user))) = user {
            match self.users.get_mut(user.as_str()) {
                Some(count) => *count += 1,
                None => {
                    self.users.insert(user.clone(), 1);
                }
            }
        }
    }

    /// The users with the most alerts.
    pub(super) fn top_users(&self, most: usize) -> Vec<(&str, u64)> {
        let mut users: Vec<_> = self.users.iter().map(|(user, count)| (&**user, *count)).collect();
        users.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        users.truncate(most);
        users
    }

    /// How many alerts there were in each of `parts` equal parts of the time between `first_ns` and `last_ns`.
    pub(super) fn histogram(&self, (first_ns, last_ns): (u64, u64), parts: usize) -> Vec<u64> {
        let mut histogram = vec![0; parts];
        let (first, last) = (first_ns / SPAN_NS, last_ns / SPAN_NS);
        let width = (last - first + 1) as usize;
        for (span, count) in &self.spans {
            let offset = span.saturating_sub(first) as usize;
            histogram[(offset * parts / width).min(parts - 1)] += count;
        }
        histogram
    }
}

impl Difference {
    fn add(&mut self, other: Difference) {
        self.new += other.new;
        self.gone += other.gone;
        self.example = std::mem::take(&mut self.example).min(other.example);
    }
}

fn difference<'d>(
    differences: &'d mut Vec<Difference>,
    detection: &Detection,
) -> &'d mut Difference {
    let Detection { rule, timestamp_ns, message, .. } = detection;
    let position = differences.iter().position(|one| one.rule == rule.name);
    let position = position.unwrap_or_else(|| {
        let example = (*timestamp_ns, message.clone());
        differences.push(Difference { rule: rule.name.clone(), new: 0, gone: 0, example });
        differences.len() - 1
    });
    let known = &mut differences[position];
    if (*timestamp_ns, message.as_str()) < (known.example.0, known.example.1.as_str()) {
        known.example = (*timestamp_ns, message.clone());
    }
    known
}

/// Both sets saw the same events: an alert of the same rule at the same time is the same.
fn compare(before: &[Detection], after: &[Detection], differences: &mut Vec<Difference>) {
    let mut unmatched: HashMap<(&str, u64), Vec<&Detection>> = HashMap::new();
    for detection in before {
        let key = (&*detection.rule.name, detection.timestamp_ns);
        unmatched.entry(key).or_default().push(detection);
    }
    for detection in after {
        let key = (&*detection.rule.name, detection.timestamp_ns);
        if unmatched.get_mut(&key).and_then(Vec::pop).is_none() {
            difference(differences, detection).new += 1;
        }
    }
    for detection in unmatched.into_values().flatten() {
        difference(differences, detection).gone += 1;
    }
}
