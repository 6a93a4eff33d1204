//! Which rules can match an event: a tree of look-ups over the values that conditions demand.
//!
//! An inner node looks at one expression. Rules that demand a value of it are below the branch of
//! that value, rules that demand none are below `others`; an event takes its value's branch and
//! `others`. So each event meets a rule at most once, and only those whose demands it fulfils as
//! far as the tree looks.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::field::Value;
use crate::program::expression::next_id;
use crate::program::requirement::{Key, Requirement};
use crate::program::{ExpressionId, RuleId};

/// Looking further costs more than evaluating so few candidates.
const SMALL: usize = 3;

/// A rule that accepts several values is below several branches. This bounds how many entries all
/// branches have, as a multiple of the number of rules.
const ENTRIES_PER_RULE: usize = 32;

/// Bounds the path from the root, and with it the recursion; what is left then are candidates.
const DEEPEST: usize = 64;

/// Which rules can match an event.
#[derive(Debug)]
pub(super) struct Index {
    /// The expressions that inner nodes look at, and the values that they know.
    pub(super) lookups: Vec<Lookup>,
    /// Children stand before their parents; the root is the last one.
    pub(super) nodes: Vec<IndexNode>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LookupId(u32);

impl LookupId {
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A value that some rule demands, by number: a value is hashed once an event, not once a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Symbol(u32);

#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) expression: ExpressionId,
    bytes: FxHashMap<Box<[u8]>, Symbol>,
    numbers: FxHashMap<u64, Symbol>,
}

#[derive(Debug)]
pub(super) enum IndexNode {
    Candidates(Box<[RuleId]>),
    Split { lookup: LookupId, branches: FxHashMap<Symbol, IndexNodeId>, others: IndexNodeId },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct IndexNodeId(u32);

impl Lookup {
    fn new(expression: ExpressionId) -> Self {
        Lookup { expression, bytes: FxHashMap::default(), numbers: FxHashMap::default() }
    }

    fn intern(&mut self, key: &Key) -> Symbol {
        let next = Symbol(next_id(self.bytes.len() + self.numbers.len()));
        match key {
            Key::Bytes(bytes) => *self.bytes.entry(bytes.as_slice().into()).or_insert(next),
            Key::Number(number) => *self.numbers.entry(*number).or_insert(next),
        }
    }

    /// The number of `value`; `None` if no rule demands it.
    pub(super) fn symbol(&self, value: Value<'_>) -> Option<Symbol> {
        match value {
            Value::String(bytes) | Value::Address(bytes) => self.bytes.get(bytes).copied(),
            Value::Number(number) => self.numbers.get(&number).copied(),
            Value::Bool(truth) => self.numbers.get(&u64::from(truth)).copied(),
        }
    }

    #[cfg(test)]
    pub(super) fn key(&self, symbol: Symbol) -> String {
        let mut bytes = self.bytes.iter().filter(|(_, known)| **known == symbol);
        let mut numbers = self.numbers.iter().filter(|(_, known)| **known == symbol);
        match (bytes.next(), numbers.next()) {
            (Some((bytes, _)), _) => String::from_utf8_lossy(bytes).into_owned(),
            (_, Some((number, _))) => number.to_string(),
            _ => panic!("no value has the number {symbol:?}"),
        }
    }
}

impl Index {
    /// Builds the tree from what each rule demands.
    pub(super) fn build(lookups: Vec<Lookup>, demands: &[(RuleId, Demand)]) -> Index {
        let mut builder = Builder {
            entries_left: demands.len() * ENTRIES_PER_RULE,
            path: Vec::new(),
            nodes: Vec::new(),
        };
        builder.build(&demands.iter().collect::<Vec<_>>());
        Index { lookups, nodes: builder.nodes }
    }

    pub(super) fn root(&self) -> &IndexNode {
        self.nodes.last().expect("even an index without rules has a leaf")
    }

