//! Describes loaded rules, macros and lists: what `-L` and `-l` print.
//!
//! Source: `falco_engine::describe_rule` and its kin, engine 0.63. Everything is worked out anew from
//! the definitions, which is rare and cheaper than keeping it.

use std::collections::BTreeSet;

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Value, json};

use crate::condition::ast::{Ast, Check, Term, Test};
use crate::condition::parse;
use crate::field::Provider;
use crate::load::{Environment, Ruleset, SYSCALL};
use crate::ruleset::{
    ExceptionShape, Findings, List, Lists, MAX_CONDITION_DEPTH, Macro, Macros, PluginRequirement,
    Rule, folded_condition, for_each_check, for_each_field, for_each_macro,
};
use crate::text::TracedText;

impl Ruleset {
    /// All rules, macros, lists and requirements, or one rule alone; `None` if there is no such rule.
    /// `environment` must be the one that the rules were loaded in.
    pub fn describe(&self, rule: Option<&str>, environment: &Environment) -> Option<Value> {
        let is_loaded = self.loaded();
        let mut describer = Describer::new(self, environment);
        if let Some(name) = rule {
            let rule = self.definitions.rules.get(name).filter(|rule| is_loaded(rule))?;
            return Some(json!({ "rules": [describer.rule(rule)] }));
        }
        let definitions = &self.definitions;
        let [major, minor, patch] = definitions.required_engine_version;
        let plugins: Vec<Value> = definitions.plugin_requirements.iter().map(requirement).collect();
        let rules = definitions.rules.iter().filter(|rule| is_loaded(rule));
        Some(json!({
            "required_engine_version": format!("{major}.{minor}.{patch}"),
            "required_plugin_versions": plugins,
            "rules": rules.map(|rule| describer.rule(rule)).collect::<Vec<_>>(),
            "macros": definitions.macros.iter().map(|it| describer.macro_(it)).collect::<Vec<_>>(),
            "lists": definitions.lists.iter().map(|it| describer.list(it)).collect::<Vec<_>>(),
        }))
    }

    /// Names and descriptions of all rules or of one; `None` if there is no such rule.
    pub fn describe_text(&self, rule: Option<&str>) -> Option<String> {
        let is_loaded = self.loaded();
        let is_meant = |it: &&Rule| is_loaded(it) && rule.is_none_or(|name| it.name == name);
        let rules: Vec<&Rule> = self.definitions.rules.iter().filter(is_meant).collect();
        if rule.is_some() && rules.is_empty() {
            return None;
        }
        let mut text = format!("{:50} {}\n", "Rule", "Description");
        text += &format!("{:50} {}\n", "----", "-----------");
        for rule in rules {
            text += &wrapped(&format!("{:50} {}", rule.name, rule.description));
            text.push('\n');
        }
        Some(text)
    }

    /// Tells of rules whether they were not left out for their source or their fields.
    fn loaded(&self) -> impl Fn(&Rule) -> bool {
        let names: FxHashSet<&str> = self.rules().map(|rule| rule.name.as_str()).collect();
        move |rule| names.contains(rule.name.as_str())
    }
}

/// Breaks a line at 110 columns and indents what follows by the width of the first column.
fn wrapped(text: &str) -> String {
    const WIDTH: usize = 110;
    const INDENT: usize = 51;
    let mut lines = String::new();
    let mut column = 0;
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if column + 1 + length > WIDTH && column > INDENT {
            lines.push('\n');
            lines += &" ".repeat(INDENT);
            column = INDENT;
        } else if index > 0 {
            lines.push(' ');
            column += 1;
        }
        lines += word;
        column += length;
    }
    lines.push('\n');
    lines
}

fn requirement(requirement: &PluginRequirement) -> Value {
    let entry = |(name, version): &(String, String)| json!({ "name": name, "version": version });
    let mut alternatives = requirement.alternatives.iter().map(entry);
    let mut main = alternatives.next().unwrap_or_default();
    main["alternatives"] = alternatives.collect();
    main
}

struct Describer<'r> {
    ruleset: &'r Ruleset,
    environment: &'r Environment,
    lists: Lists,
    macros: Macros,
    /// The plugin that extracts a field.
    plugins: FxHashMap<&'r str, &'r str>,
}

/// What a condition consists of.
#[derive(Default)]
struct Parts {
    compiled: String,
    macros: BTreeSet<String>,
    lists: Vec<String>,
    fields: BTreeSet<String>,
    operators: BTreeSet<&'static str>,
}

impl<'r> Describer<'r> {
    fn new(ruleset: &'r Ruleset, environment: &'r Environment) -> Self {
        let mut lists = Lists::new(&ruleset.definitions);
        // The rules are loaded, so there is nothing to find.
        let macros = Macros::new(&ruleset.definitions, &mut lists, &mut Findings::default());
        let classes = environment.sources.iter().flat_map(|source| &source.fields.classes);
        let plugins = classes
            .filter(|class| matches!(class.provider, Provider::Plugin(_)))
            .flat_map(|class| {
                let plugin = class.name.trim_end_matches(" (plugin)");
                class.fields.iter().map(move |field| (field.name.as_str(), plugin))
            })
            .collect();
        Describer { ruleset, environment, lists, macros, plugins }
    }

