//! What the fuzz targets of the rules engine share: an environment to load rules files in, and
//! events to evaluate the rules on.
#![forbid(unsafe_code)]

mod events;

use rules_engine::{
    AppendOutput, ArgumentRule, Environment, EventSource, ExtraField, FieldCatalogue, FieldClass,
    FieldDefinition, FieldType, Load, PluginVersion, Priority, Provider, RuleMatching, RulesFile,
    Selection, Settings, generic_class, load,
};

pub use events::detections;

/// The source of the events.
pub const SOURCE: &str = "test";

/// A letter for each type; `t.s` is one string, `t.ls` a list of them.
const TYPES: [(&str, FieldType); 7] = [
    ("s", FieldType::String),
    ("u", FieldType::Uint64),
    ("rel", FieldType::RelTime),
    ("abs", FieldType::AbsTime),
    ("b", FieldType::Bool),
    ("ip", FieldType::IpAddr),
    ("net", FieldType::IpNet),
];

fn load_file(content: &[u8]) -> Load {
    let file = RulesFile { name: "fuzz.yaml".to_owned(), content: content.to_vec() };
    load(vec![file], &environment(), &settings())
}

/// Loads one file and asks for everything that can be made of the outcome.
pub fn load_and_report(content: &[u8]) -> Load {
    let loaded = load_file(content);
    for report in &loaded.reports {
        report.to_text();
        serde_json::to_value(report).expect("reports are JSON");
        report.render(false);
        report.summary();
        report.skipped();
    }
    if let Some(ruleset) = &loaded.ruleset {
        ruleset.describe(None, &environment());
        ruleset.describe_text(None);
        if let Some(rule) = ruleset.rules().next() {
            ruleset.describe(Some(&rule.name), &environment());
            ruleset.describe_text(Some(&rule.name));
        }
    }
    loaded
}

/// A scalar in double quotes, with an escape for whatever could end it or be refused in it.
pub fn quote(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            _ => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

fn environment() -> Environment {
    let source = |name: &str, classes| EventSource {
        name: name.to_owned(),
        fields: FieldCatalogue { classes, static_values: vec!["here".to_owned()] },
    };
    Environment {
        sources: vec![
            source("syscall", vec![generic_class()]),
            source(SOURCE, vec![generic_class(), static_class(), plugin_class(test_fields())]),
            source("k8s_audit", vec![generic_class(), plugin_class(audit_fields())]),
        ],
        plugins: vec![PluginVersion { name: "test".to_owned(), version: "0.3.2".to_owned() }],
    }
}

/// Settings under which every file is checked and every rule that can match does.
fn settings() -> Settings {
    let append = AppendOutput {
        extra_output: Some("key=%t.key[a]".to_owned()),
        extra_fields: vec![
            ExtraField::Field("t.u".to_owned()),
            ExtraField::Formatted { key: "k".to_owned(), format: "%t.s".to_owned() },
        ],
        suggested_output: true,
        source: Some(SOURCE.to_owned()),
        ..AppendOutput::default()
    };
    let off = Selection { enable: false, rule: Some("*off*".to_owned()), tag: None };
    let on = Selection { enable: true, rule: None, tag: Some("on".to_owned()) };
    Settings {
        priority: Priority::Debug,
        rule_matching: RuleMatching::All,
        selections: vec![off, on],
        append_output: vec![append],
        stop_at_first_error: false,
    }
}

fn static_class() -> FieldClass {
    FieldClass {
        name: "static".to_owned(),
        description: String::new(),
        provider: Provider::Static,
        fields: vec![field("static.host", FieldType::String, false)],
    }
}

fn plugin_class(fields: Vec<FieldDefinition>) -> FieldClass {
    FieldClass {
        name: "test (plugin)".to_owned(),
        description: String::new(),
        provider: Provider::Plugin(0),
        fields,
    }
}

fn field(name: &str, kind: FieldType, is_list: bool) -> FieldDefinition {
    FieldDefinition {
        name: name.to_owned(),
        kind,
        is_list,
        argument: None,
        description: String::new(),
        hidden: false,
        suggested: false,
    }
}

/// A field of every type, as single value and as list, and of every kind of argument.
fn test_fields() -> Vec<FieldDefinition> {
    let argument = |required, index, key| Some(ArgumentRule { required, index, key });
    let singles = TYPES.map(|(letter, kind)| field(&format!("t.{letter}"), kind, false));
    let lists = TYPES.map(|(letter, kind)| field(&format!("t.l{letter}"), kind, true));
    let text = |name: &str, is_list| field(name, FieldType::String, is_list);
    let with_argument = [
        FieldDefinition { argument: argument(true, false, true), ..text("t.key", false) },
        FieldDefinition { argument: argument(false, true, false), ..text("t.idx", true) },
        FieldDefinition { argument: argument(false, true, true), ..text("t.any", false) },
        FieldDefinition { suggested: true, ..text("t.sugg", false) },
    ];
    singles.into_iter().chain(lists).chain(with_argument).collect()
}

/// The fields that the rules we ship name, so that pieces of them are a start.
fn audit_fields() -> Vec<FieldDefinition> {
    ["ka.verb", "ka.stage", "ka.user.name", "ka.target.resource", "ka.target.name", "ka.uri"]
        .map(|name| field(name, FieldType::String, false))
        .into()
}