    pub(super) fn node(&self, id: IndexNodeId) -> &IndexNode {
        &self.nodes[id.0 as usize]
    }
}

/// A rule's requirement with its values numbered.
#[derive(Debug, Default)]
pub(super) struct Demand(Box<[(LookupId, Box<[Symbol]>)]>);

impl Demand {
    fn of(&self, lookup: LookupId) -> Option<&[Symbol]> {
        let (_, symbols) = self.0.iter().find(|(id, _)| *id == lookup)?;
        Some(symbols)
    }
}

/// Numbers the expressions and the values that rules demand.
#[derive(Debug, Default)]
pub(super) struct Lookups {
    ids: FxHashMap<ExpressionId, LookupId>,
    pub(super) lookups: Vec<Lookup>,
}

impl Lookups {
    /// `None` if the rule can never match; it is to be in no leaf.
    pub(super) fn demand(&mut self, requirement: &Requirement) -> Option<Demand> {
        if requirement.can_never_be_met() {
            return None;
        }
        let values = requirement.0.iter().map(|(&expression, keys)| {
            let id = *self.ids.entry(expression).or_insert_with(|| {
                let id = LookupId(next_id(self.lookups.len()));
                self.lookups.push(Lookup::new(expression));
                id
            });
            let lookup = &mut self.lookups[id.index()];
            (id, keys.iter().map(|key| lookup.intern(key)).collect())
        });
        Some(Demand(values.collect()))
    }
}

struct Builder {
    entries_left: usize,
    /// The look-ups above the node that is being built.
    path: Vec<LookupId>,
    nodes: Vec<IndexNode>,
}

impl Builder {
    fn build(&mut self, demands: &[&(RuleId, Demand)]) -> IndexNodeId {
        let node = match self.best_lookup(demands) {
            Some(lookup) => self.split(demands, lookup),
            None => IndexNode::Candidates(demands.iter().map(|(rule, _)| *rule).collect()),
        };
        let id = IndexNodeId(next_id(self.nodes.len()));
        self.nodes.push(node);
        id
    }

    fn split(&mut self, demands: &[&(RuleId, Demand)], lookup: LookupId) -> IndexNode {
        let mut branches: BTreeMap<Symbol, Vec<&(RuleId, Demand)>> = BTreeMap::new();
        let mut others = Vec::new();
        for demand in demands {
            match demand.1.of(lookup) {
                Some(symbols) => {
                    for symbol in symbols {
                        branches.entry(*symbol).or_default().push(demand);
                    }
                    self.entries_left = self.entries_left.saturating_sub(symbols.len());
                }
                None => others.push(*demand),
            }
        }
        self.path.push(lookup);
        let others = self.build(&others);
        let branches =
            branches.into_iter().map(|(symbol, demands)| (symbol, self.build(&demands))).collect();
        self.path.pop();
        IndexNode::Split { lookup, branches, others }
    }

    /// The look-up that leaves the fewest candidates, if every demanded value and "any other" were
    /// equally likely.
    fn best_lookup(&self, demands: &[&(RuleId, Demand)]) -> Option<LookupId> {
        if demands.len() <= SMALL || self.entries_left == 0 || self.path.len() == DEEPEST {
            return None;
        }
        let mut uses: BTreeMap<LookupId, LookupUse> = BTreeMap::new();
        for (lookup, symbols) in demands.iter().flat_map(|(_, demand)| &demand.0) {
            if !self.path.contains(lookup) {
                let lookup_use = uses.entry(*lookup).or_default();
                lookup_use.rules += 1;
                lookup_use.entries += symbols.len();
                lookup_use.values.extend(symbols);
            }
        }
        let (saved, lookup) = uses
            .into_iter()
            .map(|(lookup, lookup_use)| (lookup_use.saved_candidates(), lookup))
            // Of equally good ones the first: earlier rules named it earlier.
            .max_by_key(|(saved, lookup)| (*saved, std::cmp::Reverse(*lookup)))?;
        (saved > 0).then_some(lookup)
    }
}

/// How the demands of a node use a look-up.
#[derive(Default)]
struct LookupUse {
    rules: usize,
    entries: usize,
    values: FxHashSet<Symbol>,
}

impl LookupUse {
    fn saved_candidates(&self) -> usize {
        self.rules - self.entries.div_ceil(self.values.len() + 1).min(self.rules)
    }
}