    fn plugins_of<'f>(&self, fields: impl Iterator<Item = &'f String>) -> BTreeSet<&'r str> {
        fields
            .filter_map(|field| self.plugins.get(field.split('[').next().unwrap_or(field)))
            .copied()
            .collect()
    }

    /// A rule's output with what the configuration appends, and the fields in it.
    fn output(&self, rule: &Rule) -> (String, BTreeSet<String>) {
        let sources = &self.environment.sources;
        let source = sources.iter().find(|source| source.name == rule.source);
        let Some(output) = source.and_then(|source| self.ruleset.output(rule, &source.fields))
        else {
            return Default::default();
        };
        let fields = output.template.fields().into_iter().map(|field| field.text.clone());
        (output.text.as_str().to_owned(), fields.collect())
    }

    fn parts(&mut self, condition: &TracedText, horizon: usize) -> Parts {
        let Ok((text, lists)) = self.lists.substitute(condition) else { return Parts::default() };
        let mut parts = Parts { lists, ..Parts::default() };
        let Ok(ast) = parse(text.as_str(), MAX_CONDITION_DEPTH) else { return parts };
        for_each_macro(&ast, &mut |name, _| {
            parts.macros.insert(name.to_owned());
        });
        let Ok(ast) = self.macros.resolve(ast, horizon) else { return parts };
        parts.compiled = ast.to_string();
        parts.add_checks(&ast);
        parts
    }

    fn rule(&mut self, rule: &Rule) -> Value {
        let folded = folded_condition(rule).unwrap_or_else(|_| rule.condition.clone());
        let written = self.parts(&rule.condition, usize::MAX);
        let compiled = self.parts(&folded, usize::MAX);
        let (output, output_fields) = self.output(rule);
        let exceptions = exceptions(rule);
        json!({
            "info": {
                "name": rule.name,
                "condition": rule.condition.as_str(),
                "priority": rule.priority.name(),
                "output": rule.output.as_str(),
                "description": rule.description,
                "enabled": rule.is_enabled,
                "source": rule.source,
                "capture": rule.capture,
                "capture_duration": rule.capture_duration,
                "tags": &*rule.tags,
            },
            "details": {
                "macros": written.macros,
                "lists": compiled.lists,
                "condition_operators": compiled.operators,
                "condition_fields": compiled.fields,
                "output_fields": output_fields,
                "exception_fields": exceptions.fields,
                "exception_names": exceptions.names,
                "exception_operators": exceptions.operators,
                "events": events(&rule.source),
                "condition_compiled": compiled.compiled,
                "output_compiled": output,
                "plugins": self.plugins_of(compiled.fields.iter().chain(&output_fields)),
            },
        })
    }

    fn macro_(&mut self, definition: &Macro) -> Value {
        let is_used = self.macros.is_used(&definition.name);
        let parts = self.parts(&definition.condition, definition.age.changed);
        json!({
            "info": { "name": definition.name, "condition": definition.condition.as_str() },
            "details": {
                "used": is_used,
                "macros": parts.macros,
                "lists": parts.lists,
                "condition_operators": parts.operators,
                "condition_fields": parts.fields,
                "events": [],
                "condition_compiled": parts.compiled,
                "plugins": self.plugins_of(parts.fields.iter()),
            },
        })
    }

    fn list(&self, definition: &List) -> Value {
        let texts = |items: &[TracedText]| -> Vec<String> {
            items.iter().map(|item| item.as_str().to_owned()).collect()
        };
        let expanded = self.lists.get(&definition.name);
        json!({
            "info": { "name": definition.name, "items": texts(&definition.items) },
            "details": {
                "used": expanded.is_some_and(|list| list.is_used),
                "lists": expanded.map(|list| list.names_lists.clone()),
                "items_compiled": expanded.map(|list| texts(&list.items)),
                "plugins": [],
            },
        })
    }
}

impl Parts {
    fn add_checks(&mut self, ast: &Ast) {
        for_each_check(ast, &mut |check| {
            self.operators.insert(operator(check));
            for_each_field(check, &mut |field| {
                if let Term::Field { name, .. } = field {
                    self.fields.insert(name.clone());
                }
            });
        });
    }
}

fn operator(check: &Check) -> &'static str {
    match &check.test {
        Test::Exists => "exists",
        Test::Constant { operator, .. }
        | Test::Modified { operator, .. }
        | Test::Set { operator, .. }
        | Test::Term { operator, .. } => operator.name(),
    }
}

/// A rule of a plugin's source sees the events of plugins.
fn events(source: &str) -> &'static [&'static str] {
    if source == SYSCALL { &[] } else { &["asyncevent", "pluginevent"] }
}

#[derive(Default)]
struct ExceptionParts<'r> {
    names: BTreeSet<&'r str>,
    fields: BTreeSet<&'r str>,
    operators: BTreeSet<&'r str>,
}

fn exceptions(rule: &Rule) -> ExceptionParts<'_> {
    let mut parts = ExceptionParts::default();
    for exception in &rule.exceptions {
        parts.names.insert(&exception.name);
        match &exception.shape {
            ExceptionShape::Field { field, operator } => {
                parts.fields.insert(field.as_str());
                parts.operators.insert(operator);
            }
            ExceptionShape::Fields(fields) => {
                for (field, operator) in fields {
                    parts.fields.insert(field.as_str());
                    parts.operators.insert(operator);
                }
            }
        }
    }
    parts
}
