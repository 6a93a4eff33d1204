//! One event against one program.

use std::time::Duration;

use crate::detection::Detection;
use crate::load::RuleMatching;
use crate::program::cost::{Costs, RuleCost};
use crate::program::expression::{CompiledExpression, Origin};
use crate::program::index::{IndexNode, LookupId, Symbol};
use crate::program::predicate::{CompiledTest, Predicate, matches_modified, matches_values};
use crate::program::values::{ValueRange, ValueStore, Values};
use crate::program::{Combination, ExpressionId, FieldId, Node, NodeId, Program, RuleId};

/// Extracts field values from the current event; the agent implements it over its plugins.
pub trait Extract {
    /// Puts the values of a field of the program that is evaluated into `values`; nothing means
    /// that the event does not have the field.
    ///
    /// It is called at most once for each field and event.
    fn extract(&mut self, field: FieldId, values: &mut Values<'_>);

    /// The event as text, as the plugin that it came from puts it.
    fn plugin_info(&mut self) -> Option<String>;
}

/// A time that only grows; where it starts does not matter.
pub type Clock<'a> = &'a dyn Fn() -> Duration;

/// What the engine knows of an event without asking a plugin.
#[derive(Clone, Copy, Debug)]
pub struct EventInfo<'a> {
    /// Counted from 1 in each source.
    pub number: u64,
    /// Nanoseconds since the Unix epoch.
    pub timestamp_ns: u64,
    /// The timestamp of the source's first event.
    pub first_timestamp_ns: u64,
    /// The event source, such as `k8s_audit`.
    pub source: &'a str,
    /// The plugin that the event came from.
    pub plugin_name: Option<&'a str>,
    /// The name of this host.
    pub hostname: &'a str,
    /// The name of an asynchronous event; `None` for all others.
    pub async_name: Option<&'a str>,
    /// East of Greenwich, for fields that show local time.
    pub utc_offset_s: i32,
}

/// Evaluates events, one after the other: a thread has its own and keeps it.
///
/// What it learns of an event is kept until the next one, in memory that is used again. Nothing is
/// cleared between events: what belongs to an earlier event is recognised by its stamp.
#[derive(Debug, Default)]
pub struct Evaluator {
    /// Counts events, over all programs.
    stamp: u64,
    /// By [`NodeId`]: twice the stamp, plus one if the node holds.
    verdicts: Vec<u64>,
    /// By [`ExpressionId`].
    slots: Vec<Stamped<ValueRange>>,
    /// By [`LookupId`].
    symbols: Vec<Stamped<Symbol>>,
    pub(super) store: ValueStore,
    /// Where transformers put their results before they go into `store`.
    scratch: ValueStore,
    candidates: Vec<RuleId>,
    /// Where messages are put together.
    pub(super) text: Vec<u8>,
    costs: Costs,
}

/// What is known since the event of the stamp.
#[derive(Clone, Copy, Debug)]
struct Stamped<T> {
    stamp: u64,
    value: Option<T>,
}

impl<T> Stamped<T> {
    const NEVER: Self = Stamped { stamp: 0, value: None };
}

impl Evaluator {
    /// Makes one that has seen no event.
    pub fn new() -> Self {
        Evaluator::default()
    }

    /// Appends a detection for each rule of `program` that matches the event; with
    /// [`RuleMatching::First`] for the first one only.
    ///
    /// Programs may change from event to event; costs are taken before they do.
    pub fn evaluate(
        &mut self,
        program: &Program,
        event: &EventInfo<'_>,
        extract: &mut dyn Extract,
        detections: &mut Vec<Detection>,
    ) {
        self.evaluate_event(program, event, extract, None, detections);
    }

    /// As [`Self::evaluate`], and measures how long each rule takes. For a sample of the events: `clock` is asked after
    /// each rule.
    pub fn evaluate_timed(
        &mut self,
        program: &Program,
        event: &EventInfo<'_>,
        extract: &mut dyn Extract,
        clock: Clock<'_>,
        detections: &mut Vec<Detection>,
    ) {
        self.evaluate_event(program, event, extract, Some(clock), detections);
    }

