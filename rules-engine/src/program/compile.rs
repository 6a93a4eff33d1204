//! From typed conditions to one program.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::condition::typed::{Comparison, Test, TypedAst};
use crate::detection::RuleInfo;
use crate::field::FieldCatalogue;
use crate::load::RuleMatching;
use crate::output::{ExtraValue, OutputTemplate};
use crate::program::expression::{Expressions, next_id};
use crate::program::index::Index;
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

impl Program {
    /// Compiles the enabled rules of `source`, given in load order.
    ///
    /// `catalogue` must be the one that the rules were checked against. Takes the rules, so that
    /// each is gone once it is compiled: ten thousand need some memory.
    pub(crate) fn compile(
        source: &str,
        rules: Vec<RuleToCompile>,
        matching: RuleMatching,
        catalogue: &FieldCatalogue,
    ) -> Program {
        let mut conditions = ConditionCompiler {
            expressions: Expressions::new(catalogue),
            nodes: Vec::new(),
            predicates: FxHashMap::default(),
            combinations: FxHashMap::default(),
        };
        let mut outputs = OutputCompiler::default();
        let mut compiled = Vec::with_capacity(rules.len());
        let mut requirements = Vec::with_capacity(rules.len());
        for (position, rule) in rules.into_iter().enumerate() {
            let condition = conditions.compile(&rule.condition);
            let expressions = &mut conditions.expressions;
            requirements.push((
                RuleId(next_id(position)),
                Requirement::of(&rule.condition, &mut |expression| expressions.intern(expression)),
            ));
            let output = outputs.compile(&rule.output, &rule.extra_fields, expressions);
            compiled.push(CompiledRule { info: rule.info, condition, output });
        }
        let Expressions { fields, expressions, .. } = conditions.expressions;
        Program {
            source: source.to_owned(),
            matching,
            fields,
            expressions,
            nodes: conditions.nodes,
            rules: compiled,
            index: Index::build(requirements),
        }
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
