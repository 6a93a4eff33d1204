//! Programs against a naive walk of their conditions, and what is shared in them.

mod agreement;
mod costs;
mod many_rules;
mod naive;
mod outline;
mod outputs;
mod truth;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::condition::ast::{Operator, Transformer};
use crate::condition::typed::{Constant, Expression, FieldRef, Transformed, TypedAst};
use crate::detection::{Detection, RuleInfo};
use crate::field::{
    ArgumentRule, FieldCatalogue, FieldClass, FieldDefinition, FieldType, Provider,
};
use crate::generic::generic_class;
use crate::output::OutputTemplate;
use crate::priority::Priority;
use crate::program::{Evaluator, EventInfo, Extract, FieldId, Program, RuleToCompile, Values};

/// A value that a test owns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum OwnedValue {
    String(Vec<u8>),
    Number(u64),
    Bool(bool),
    Address(Vec<u8>),
}

fn text(text: &str) -> OwnedValue {
    OwnedValue::String(text.as_bytes().to_vec())
}

/// The fields of one event by name; `[…]` belongs to the name. A missing one is not there.
type Fields = BTreeMap<String, Vec<OwnedValue>>;

/// The one field that needs an argument.
const WITH_ARGUMENT: &str = "t.key";

/// Name, type, and whether it is a list.
const FIELDS: &[(&str, FieldType, bool)] = &[
    ("t.a", FieldType::String, false),
    ("t.b", FieldType::String, false),
    ("t.c", FieldType::String, false),
    ("t.n", FieldType::Uint64, false),
    ("t.t", FieldType::Bool, false),
    ("t.ip", FieldType::IpAddr, false),
    ("t.net", FieldType::IpNet, false),
    ("t.ls", FieldType::String, true),
    ("t.ln", FieldType::Uint64, true),
    ("t.lnet", FieldType::IpNet, true),
    ("t.a.sub", FieldType::String, false),
    ("t.rel", FieldType::RelTime, false),
    (WITH_ARGUMENT, FieldType::String, false),
    ("t.lb", FieldType::Bool, true),
    ("t.lip", FieldType::IpAddr, true),
    // Fields of the event that stock Falco's answers are about.
    ("t.str", FieldType::String, false),
    ("t.up", FieldType::String, false),
    ("t.empty", FieldType::String, false),
    ("t.miss", FieldType::String, false),
    ("t.path", FieldType::String, false),
    ("t.numstr", FieldType::String, false),
    ("t.bad", FieldType::String, false),
    ("t.ctl", FieldType::String, false),
    ("t.quote", FieldType::String, false),
    ("t.b64", FieldType::String, false),
    ("t.b64bad", FieldType::String, false),
    ("t.u", FieldType::Uint64, false),
    ("t.big", FieldType::Uint64, false),
    ("t.f", FieldType::Bool, false),
    ("t.ip4", FieldType::IpAddr, false),
    ("t.net4", FieldType::IpNet, false),
    ("t.ldup", FieldType::String, true),
    ("t.lzero", FieldType::String, true),
    ("t.argv", FieldType::String, true),
];

fn catalogue() -> FieldCatalogue {
    let class = |name: &str, provider, fields: &[(&str, FieldType, bool)]| FieldClass {
        name: name.to_owned(),
        description: String::new(),
        provider,
        fields: fields
            .iter()
            .map(|(name, kind, is_list)| FieldDefinition {
                name: (*name).to_owned(),
                kind: *kind,
                is_list: *is_list,
                argument: (*name == WITH_ARGUMENT).then_some(ArgumentRule {
                    required: true,
                    index: false,
                    key: true,
                }),
                description: String::new(),
                hidden: false,
                suggested: false,
            })
            .collect(),
    };
    FieldCatalogue {
        classes: vec![
            generic_class(),
            class("static", Provider::Static, &[("static.site", FieldType::String, false)]),
            class("t", Provider::Plugin(7), FIELDS),
        ],
        static_values: vec!["x".to_owned()],
    }
}

fn info(position: usize) -> Arc<RuleInfo> {
    Arc::new(RuleInfo {
        name: format!("rule {position}"),
        priority: Priority::Notice,
        source: "test".to_owned(),
        tags: Arc::default(),
        position,
    })
}

const EVENT: EventInfo<'static> = EventInfo {
    number: 1,
    timestamp_ns: 1_700_000_000_123_456_789,
    first_timestamp_ns: 1_700_000_000_000_000_000,
    source: "test",
    plugin_name: Some("t"),
    hostname: "host",
    async_name: None,
    utc_offset_s: 0,
};

/// Answers for the fields of one event, and insists on being asked once for each.
struct TestExtract<'a> {
    program: &'a Program,
    event: &'a Fields,
    asked: Vec<FieldId>,
}

impl Extract for TestExtract<'_> {
    fn extract(&mut self, field: FieldId, values: &mut Values<'_>) {
        assert!(!self.asked.contains(&field), "a field was extracted twice");
        self.asked.push(field);
        let field_use = &self.program.fields()[field.index()];
        assert_eq!(field_use.provider, Provider::Plugin(7));
        let (name, ..) = FIELDS[field_use.field];
        let name = match &field_use.argument {
            Some(argument) => format!("{name}[{argument}]"),
            None => name.to_owned(),
        };
        for value in self.event.get(&name).into_iter().flatten() {
            match value {
                OwnedValue::String(text) => values.push_string(text),
                OwnedValue::Number(number) => values.push_number(*number),
                OwnedValue::Bool(truth) => values.push_bool(*truth),
                OwnedValue::Address(address) => values.push_address(address),
            }
        }
    }

    fn plugin_info(&mut self) -> Option<String> {
        Some("all of it".to_owned())
    }
}

fn evaluate(evaluator: &mut Evaluator, program: &Program, event: &Fields) -> Vec<Detection> {
    let mut extract = TestExtract { program, event, asked: Vec::new() };
    let mut detections = Vec::new();
    evaluator.evaluate(program, &EVENT, &mut extract, &mut detections);
    detections
}
