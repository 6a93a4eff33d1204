//! JSON pointers, as the stock plugin reads them.

use std::borrow::Cow;
use std::str;

use plugin_support::json::{Document, Kind, Value};

/// The text of the value that `pointer` leads to; an empty pointer means the whole document.
///
/// Unlike RFC 6901 the first slash may be left out, and indices may have a sign and leading zeros.
/// Source: the stock plugin json 0.7.4.
pub(crate) fn text_at(document: &Document, pointer: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let root = document.root();
    let target = match pointer {
        b"" => root,
        _ => {
            let steps = pointer.strip_prefix(b"/").unwrap_or(pointer).split(|&byte| byte == b'/');
            steps.map(unescape).try_fold(root, |value, key| step(value, &key))?
        }
    };
    target.write_text(&mut text);
    Some(text)
}

fn step<'d>(value: Value<'d>, key: &[u8]) -> Option<Value<'d>> {
    match value.kind() {
        Kind::Object => value.get(key),
        Kind::Array => {
            let index: i64 = str::from_utf8(key).ok()?.parse().ok()?;
            value.at(usize::try_from(index).ok()?)
        }
        _ => None,
    }
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
