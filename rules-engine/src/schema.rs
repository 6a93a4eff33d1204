//! Checks a rules file against the schema that Falco publishes for rules files.
//!
//! A failed check never fails the load; it is reported beside errors and warnings. Texts and order
//! are those of the validator that Falco uses, so reports can be compared.

mod shape;

use std::fmt;

use crate::document::{Documents, Node};
pub use shape::json_schema;
use shape::{RULES, Shape};

/// The outcome of the check: one entry per violation, and `ok` for each valid document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaStatus {
    entries: Vec<String>,
}

const OK: &str = "ok";

impl SchemaStatus {
    /// Checks all documents of a file; those without content do not count.
    pub(crate) fn of(documents: &Documents) -> Self {
        let mut entries = Vec::new();
        for root in documents.roots().filter(|root| !root.is_null()) {
            let before = entries.len();
            check(root, &RULES, "<root>", &mut entries);
            if entries.len() == before {
                entries.push(OK.to_owned());
            }
        }
        SchemaStatus { entries }
    }

    /// `None` when nothing was checked. Only the first document decides, as in Falco.
    pub(crate) fn is_valid(&self) -> Option<bool> {
        self.entries.first().map(|first| first == OK)
    }

    /// The violations; none when the first document is valid.
    pub(crate) fn warnings(&self) -> &[String] {
        if self.is_valid() == Some(false) { &self.entries } else { &[] }
    }
}

impl fmt::Display for SchemaStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_valid() {
            None => f.write_str("none"),
            Some(true) => f.write_str(OK),
            Some(false) => write!(f, "failed {}", self.entries[0]),
        }
    }
}

/// Checks one node and says whether it is valid. Violations go innermost first.
fn check(node: Node<'_>, shape: &Shape, path: &str, out: &mut Vec<String>) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Text => check_type(node.scalar().is_some(), path, out),
        Shape::Bool => check_type(matches!(node.scalar(), Some("true" | "false")), path, out),
        Shape::Integer => {
            let is_integer = node.scalar().is_some_and(|text| text.parse::<i64>().is_ok());
            check_type(is_integer, path, out)
        }
        Shape::OneOf(words) => {
            let is_text = check_type(node.scalar().is_some(), path, out);
            let is_known = node.scalar().is_some_and(|text| words.contains(&text));
            if !is_known {
                fail(path, "Failed to match against any enum values.", out);
            }
            is_text && is_known
        }
        Shape::Scalar => check_scalar(node, path, out),
        Shape::Array(element) => check_array(node, element, path, out),
        Shape::Object { properties, required, min_properties } => {
            if !check_type(node.is_mapping(), path, out) {
                return false;
            }
            let is_large_enough = node.members().len() >= *min_properties;
            if !is_large_enough {
                let message =
                    format!("Object should have no fewer than {min_properties} properties.");
                fail(path, &message, out);
            }
            let mut is_valid = check_properties(node, properties, path, out);
            for name in required.iter().filter(|name| node.get(name).is_none()) {
                fail(path, &format!("Missing required property '{name}'."), out);
                is_valid = false;
            }
            is_valid && is_large_enough
        }
    }
}

fn fail(path: &str, message: &str, out: &mut Vec<String>) {
    out.push(format!("failed for {path}: {message}"));
}

fn check_type(is_valid: bool, path: &str, out: &mut Vec<String>) -> bool {
    if !is_valid {
        fail(path, "Value type not permitted by 'type' constraint.", out);
    }
    is_valid
}

/// An integer or a text, and every scalar is a text.
fn check_scalar(node: Node<'_>, path: &str, out: &mut Vec<String>) -> bool {
    if node.scalar().is_some() {
        return true;
    }
    for alternative in 0..2 {
        check_type(false, path, out);
        fail(path, &format!("Failed to validate against child schema #{alternative}."), out);
    }
    fail(path, "Failed to validate against any schemas allowed by anyOf constraint.", out);
    false
}

fn check_array(node: Node<'_>, element: &Shape, path: &str, out: &mut Vec<String>) -> bool {
    let Some(elements) = node.elements() else {
        return check_type(false, path, out);
    };
    let mut is_valid = true;
    for (index, node) in elements.enumerate() {
        if !check(node, element, &format!("{path}[{index}]"), out) {
            fail(path, &format!("Failed to validate item #{index} in array."), out);
            is_valid = false;
        }
    }
    is_valid
}

fn check_properties(
    node: Node<'_>,
    properties: &[(&str, Shape)],
    path: &str,
    out: &mut Vec<String>,
) -> bool {
    let mut is_valid = true;
    for (name, shape) in properties {
        let Some(value) = node.get(name) else { continue };
        if !check(value, shape, &format!("{path}[{name}]"), out) {
            let message = format!(
                "Failed to validate against schema associated with property name '{name}'."
            );
            fail(path, &message, out);
            is_valid = false;
        }
    }
    let is_known = |key: &str| properties.iter().any(|(name, _)| *name == key);
    let unknown = node
        .members()
        .map(|(key, _)| key.scalar().unwrap_or_default())
        .find(|key| !is_known(key))
        // The validator counts a repeated key as an unknown one and finds no name for it.
        .or_else(|| has_repeated_key(node).then_some(""));
    if let Some(key) = unknown {
        let message = format!(
            "Object contains a property that could not be validated using 'properties' or \
             'additionalProperties' constraints: '{key}'."
        );
        fail(path, &message, out);
        is_valid = false;
    }
    is_valid
}

fn has_repeated_key(node: Node<'_>) -> bool {
    let mut keys: Vec<&str> = node.members().filter_map(|(key, _)| key.scalar()).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::document::parse;
    use crate::text::RulesText;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let documents = parse(&Arc::new(RulesText::new("r", text.as_bytes()))).unwrap();
        assert_eq!(SchemaStatus::of(&documents).entries, expected, "{text}");
    }

    #[test]
    fn violations_are_listed_from_the_inside_out() {
        check("", &[]);
        check("---\n", &[]);
        check("- required_engine_version: 63\n", &["ok"]);
        check(
            "- rule: x\n  priority: Warning\n",
            &[
                "failed for <root>[0][priority]: Failed to match against any enum values.",
                "failed for <root>[0]: Failed to validate against schema associated with property name 'priority'.",
                "failed for <root>: Failed to validate item #0 in array.",
            ],
        );
        check(
            "- list: x\n  items: [~]\n",
            &[
                "failed for <root>[0][items][0]: Value type not permitted by 'type' constraint.",
                "failed for <root>[0][items][0]: Failed to validate against child schema #0.",
                "failed for <root>[0][items][0]: Value type not permitted by 'type' constraint.",
                "failed for <root>[0][items][0]: Failed to validate against child schema #1.",
                "failed for <root>[0][items][0]: Failed to validate against any schemas allowed by anyOf constraint.",
                "failed for <root>[0][items]: Failed to validate item #0 in array.",
                "failed for <root>[0]: Failed to validate against schema associated with property name 'items'.",
                "failed for <root>: Failed to validate item #0 in array.",
            ],
        );
    }

    #[test]
    fn the_first_document_decides() {
        check(
            "a: 1\n---\n[]\n",
            &["failed for <root>: Value type not permitted by 'type' constraint.", "ok"],
        );
    }
}
