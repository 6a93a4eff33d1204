//! Compiles Falco rules into one shared program and evaluates events against it.
#![forbid(unsafe_code)]

mod condition;
mod detection;
mod field;
mod load;
mod operator;
mod priority;
mod text;

pub use detection::{Detection, OutputValue, RuleInfo};
pub use field::{
    ArgumentRule, FieldCatalogue, FieldClass, FieldDefinition, FieldType, Provider, Value,
};
pub use load::{
    AppendOutput, ENGINE_VERSION, Environment, EventSource, ExtraField, PluginVersion,
    RuleMatching, RulesFile, Selection, Settings,
};
pub use priority::{Priority, UnknownPriority};
