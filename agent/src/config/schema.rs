//! The JSON schema of the configuration, made of what reading it asks for: so it cannot differ from the checks.

use serde_json::{Map, Value, json};

use super::Config;
use super::finding::Findings;
use super::section::Section;

/// A key that was asked for.
#[derive(Clone, Debug)]
pub(super) struct KnownKey {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    pub(super) is_required: bool,
}

/// What a value may be. A key without a value counts as missing, whatever its shape.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    Any,
    /// A single value, whatever it looks like.
    Scalar,
    Flag,
    Integer {
        minimum: Option<i128>,
        maximum: Option<i128>,
    },
    Word(Vec<String>),
    /// A list, or one item without it.
    OneOrMore(Box<Shape>),
    Either(Vec<Shape>),
    Section(Vec<KnownKey>),
    /// A map with keys of the user's choice.
    Map(Box<Shape>),
    /// Known, but no longer right.
    Removed,
}

/// What `--config-schema` prints.
pub(crate) fn schema() -> Value {
    let keys = Section::keys_of(&mut Config::read, &mut Findings::default());
    let mut schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Configuration of Shikra",
        "definitions": {
            "text": { "type": ["string", "number", "boolean", "null"] },
            "flag": {
                "anyOf": [
                    { "type": ["boolean", "null"] },
                    text(r"^(y|Y|yes|Yes|YES|on|On|ON|n|N|no|No|NO|off|Off|OFF|[tT]rue|TRUE|[fF]alse|FALSE)?$"),
                    { "$ref": "#/definitions/variable" },
                ],
            },
            "number-as-text": text(r"^([-+]?(0[xX][0-9a-fA-F]+|[0-9]+))?$"),
            "variable": text(r"\$\{"),
        },
    });
    let root = Shape::Section(keys).to_json();
    let members = schema.as_object_mut().expect("an object was written");
    members.extend(root.as_object().cloned().expect("a section is an object"));
    schema
}

impl Shape {
    /// The whole numbers that `T` can hold.
    pub(super) fn integer<T: TryFrom<i128>>() -> Shape {
        let fits = |number: i128| T::try_from(number).is_ok();
        let limits = [u8::MAX.into(), u16::MAX.into(), u32::MAX.into(), u64::MAX.into()];
        Shape::Integer {
            minimum: [0, 1].into_iter().find(|minimum| !fits(minimum - 1)),
            maximum: limits.into_iter().find(|maximum| !fits(maximum + 1)),
        }
    }

    pub(super) fn word(words: &[&str]) -> Shape {
        Shape::Word(words.iter().map(|&word| word.to_owned()).collect())
    }

    /// Words in lower case that may be written in upper case and Capitalised too.
    pub(super) fn word_in_any_case(words: &[&str]) -> Shape {
        let capitalised = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
        let forms =
            |word: &&str| [(*word).to_owned(), capitalised(word), word.to_ascii_uppercase()];
        Shape::Word(words.iter().flat_map(forms).collect())
    }

    fn to_json(&self) -> Value {
        match self {
            Shape::Any => json!(true),
            Shape::Scalar => json!({ "$ref": "#/definitions/text" }),
            Shape::Flag => json!({ "$ref": "#/definitions/flag" }),
            Shape::Integer { minimum, maximum } => {
                let mut number = json!({ "type": ["integer", "null"] });
                for (name, limit) in [("minimum", minimum), ("maximum", maximum)] {
                    if let Some(limit) = limit.and_then(|limit| u64::try_from(limit).ok()) {
                        number[name] = limit.into();
                    }
                }
                json!({ "anyOf": [
                    number,
                    { "$ref": "#/definitions/number-as-text" },
                    { "$ref": "#/definitions/variable" },
                ] })
            }
            Shape::Word(words) => {
                let mut words: Vec<_> = words.iter().map(|word| json!(word)).collect();
                words.extend([json!(""), Value::Null]);
                json!({ "anyOf": [{ "enum": words }, { "$ref": "#/definitions/variable" }] })
            }
            Shape::OneOrMore(item) => {
                let item = item.to_json();
                json!({ "anyOf": [{ "type": "array", "items": item }, item, { "type": "null" }] })
            }
            Shape::Either(shapes) => {
                json!({ "anyOf": shapes.iter().map(Shape::to_json).collect::<Vec<_>>() })
            }
            Shape::Section(keys) => section(keys),
            Shape::Map(value) => {
                json!({ "type": ["object", "null"], "additionalProperties": value.to_json() })
            }
            Shape::Removed => json!(false),
        }
    }
}

fn section(keys: &[KnownKey]) -> Value {
    let mut properties = Map::new();
    for key in keys.iter().filter(|key| !matches!(key.shape, Shape::Removed)) {
        // Of a key that is looked at twice, the first look asks for all.
        properties.entry(key.name).or_insert_with(|| key.shape.to_json());
    }
    let required: Vec<_> = keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    let mut section = json!({
        "type": ["object", "null"],
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        section["type"] = json!("object");
        section["required"] = required.into();
    }
    section
}

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}
