//! JSON pointers, as the stock plugin reads them.

use std::borrow::Cow;
use std::str;

use plugin_support::json::{Document, Kind, Unparsed, Value};

/// The text of the value that `pointer` leads to; an empty pointer means the whole document.
///
/// Unlike RFC 6901 the first slash may be left out, and indices may have a sign and leading zeros.
/// Source: the stock plugin json 0.7.4.
pub(crate) fn text_at(document: &Document, pointer: &[u8]) -> Option<Vec<u8>> {
    let target = steps(pointer).try_fold(document.root(), |value, key| step(value, &key))?;
    Some(target.to_text())
}

/// As [`text_at`], in the text of a document of which it is known that it is JSON.
pub(crate) fn text_in(document: &[u8], pointer: &[u8]) -> Option<Vec<u8>> {
    let root = Unparsed::new(document);
    let target = steps(pointer).try_fold(root, |value, key| {
        if value.is_object() { value.get(&key) } else { value.at(index(&key)?) }
    })?;
    target.to_text()
}

fn steps(pointer: &[u8]) -> impl Iterator<Item = Cow<'_, [u8]>> {
    let rest = pointer.strip_prefix(b"/").unwrap_or(pointer);
    // An empty pointer has no steps, a slash alone has an empty one.
    let steps = (!pointer.is_empty()).then(|| rest.split(|&byte| byte == b'/'));
    steps.into_iter().flatten().map(unescape)
}

fn step<'d>(value: Value<'d>, key: &[u8]) -> Option<Value<'d>> {
    match value.kind() {
        Kind::Object => value.get(key),
        Kind::Array => value.at(index(key)?),
        _ => None,
    }
}

fn index(key: &[u8]) -> Option<usize> {
    let index: i64 = str::from_utf8(key).ok()?.parse().ok()?;
    usize::try_from(index).ok()
}

/// Replaces `~1` by a slash and `~0` by a tilde; any other tilde stays.
fn unescape(key: &[u8]) -> Cow<'_, [u8]> {
    if !key.contains(&b'~') {
        return Cow::Borrowed(key);
    }
    let mut unescaped = Vec::with_capacity(key.len());
    let mut rest = key;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after.split_first()) {
            (b'~', Some((b'0', after))) => (b'~', after),
            (b'~', Some((b'1', after))) => (b'/', after),
            _ => (byte, after),
        };
        unescaped.push(byte);
        rest = after;
    }
    Cow::Owned(unescaped)
}