    /// Hands over what the rules of the program have cost since this was last called, by their positions in
    /// [`Program::rules`]. Those that were not evaluated are left out.
    pub fn take_costs(&mut self, give: impl FnMut(usize, RuleCost)) {
        self.costs.take(give);
    }

    fn evaluate_event(
        &mut self,
        program: &Program,
        event: &EventInfo<'_>,
        extract: &mut dyn Extract,
        clock: Option<Clock<'_>>,
        detections: &mut Vec<Detection>,
    ) {
        self.begin(program);
        let mut candidates = std::mem::take(&mut self.candidates);
        let mut evaluation = Evaluation { program, event, extract, state: self };
        candidates.clear();
        evaluation.collect_candidates(program.index.root(), &mut candidates);
        candidates.sort_unstable();
        evaluation.evaluate_rules(&candidates, clock, detections);
        self.candidates = candidates;
    }

    fn begin(&mut self, program: &Program) {
        self.stamp += 1;
        self.store.clear();
        // What another program left bears an older stamp: only sizes matter.
        self.verdicts.resize(program.nodes.len().max(self.verdicts.len()), 0);
        self.slots.resize(program.expressions.len().max(self.slots.len()), Stamped::NEVER);
        self.costs.reserve(program.rules.len());
        self.symbols.resize(program.index.lookups.len().max(self.symbols.len()), Stamped::NEVER);
    }
}

/// The evaluation of one event.
pub(super) struct Evaluation<'a> {
    pub(super) program: &'a Program,
    pub(super) event: &'a EventInfo<'a>,
    extract: &'a mut dyn Extract,
    pub(super) state: &'a mut Evaluator,
}

impl<'a> Evaluation<'a> {
    fn collect_candidates(&mut self, mut node: &'a IndexNode, candidates: &mut Vec<RuleId>) {
        let program = self.program;
        loop {
            match node {
                IndexNode::Candidates(rules) => {
                    candidates.extend_from_slice(rules);
                    return;
                }
                IndexNode::Split { lookup, branches, others } => {
                    let branch = self.symbol(*lookup).and_then(|symbol| branches.get(&symbol));
                    if let Some(branch) = branch {
                        self.collect_candidates(program.index.node(*branch), candidates);
                    }
                    node = program.index.node(*others);
                }
            }
        }
    }

    fn evaluate_rules(
        &mut self,
        candidates: &[RuleId],
        clock: Option<Clock<'_>>,
        detections: &mut Vec<Detection>,
    ) {
        let program = self.program;
        let mut before = clock.map(|clock| clock());
        for &id in candidates {
            let rule = program.rule(id);
            let matches = self.holds(rule.condition);
            if matches {
                detections.push(self.detection(rule));
            }
            self.state.costs.count(id, matches);
            if let (Some(clock), Some(before)) = (clock, &mut before) {
                let now = clock();
                self.state.costs.add_time(id, now.saturating_sub(*before));
                *before = now;
            }
            if matches && program.matching == RuleMatching::First {
                return;
            }
        }
    }

    fn symbol(&mut self, id: LookupId) -> Option<Symbol> {
        let known = self.state.symbols[id.index()];
        if known.stamp == self.state.stamp {
            return known.value;
        }
        let lookup = &self.program.index.lookups[id.index()];
        let value = match self.values(lookup.expression) {
            Some(range) => {
                self.state.store.get(range).next().and_then(|value| lookup.symbol(value))
            }
            None => None,
        };
        self.state.symbols[id.index()] = Stamped { stamp: self.state.stamp, value };
        value
    }

