//! Loading rules files, from text to programs and reports.
//!
//! The cases are those of the recorded behaviour of Falco, engine 0.63.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod expansion;
mod outcome;
mod rendering;
mod report;

use rules_engine::{
    ArgumentRule, Environment, EventSource, FieldCatalogue, FieldClass, FieldDefinition, FieldType,
    Load, PluginVersion, Provider, RulesFile, Settings, generic_class, load,
};

/// Fields of the source `tsrc`.
const FIELDS: [(&str, FieldType, bool); 10] = [
    ("t.str", FieldType::String, false),
    ("t.up", FieldType::String, false),
    ("t.empty", FieldType::String, false),
    ("t.u", FieldType::Uint64, false),
    ("t.t", FieldType::Bool, false),
    ("t.ip4", FieldType::IpAddr, false),
    ("t.ls", FieldType::String, true),
    ("t.key", FieldType::String, false),
    ("t.idx", FieldType::String, false),
    ("t.sugg", FieldType::String, false),
];

fn field(name: &str, kind: FieldType, is_list: bool) -> FieldDefinition {
    let argument = match name {
        "t.key" => Some(ArgumentRule { required: true, index: false, key: true }),
        "t.idx" => Some(ArgumentRule { required: false, index: true, key: false }),
        _ => None,
    };
    FieldDefinition {
        name: name.to_owned(),
        kind,
        is_list,
        argument,
        description: String::new(),
        hidden: false,
        suggested: name == "t.sugg",
    }
}

fn source(name: &str, class: &str, fields: Vec<FieldDefinition>) -> EventSource {
    let class = FieldClass {
        name: format!("{class} (plugin)"),
        description: String::new(),
        provider: Provider::Plugin(0),
        fields,
    };
    let classes = vec![generic_class(), class];
    EventSource {
        name: name.to_owned(),
        fields: FieldCatalogue { classes, static_values: Vec::new() },
    }
}

fn environment() -> Environment {
    let fields = FIELDS.iter().map(|(name, kind, is_list)| field(name, *kind, *is_list));
    let audit = ["ka.verb", "ka.target.resource"].map(|name| field(name, FieldType::String, false));
    let generic = FieldCatalogue { classes: vec![generic_class()], static_values: Vec::new() };
    Environment {
        sources: vec![
            EventSource { name: "syscall".to_owned(), fields: generic },
            source("tsrc", "test", fields.collect()),
            source("k8s_audit", "k8saudit", audit.into()),
        ],
        plugins: vec![PluginVersion { name: "test".to_owned(), version: "0.3.2".to_owned() }],
    }
}

fn files(texts: &[&str]) -> Vec<RulesFile> {
    let file = |(index, text): (usize, &&str)| RulesFile {
        name: format!("rules{}.yaml", if index == 0 { String::new() } else { index.to_string() }),
        content: text.as_bytes().to_vec(),
    };
    texts.iter().enumerate().map(file).collect()
}

/// Loads files as a validation does: all of them, whatever is wrong.
fn validated(texts: &[&str]) -> Load {
    let settings = Settings { stop_at_first_error: false, ..Settings::default() };
    load(files(texts), &environment(), &settings)
}

/// A rule of the source `tsrc` with further keys.
fn rule(name: &str, condition: &str, more: &str) -> String {
    format!(
        "- rule: {name}\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n  \
         source: tsrc\n{more}"
    )
}
