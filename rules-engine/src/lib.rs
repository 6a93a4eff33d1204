//! Compiles Falco rules into one shared program and evaluates events against it.
#![forbid(unsafe_code)]

mod condition;
mod detection;
mod field;
mod priority;

pub use detection::{Detection, OutputValue, RuleInfo};
pub use field::{
    ArgumentRule, FieldCatalogue, FieldClass, FieldDefinition, FieldType, Provider, Value,
};
pub use priority::{Priority, UnknownPriority};
