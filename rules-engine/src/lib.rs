//! Compiles Falco rules into one shared program and evaluates events against it.
#![forbid(unsafe_code)]

mod condition;
mod describe;
mod detection;
mod diagnostic;
mod document;
mod field;
mod generic;
mod load;
mod operator;
mod output;
mod priority;
mod program;
mod ruleset;
mod schema;
mod selection;
mod text;
mod transform;

pub use detection::{Detection, OutputValue, RuleInfo};
pub use diagnostic::FileReport;
pub use field::{
    ArgumentRule, FieldCatalogue, FieldClass, FieldDefinition, FieldType, Provider, Value,
};
pub use generic::generic_class;
pub use load::{
    AppendOutput, ENGINE_VERSION, Environment, EventSource, ExtraField, Load, PluginVersion,
    RuleMatching, RulesFile, Ruleset, Selection, Settings, load,
};
pub use priority::{Priority, UnknownPriority};
pub use program::{Evaluator, EventInfo, Extract, FieldId, FieldUse, Program, Values};
