//! The whole document, indented.

use anyhow::Context;
use plugin_support::json::{Document, Kind, Value};
use serde::de::IgnoredAny;

/// The document with a line for each member and element, two blanks a level; what follows the value is kept.
///
/// Source: `json.Indent` of Go, which the stock plugin uses.
///
/// # Errors
///
/// When the document is not strict JSON: the other fields are less particular.
pub(crate) fn indented(document: &Document) -> anyhow::Result<Vec<u8>> {
    let text = document.text();
    serde_json::from_slice::<IgnoredAny>(text).context("the payload is not strict JSON")?;
    let root = document.root();
    let mut out = Vec::with_capacity(text.len() * 2);
    write(root, 0, &mut out);
    out.extend_from_slice(&text[root.offset() + root.raw().len()..]);
    Ok(out)
}

/// Recursion is bounded: documents do not nest deeper than `MAX_DEPTH`.
fn write(value: Value<'_>, level: usize, out: &mut Vec<u8>) {
    match value.kind() {
        Kind::Object => {
            out.push(b'{');
            let mut is_empty = true;
            for (key, member) in value.members() {
                start_line(!is_empty, level + 1, out);
                is_empty = false;
                out.extend_from_slice(key.raw());
                out.extend_from_slice(b": ");
                write(member, level + 1, out);
            }
            end(is_empty, b'}', level, out);
        }
        Kind::Array => {
            out.push(b'[');
            let mut is_empty = true;
            for element in value.elements() {
                start_line(!is_empty, level + 1, out);
                is_empty = false;
                write(element, level + 1, out);
            }
            end(is_empty, b']', level, out);
        }
        _ => out.extend_from_slice(value.raw()),
    }
}

fn start_line(is_after_another: bool, level: usize, out: &mut Vec<u8>) {
    if is_after_another {
        out.push(b',');
    }
    out.push(b'\n');
    out.resize(out.len() + 2 * level, b' ');
}

fn end(is_empty: bool, bracket: u8, level: usize, out: &mut Vec<u8>) {
    if !is_empty {
        start_line(false, level, out);
    }
    out.push(bracket);
}