    fn holds(&mut self, id: NodeId) -> bool {
        let verdict = self.state.verdicts[id.0 as usize];
        if verdict >> 1 == self.state.stamp {
            return verdict & 1 == 1;
        }
        let holds = match self.program.node(id) {
            Node::Predicate(predicate) => self.test(predicate),
            Node::Combination(Combination::Not(inner)) => !self.holds(*inner),
            Node::Combination(Combination::And(parts)) => {
                parts.iter().all(|part| self.holds(*part))
            }
            Node::Combination(Combination::Or(parts)) => parts.iter().any(|part| self.holds(*part)),
        };
        self.state.verdicts[id.0 as usize] = self.state.stamp << 1 | u64::from(holds);
        holds
    }

    fn test(&mut self, predicate: &Predicate) -> bool {
        let Some(left) = self.values(predicate.left) else { return false };
        let mut values = self.state.store.get(left);
        match &predicate.test {
            CompiledTest::Exists => true,
            CompiledTest::Some(matcher) => values.any(|value| matcher.matches(value)),
            CompiledTest::Every(matcher) => values.all(|value| matcher.matches(value)),
            CompiledTest::Modified(modifier, matchers) => {
                values.any(|value| matches_modified(*modifier, matchers, value))
            }
            CompiledTest::Expression(operator, right) => {
                drop(values);
                let Some(right) = self.values(*right) else { return false };
                matches_values(*operator, &self.state.store, left, right)
            }
        }
    }

    /// The values of an expression; `None` if it is missing. Only lists of `getopt` can be empty.
    pub(super) fn values(&mut self, id: ExpressionId) -> Option<ValueRange> {
        let slot = self.state.slots[id.0 as usize];
        if slot.stamp == self.state.stamp {
            return slot.value;
        }
        let value = self.compute_values(id);
        self.state.slots[id.0 as usize] = Stamped { stamp: self.state.stamp, value };
        value
    }

    fn compute_values(&mut self, id: ExpressionId) -> Option<ValueRange> {
        let expression = self.program.expression(id);
        match &expression.origin {
            Origin::Plugin(field) => self.extract_values(expression, |extract, _, values| {
                extract.extract(*field, values);
            }),
            Origin::Generic(field) => self.extract_values(expression, |extract, event, values| {
                field.extract(event, extract, values);
            }),
            Origin::Constant(text) => {
                let start = self.state.store.position();
                self.state.store.push_string(text);
                Some(self.state.store.since(start))
            }
            Origin::List(items) => {
                self.are_present(items)?;
                let start = self.state.store.position();
                for item in items {
                    let range = self.values(*item)?;
                    self.state.store.repeat(range);
                }
                Some(self.state.store.since(start))
            }
            Origin::Transformed(transform, arguments) => {
                self.are_present(arguments)?;
                let Evaluator { store, scratch, slots, .. } = &mut *self.state;
                scratch.clear();
                let argument = |position: usize| {
                    let slot = slots[arguments[position].0 as usize];
                    store.get(slot.value.expect("arguments were found present"))
                };
                transform.apply(arguments.len(), argument, scratch)?;
                let start = store.position();
                scratch.all().for_each(|value| store.push(value));
                Some(store.since(start))
            }
        }
    }

    /// What a plugin or the engine itself answers; a field without a value is missing.
    fn extract_values(
        &mut self,
        expression: &CompiledExpression,
        ask: impl FnOnce(&mut dyn Extract, &EventInfo<'_>, &mut Values<'_>),
    ) -> Option<ValueRange> {
        let store = &mut self.state.store;
        let start = store.position();
        ask(self.extract, self.event, &mut Values::new(store, expression.kind));
        if !expression.is_list {
            // The index relies on it, and plugins are not to be trusted.
            store.truncate(start + 1);
        }
        let range = store.since(start);
        (!range.is_empty()).then_some(range)
    }

    /// Gets all `expressions` into their slots; `None` if one is missing.
    fn are_present(&mut self, expressions: &[ExpressionId]) -> Option<()> {
        expressions.iter().try_for_each(|expression| self.values(*expression).map(|_| ()))
    }
}
