//! What an alert contains and how it is written.

use rules_engine::{AppendOutput, ExtraField};

use super::schema::Shape;
use super::section::Section;
use super::tree::Value;

/// The settings that shape an alert, wherever it is sent.
#[derive(Clone, Debug)]
pub(crate) struct AlertsConfig {
    /// JSON lines instead of text.
    pub(crate) json: bool,
    /// Whether a JSON alert has the key `output`.
    pub(crate) json_output: bool,
    /// Whether a JSON alert has the key `message`.
    pub(crate) json_message: bool,
    /// Whether a JSON alert has the key `output_fields`.
    pub(crate) json_output_fields: bool,
    /// Whether a JSON alert has the key `tags`.
    pub(crate) json_tags: bool,
    /// Additions to the rules' outputs, all that fit apply in order.
    pub(crate) append_output: Vec<AppendOutput>,
    /// Values of the fields `static.NAME`.
    pub(crate) static_fields: Vec<(String, String)>,
}

impl AlertsConfig {
    pub(super) fn read(root: &mut Section<'_, '_>) -> AlertsConfig {
        AlertsConfig {
            json: root.flag("json_output", false),
            json_output: root.flag("json_include_output_property", true),
            json_message: root.flag("json_include_message_property", false),
            json_output_fields: root.flag("json_include_output_fields_property", true),
            json_tags: root.flag("json_include_tags_property", true),
            append_output: root.sections("append_output", read_append_output),
            static_fields: root.map_of_texts("static_fields"),
        }
    }
}

fn read_append_output(section: &mut Section<'_, '_>) -> AppendOutput {
    let (source, rule, tags) = section.section("match", |section| {
        let mut text = |key| section.optional_text(key).map(str::to_string);
        (text("source"), text("rule"), section.texts("tags"))
    });
    if let Some(rule) = rule.as_deref().filter(|_| !tags.is_empty()) {
        let text = format!(
            "An append_ouptut entry specifies both a rule ({rule}) and a list of tags. This means \
             that output will be appended only to the rule, and only if it has all the tags."
        );
        section.findings().warning(text);
    }
    AppendOutput {
        source,
        rule,
        tags,
        extra_output: section.optional_text("extra_output").map(str::to_string),
        extra_fields: read_extra_fields(section),
        suggested_output: section.flag("suggested_output", false),
    }
}

fn read_extra_fields(section: &mut Section<'_, '_>) -> Vec<ExtraField> {
    let key = "extra_fields";
    let name_and_format = Shape::Map(Box::new(Shape::Scalar));
    let shape = Shape::OneOrMore(Box::new(Shape::Either(vec![Shape::Scalar, name_and_format])));
    let Some(entry) = section.entry(key, shape) else { return Vec::new() };
    let items = match &entry.value.value {
        Value::List(items) => items.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };
    let mut fields = Vec::new();
    for item in items {
        match &item.value {
            Value::Scalar(scalar) => fields.push(ExtraField::Field(scalar.text.clone())),
            Value::Map(entries) => {
                for entry in entries {
                    let Value::Scalar(template) = &entry.value.value else {
                        section.problem(key, "expected a field or `name: template`");
                        continue;
                    };
                    let is_defined = fields.iter().any(|field| {
                        matches!(field, ExtraField::Formatted { key, .. } if *key == entry.key)
                    });
                    if is_defined {
                        section.problem(key, &format!("`{}` is defined twice", entry.key));
                    }
                    fields.push(ExtraField::Formatted {
                        key: entry.key.clone(),
                        format: template.text.clone(),
                    });
                }
            }
            Value::Null | Value::List(_) => {
                section.problem(key, "expected a field or `name: template`");
            }
        }
    }
    fields
}
