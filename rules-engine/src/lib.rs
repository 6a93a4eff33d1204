//! Compiles Falco rules into one shared program and evaluates events against it.
//!
//! ```text
//! rules/*.yaml --document--> nodes --ruleset--> rules, macros and lists resolved
//!                                                 | condition: parse, check with the field catalogue
//! event --evaluate--> detections <--- Program <---compile--- typed AST
//! ```
//!
//! The engine does no I/O, starts no thread and knows no plugin: files come as text, the values of
//! fields through [`Extract`].
//!
//! ```
//! use rules_engine::{
//!     Environment, Evaluator, EventInfo, EventSource, Extract, FieldCatalogue, FieldId, RulesFile,
//!     Settings, Values, generic_class, load,
//! };
//!
//! /// Events that consist of nothing but their number.
//! struct Numbers;
//!
//! impl Extract for Numbers {
//!     fn extract(&mut self, _field: FieldId, _values: &mut Values<'_>) {}
//!
//!     fn plugin_info(&mut self) -> Option<String> {
//!         None
//!     }
//! }
//!
//! let rules = b"
//! - rule: Late event
//!   desc: There were many events before this one.
//!   condition: evt.num >= 100
//!   output: event %evt.num is late
//!   priority: NOTICE
//!   source: numbers
//! ";
//! let fields = FieldCatalogue { classes: vec![generic_class()], static_values: Vec::new() };
//! let source = EventSource { name: "numbers".to_owned(), fields };
//! let environment = Environment { sources: vec![source], plugins: Vec::new() };
//! let file = RulesFile { name: "rules.yaml".to_owned(), content: rules.to_vec() };
//!
//! let loaded = load(vec![file], &environment, &Settings::default());
//! let ruleset = loaded.ruleset.ok_or_else(|| loaded.reports[0].render(false))?;
//! let program = ruleset.program("numbers").ok_or("there is a rule for this source")?;
//! let event = EventInfo {
//!     number: 100,
//!     timestamp_ns: 1_700_000_000_000_000_000,
//!     first_timestamp_ns: 1_700_000_000_000_000_000,
//!     source: "numbers",
//!     plugin_name: None,
//!     hostname: "host",
//!     async_name: None,
//!     utc_offset_s: 0,
//! };
//! let mut detections = Vec::new();
//! Evaluator::new().evaluate(&program, &event, &mut Numbers, &mut detections);
//! assert_eq!(detections[0].message, "event 100 is late");
//! # Ok::<(), String>(())
//! ```
#![forbid(unsafe_code)]

mod anatomy;
mod condition;
mod describe;
mod detection;
mod diagnostic;
mod document;
mod field;
mod format;
mod generic;
mod lint;
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

pub use anatomy::{Anatomy, Part, PartKind, Place, RuleAnatomy, Verdict};
pub use detection::{Detection, OutputValue, RuleInfo};
pub use diagnostic::FileReport;
pub use field::{
    ArgumentRule, FieldCatalogue, FieldClass, FieldDefinition, FieldType, Provider, Value,
};
pub use format::{FormatError, format};
pub use generic::generic_class;
pub use lint::{Finding, FindingLevel};
pub use load::{
    AppendOutput, ENGINE_VERSION, Environment, EventSource, ExtraField, Load, PluginVersion,
    RuleMatching, RulesFile, Ruleset, Selection, Settings, load,
};
pub use priority::{Priority, UnknownPriority};
pub use program::{
    Clock, Evaluator, EventInfo, Extract, FieldId, FieldUse, Program, RuleCost, Values,
};
pub use schema::json_schema;
