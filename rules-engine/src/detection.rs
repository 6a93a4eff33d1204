//! What a matching rule yields.

use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::priority::Priority;

/// The parts of a rule that an alert shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// The rule's name, unique over all sources.
    pub name: String,
    /// How severe a match is.
    pub priority: Priority,
    /// The event source whose events it sees.
    pub source: String,
    /// Sorted, without duplicates.
    pub tags: Arc<[String]>,
    /// Position among all loaded rules, the order of statistics.
    pub position: usize,
}

/// A rule matched an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// The rule that matched.
    pub rule: Arc<RuleInfo>,
    /// The event's time in nanoseconds since the Unix epoch.
    pub timestamp_ns: u64,
    /// The rule's output with its fields filled in, without time and priority. Invalid UTF-8 is replaced.
    pub message: String,
    /// Fields of the output and extra fields by name, sorted by name; `evt.time` of the prefix is not among
    /// them unless the output names it.
    pub fields: Vec<(Arc<str>, OutputValue)>,
}

/// A field's value as JSON output shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputValue {
    /// No value: `null`.
    Missing,
    /// Text; invalid UTF-8 is replaced.
    Text(String),
    /// A number, or a time of a plugin.
    Number(u64),
    /// A time of `evt.*`. Stock writes them as signed: nanoseconds after the year 2262 are negative.
    Time(i64),
    /// A truth value.
    Bool(bool),
    /// All values of a list field.
    List(Vec<OutputValue>),
}

impl Serialize for OutputValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            OutputValue::Missing => serializer.serialize_none(),
            OutputValue::Text(text) => serializer.serialize_str(text),
            OutputValue::Number(number) => serializer.serialize_u64(*number),
            OutputValue::Time(time) => serializer.serialize_i64(*time),
            OutputValue::Bool(truth) => serializer.serialize_bool(*truth),
            OutputValue::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(value)?;
                }
                list.end()
            }
        }
    }
}
