//! From typed conditions to one program.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::condition::typed::{Comparison, Test, TypedAst};
use crate::detection::RuleInfo;
use crate::field::FieldCatalogue;
use crate::load::RuleMatching;
use crate::output::{ExtraValue, OutputTemplate};
use crate::program::expression::{Expressions, next_id};
use crate::program::index::{Demand, Index, Lookups};
use crate::program::predicate::{CompiledTest, Predicate};
use crate::program::render::OutputCompiler;
use crate::program::requirement::Requirement;
use crate::program::{Combination, CompiledRule, ExpressionId, Node, NodeId, Program, RuleId};

/// An enabled rule, checked against the fields of its source.
#[derive(Clone, Debug)]
pub(crate) struct RuleToCompile {
    pub(crate) info: Arc<RuleInfo>,
    pub(crate) condition: TypedAst,
    pub(crate) output: OutputTemplate,
    /// By key; of two with the same key the later one counts.
    pub(crate) extra_fields: Vec<(String, ExtraValue)>,
}

/// Compiles the rules of one event source one by one, so that none of them need be kept: ten thousand take some memory.
#[derive(Debug)]
pub(crate) struct ProgramBuilder<'a> {
    conditions: ConditionCompiler<'a>,
    outputs: OutputCompiler,
    lookups: Lookups,
    rules: Vec<RankedRule>,
}

#[derive(Debug)]
struct RankedRule {
    rank: usize,
    rule: CompiledRule,
    demand: Option<Demand>,
}

impl<'a> ProgramBuilder<'a> {
    /// `catalogue` must be the one that the rules are checked against.
    pub(crate) fn new(catalogue: &'a FieldCatalogue) -> Self {
        ProgramBuilder {
            conditions: ConditionCompiler {
                expressions: Expressions::new(catalogue),
                nodes: Vec::new(),
                predicates: FxHashMap::default(),
                combinations: FxHashMap::default(),
            },
            outputs: OutputCompiler::default(),
            lookups: Lookups::default(),
            rules: Vec::new(),
        }
    }

    /// Adds an enabled rule. Rules are evaluated in the order of their ranks, which differ.
    pub(crate) fn add(&mut self, rank: usize, rule: RuleToCompile) {
        let condition = self.conditions.compile(&rule.condition);
        let expressions = &mut self.conditions.expressions;
        let requirement =
            Requirement::of(&rule.condition, &mut |expression| expressions.intern(expression));
        let demand = self.lookups.demand(&requirement);
        let output = self.outputs.compile(&rule.output, &rule.extra_fields, expressions);
        let rule = CompiledRule { info: rule.info, condition, output };
        self.rules.push(RankedRule { rank, rule, demand });
    }

    /// The program for `source`.
    pub(crate) fn finish(mut self, source: &str, matching: RuleMatching) -> Program {
        self.rules.sort_unstable_by_key(|rule| rule.rank);
        let mut demands = Vec::with_capacity(self.rules.len());
        let mut rules = Vec::with_capacity(self.rules.len());
        for RankedRule { rule, demand, .. } in self.rules {
            demands.extend(demand.map(|demand| (RuleId(next_id(rules.len())), demand)));
            rules.push(rule);
        }
        let Expressions { fields, expressions, .. } = self.conditions.expressions;
        Program {
            source: source.to_owned(),
            matching,
            fields,
            expressions,
            nodes: self.conditions.nodes,
            rules,
            index: Index::build(self.lookups.lookups, &demands),
        }
    }
}

impl Program {
    /// Compiles the enabled rules of `source`, given in the order of evaluation.
    ///
    /// `catalogue` must be the one that the rules were checked against.
    pub(crate) fn compile(
        source: &str,
        rules: Vec<RuleToCompile>,
        matching: RuleMatching,
        catalogue: &FieldCatalogue,
    ) -> Program {
        let mut builder = ProgramBuilder::new(catalogue);
        for (rank, rule) in rules.into_iter().enumerate() {
            builder.add(rank, rule);
        }
        builder.finish(source, matching)
    }
}

/// Makes equal conditions one node.
#[derive(Debug)]
struct ConditionCompiler<'a> {
    expressions: Expressions<'a>,
    nodes: Vec<Node>,
    predicates: FxHashMap<(ExpressionId, Test), NodeId>,
    combinations: FxHashMap<Combination, NodeId>,
}

impl ConditionCompiler<'_> {
    fn compile(&mut self, condition: &TypedAst) -> NodeId {
        let combination = match condition {
            TypedAst::Check(comparison) => return self.compile_predicate(comparison),
            TypedAst::Not(inner) => {
                let inner = self.compile(inner);
                if let Node::Combination(Combination::Not(original)) = self.node(inner) {
                    return *original;
                }
                Combination::Not(inner)
            }
            TypedAst::And(parts) => Combination::And(self.compile_parts(parts)),
            TypedAst::Or(parts) => Combination::Or(self.compile_parts(parts)),
        };
        if let Combination::And(parts) | Combination::Or(parts) = &combination
            && let [only] = **parts
        {
            return only;
        }
        *self.combinations.entry(combination).or_insert_with_key(|combination| {
            push_node(&mut self.nodes, Node::Combination(combination.clone()))
        })
    }

    /// Each part once, in the order in which rules first had them: what earlier rules have too is
    /// likelier to be known already, and equal parts in another order are the same condition.
    fn compile_parts(&mut self, parts: &[TypedAst]) -> Box<[NodeId]> {
        let mut compiled: Vec<_> = parts.iter().map(|part| self.compile(part)).collect();
        compiled.sort_unstable();
        compiled.dedup();
        compiled.into()
    }

    fn compile_predicate(&mut self, comparison: &Comparison) -> NodeId {
        let left = self.expressions.intern(&comparison.left);
        let key = (left, comparison.test.clone());
        if let Some(known) = self.predicates.get(&key) {
            return *known;
        }
        let left_is_list = self.expressions.get(left).is_list;
        let test = CompiledTest::new(left_is_list, &comparison.test, |expression| {
            self.expressions.intern(expression)
        });
        let id = push_node(&mut self.nodes, Node::Predicate(Predicate { left, test }));
        self.predicates.insert(key, id);
        id
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }
}

fn push_node(nodes: &mut Vec<Node>, node: Node) -> NodeId {
    let id = NodeId(next_id(nodes.len()));
    nodes.push(node);
    id
}
