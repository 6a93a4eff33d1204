//! All enabled rules of one event source, compiled into one program.
//!
//! Rules share what they have in common. Equal expressions, predicates and sub-conditions of
//! different rules are one, each is evaluated at most once an event, and a field is extracted at
//! most once an event, when something first looks at it. An index over values that conditions
//! demand picks the few rules that can match, so that the cost of an event follows the number of
//! these candidates and not the number of rules.
//!
//! ```text
//! typed ASTs --compile--> expressions, nodes (hash-consed)      rules in load order
//!            --require--> demanded (expression, value) pairs --> index
//!
//! event --index--> candidates --evaluate in load order--> detections
//! ```

mod compile;
mod cost;
mod evaluate;
mod expression;
mod index;
mod json_text;
mod predicate;
mod render;
mod requirement;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use crate::detection::RuleInfo;
use crate::field::{FieldType, Provider};
use crate::load::RuleMatching;

pub(crate) use compile::{ProgramBuilder, RuleToCompile};
pub use cost::RuleCost;
pub use evaluate::{Clock, Evaluator, EventInfo, Extract};
pub(crate) use values::ValueStore;
pub use values::Values;

use expression::CompiledExpression;
use index::Index;
use predicate::Predicate;
use render::CompiledOutput;

/// A plugin's field that a program looks at: an index into [`Program::fields`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldId(u32);

impl FieldId {
    /// The index into [`Program::fields`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A plugin's field with its argument, as rules use it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldUse {
    /// The plugin that extracts it, always [`Provider::Plugin`].
    pub provider: Provider,
    /// Index into the fields of the plugin's class.
    pub field: usize,
    /// What stands in brackets; an empty argument differs from none.
    pub argument: Option<String>,
    /// The type of its values.
    pub kind: FieldType,
    /// Whether it yields a list.
    pub is_list: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct ExpressionId(u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct NodeId(u32);

/// A rule's position in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct RuleId(u32);

/// All enabled rules of one event source, compiled. Immutable: threads share it.
#[derive(Debug)]
pub struct Program {
    source: String,
    matching: RuleMatching,
    fields: Vec<FieldUse>,
    expressions: Vec<CompiledExpression>,
    nodes: Vec<Node>,
    rules: Vec<CompiledRule>,
    index: Index,
}

/// A condition or a part of one, shared by all rules that contain it.
#[derive(Debug)]
enum Node {
    Predicate(Predicate),
    Combination(Combination),
}

/// Conditions joined; `And` and `Or` have at least two different parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Combination {
    Not(NodeId),
    And(Box<[NodeId]>),
    Or(Box<[NodeId]>),
}

#[derive(Debug)]
struct CompiledRule {
    info: Arc<RuleInfo>,
    condition: NodeId,
    output: CompiledOutput,
}

impl Program {
    /// The event source whose events it evaluates.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The plugin fields that it looks at, indexed by [`FieldId`].
    pub fn fields(&self) -> &[FieldUse] {
        &self.fields
    }

    /// Its rules in the order of evaluation.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Arc<RuleInfo>> {
        self.rules.iter().map(|rule| &rule.info)
    }

    fn expression(&self, id: ExpressionId) -> &CompiledExpression {
        &self.expressions[id.0 as usize]
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    fn rule(&self, id: RuleId) -> &CompiledRule {
        &self.rules[id.0 as usize]
    }
}
