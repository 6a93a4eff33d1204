//! What each rule costs, over all reloads.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use rules_engine::{Evaluator, Program, RuleCost, RuleInfo};

use super::Labels;

/// One event in so many is evaluated with a clock: reading it after each rule would else cost more than most rules do.
pub(crate) const TIMED_EVERY: u64 = 64;

/// The costs of all rules, by event source.
#[derive(Debug, Default)]
pub(crate) struct RuleCosts(Mutex<BTreeMap<String, Arc<SourceCosts>>>);

/// The costs of the rules of one event source.
#[derive(Debug, Default)]
pub(crate) struct SourceCosts(Mutex<Costs>);

#[derive(Debug, Default)]
struct Costs {
    /// What `rules` belongs to.
    program: Weak<Program>,
    /// By position in the program.
    rules: Vec<(Arc<RuleInfo>, RuleCost)>,
    /// Of programs before, by name.
    before: BTreeMap<String, RuleCost>,
}

/// A rule with its costs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RuleRow {
    pub(crate) rule: String,
    pub(crate) source: String,
    pub(crate) evaluations: u64,
    pub(crate) matches: u64,
    /// Estimated from the timed events.
    pub(crate) seconds: f64,
}

impl RuleCosts {
    pub(crate) fn source(&self, name: &str) -> Arc<SourceCosts> {
        Arc::clone(lock(&self.0).entry(name.to_owned()).or_default())
    }

    /// All rules that were evaluated, by source and name.
    pub(crate) fn rows(&self) -> Vec<RuleRow> {
        let sources = lock(&self.0).clone();
        let rows = sources.iter().flat_map(|(source, costs)| {
            lock(&costs.0).by_name().into_iter().map(|(rule, cost)| RuleRow {
                rule,
                source: source.clone(),
                evaluations: cost.evaluations,
                matches: cost.matches,
                seconds: cost.time.as_secs_f64() * TIMED_EVERY as f64,
            })
        });
        rows.collect()
    }
}

impl SourceCosts {
    /// Adds what `evaluators` have counted with `program`.
    pub(crate) fn take<'e>(
        &self,
        program: &Arc<Program>,
        evaluators: impl Iterator<Item = &'e mut Evaluator>,
    ) {
        let mut costs = lock(&self.0);
        if !std::ptr::eq(costs.program.as_ptr(), Arc::as_ptr(program)) {
            costs.replace_program(program);
        }
        for evaluator in evaluators {
            evaluator.take_costs(|index, cost| add(&mut costs.rules[index].1, cost));
        }
    }
}

impl Costs {
    fn replace_program(&mut self, program: &Arc<Program>) {
        let before = std::mem::take(&mut self.before);
        self.before = self.added_to(before);
        self.program = Arc::downgrade(program);
        self.rules = program.rules().map(|rule| (Arc::clone(rule), RuleCost::default())).collect();
    }

    fn by_name(&self) -> BTreeMap<String, RuleCost> {
        self.added_to(self.before.clone())
    }

    fn added_to(&self, mut all: BTreeMap<String, RuleCost>) -> BTreeMap<String, RuleCost> {
        for (rule, cost) in self.rules.iter().filter(|(_, cost)| cost.evaluations > 0) {
            add(all.entry(rule.name.clone()).or_default(), *cost);
        }
        all
    }
}

fn add(sum: &mut RuleCost, cost: RuleCost) {
    sum.evaluations += cost.evaluations;
    sum.matches += cost.matches;
    sum.time += cost.time;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked left whole numbers behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Collector for RuleCosts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let rows = self.rows();
        if rows.is_empty() {
            return Ok(());
        }
        let labels = |row: &RuleRow| {
            Labels::from([
                ("rule_name".into(), row.rule.clone()),
                ("source".into(), row.source.clone()),
            ])
        };
        let counter = MetricType::Counter;
        let (name, help) =
            ("rules_evaluations", "Events that a rule's condition was looked at for");
        let mut family = encoder.encode_descriptor(name, help, None, counter)?;
        for row in &rows {
            ConstCounter::new(row.evaluations).encode(family.encode_family(&labels(row))?)?;
        }
        let (name, help) = (
            "rules_evaluation_seconds",
            "Time spent on a rule, estimated from a sample of the events",
        );
        let mut family = encoder.encode_descriptor(name, help, None, counter)?;
        for row in &rows {
            ConstCounter::new(row.seconds).encode(family.encode_family(&labels(row))?)?;
        }
        Ok(())
    }
}
