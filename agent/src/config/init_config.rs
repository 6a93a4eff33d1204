//! `init_config` of a plugin as the text that the plugin gets.

use serde_json::{Map, Value as Json};

use super::number;
use super::tree::{Node, Scalar, Value};

/// A string is passed as it is, a map as compact JSON with sorted keys.
///
/// Unlike stock, quoted scalars stay strings, whole numbers keep all 64 bits, and empty maps and
/// lists stay empty maps and lists.
pub(super) fn init_config_text(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::Null => Ok(String::new()),
        Value::Scalar(scalar) => Ok(scalar.text.clone()),
        Value::Map(_) => Ok(json(node).to_string()),
        Value::List(_) => Err("could not load plugins config: expected a map or a string, \
                               found a list"
            .to_string()),
    }
}

/// A tree as the JSON that it looks like.
pub(super) fn json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar(scalar) => scalar_json(scalar),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            let members = sorted.into_iter().map(|entry| (entry.key.clone(), json(&entry.value)));
            Json::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// A scalar as what it looks like, unless it is quoted.
pub(super) fn scalar_json(scalar: &Scalar) -> Json {
    let text = &scalar.text;
    if scalar.quoted {
        return text.as_str().into();
    }
    if let Some(integer) = number::integer(text) {
        let unsigned = u64::try_from(integer).map(Json::from);
        let signed = || i64::try_from(integer).map(Json::from);
        if let Ok(number) = unsigned.or_else(|_| signed()) {
            return number;
        }
    }
    if let Some(float) = number::float(text) {
        return float.into();
    }
    if let Some(flag) = number::boolean(text) {
        return flag.into();
    }
    text.as_str().into()
}
