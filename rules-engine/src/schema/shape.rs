//! What a rules file looks like, according to the schema of engine 0.63 (`falco --rule-schema`).

use serde_json::{Map, Value, json};

/// What a node must be. Types are weak: any scalar is a text.
pub(super) enum Shape {
    Any,
    Text,
    Bool,
    Integer,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// An integer or a text.
    Scalar,
    Array(&'static Shape),
    Object {
        /// By name, in the order in which the validator visits them.
        properties: &'static [(&'static str, Shape)],
        required: &'static [&'static str],
        min_properties: usize,
    },
}

pub(super) static RULES: Shape = Shape::Array(&ITEM);

/// One flat type for items of every kind.
static ITEM: Shape = Shape::Object {
    properties: &[
        ("append", Shape::Bool),
        ("capture", Shape::Bool),
        ("capture_duration", Shape::Integer),
        ("condition", Shape::Text),
        ("desc", Shape::Text),
        ("enabled", Shape::Bool),
        ("exceptions", Shape::Array(&EXCEPTION)),
        ("items", Shape::Array(&Shape::Scalar)),
        ("list", Shape::Text),
        ("macro", Shape::Text),
        ("output", Shape::Text),
        ("override", OVERRIDE),
        ("priority", PRIORITY),
        ("required_engine_version", Shape::Text),
        ("required_plugin_versions", Shape::Array(&PLUGIN_VERSION)),
        ("rule", Shape::Text),
        ("skip-if-unknown-filter", Shape::Bool),
        ("source", Shape::Text),
        ("tags", Shape::Array(&Shape::Text)),
        ("warn_evttypes", Shape::Bool),
    ],
    required: &[],
    min_properties: 0,
};

static EXCEPTION: Shape = Shape::Object {
    properties: &[
        ("comps", Shape::Any),
        ("fields", Shape::Any),
        ("name", Shape::Text),
        ("values", Shape::Any),
    ],
    required: &["name"],
    min_properties: 0,
};

const OPERATION: Shape = Shape::OneOf(&["append", "replace"]);

const OVERRIDE: Shape = Shape::Object {
    properties: &[
        ("capture", OPERATION),
        ("capture_duration", OPERATION),
        ("condition", OPERATION),
        ("desc", OPERATION),
        ("enabled", OPERATION),
        ("exceptions", OPERATION),
        ("items", OPERATION),
        ("output", OPERATION),
        ("priority", OPERATION),
        ("skip-if-unknown-filter", OPERATION),
        ("tags", OPERATION),
        ("warn_evttypes", OPERATION),
    ],
    required: &[],
    min_properties: 1,
};

const PRIORITY: Shape = Shape::OneOf(&[
    "EMERGENCY",
    "ALERT",
    "CRITICAL",
    "ERROR",
    "WARNING",
    "NOTICE",
    "INFO",
    "INFORMATIONAL",
    "DEBUG",
]);

static PLUGIN_VERSION: Shape = Shape::Object {
    properties: &[
        ("alternatives", Shape::Array(&ALTERNATIVE)),
        ("name", Shape::Text),
        ("version", Shape::Text),
    ],
    required: &["name", "version"],
    min_properties: 0,
};

static ALTERNATIVE: Shape = Shape::Object {
    properties: &[("name", Shape::Text), ("version", Shape::Text)],
    required: &["name", "version"],
    min_properties: 0,
};

/// What a rules file looks like, as a JSON schema: the one that [`load`](crate::load()) checks files against.
///
/// Texts may look like numbers or truth values, as everywhere in YAML.
pub fn json_schema() -> Value {
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Rules file of Falco and Shikra",
    });
    let root = RULES.to_json();
    let members = schema.as_object_mut().expect("an object was written");
    members.extend(root.as_object().cloned().expect("a list has a schema of several keys"));
    schema
}

impl Shape {
    fn to_json(&self) -> Value {
        match self {
            Shape::Any => json!(true),
            Shape::Text | Shape::Scalar => json!({ "type": ["string", "number", "boolean"] }),
            Shape::Bool => json!({ "type": "boolean" }),
            Shape::Integer => json!({ "type": "integer" }),
            Shape::OneOf(words) => json!({ "enum": words }),
            Shape::Array(item) => json!({ "type": "array", "items": item.to_json() }),
            Shape::Object { properties, required, min_properties } => {
                let properties =
                    properties.iter().map(|(name, shape)| ((*name).to_owned(), shape.to_json()));
                json!({
                    "type": "object",
                    "properties": properties.collect::<Map<_, _>>(),
                    "required": required,
                    "minProperties": min_properties,
                    "additionalProperties": false,
                })
            }
        }
    }
}
