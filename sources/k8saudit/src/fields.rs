//! The `ka.*` fields: what each is called, and how its value is found in an audit event.
//!
//! Whatever is no value for a rule (a missing member, an empty list, a list where a text should be) is one thing here:
//! `None`, or no values.

mod methods;
mod query;
mod table;

use anyhow::ensure;
use plugin_support::json::{Document, Kind, Value};

pub(crate) use table::FIELDS;

/// A field's value, or one of its values: bytes, since JSON text need not be UTF-8.
type Text = Vec<u8>;

/// What a method looks for: mostly the members to go through, from the outside to the inside.
type Path = &'static [&'static str];

/// A row of the table.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) description: &'static str,
    pub(crate) method: Method,
}

/// How a field's value is found, and with it whether the field is a list and what argument it takes.
#[derive(Debug)]
pub(crate) enum Method {
    /// One text, no argument.
    Text(fn(Value<'_>, Path) -> Option<Text>, Path),
    /// One text, a required key.
    Keyed(fn(Value<'_>, &[u8]) -> Option<Text>),
    /// A list, no argument.
    List(fn(Value<'_>, Path, Option<u64>) -> Vec<Text>, Path),
    /// A list, or of the outermost array on the path only what is at an index.
    Indexed(fn(Value<'_>, Path, Option<u64>) -> Vec<Text>, Path),
}

impl Field {
    /// The field's text; `key` is for fields that take one.
    pub(crate) fn text(&self, event: Value<'_>, key: &[u8]) -> Option<Text> {
        match self.method {
            Method::Text(method, path) => method(event, path),
            Method::Keyed(method) => method(event, key),
            Method::List(..) | Method::Indexed(..) => None,
        }
    }

    /// The field's list; `index` is for fields that take one.
    pub(crate) fn list(&self, event: Value<'_>, index: Option<u64>) -> Vec<Text> {
        match self.method {
            Method::List(method, path) => method(event, path, None),
            Method::Indexed(method, path) => method(event, path, index),
            Method::Text(..) | Method::Keyed(_) => Vec::new(),
        }
    }
}

/// The audit event in a payload; `None` for JSON that is none, which no field has a value for.
///
/// # Errors
///
/// When the payload does not start with an object or an array.
pub(crate) fn audit_event(document: &Document) -> anyhow::Result<Option<Value<'_>>> {
    let root = document.root();
    let is_container = matches!(root.kind(), Kind::Object | Kind::Array);
    ensure!(
        is_container && root.offset() == 0,
        "the payload does not start with an object or an array"
    );
    Ok(root.get(b"auditID").is_some().then_some(root))
}

#[cfg(test)]
mod tests;
