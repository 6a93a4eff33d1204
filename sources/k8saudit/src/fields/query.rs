//! `ka.uri.param`: parameters in the query of the request's URI.

use memchr::memchr;
use plugin_support::json::Value;

use super::{Text, methods};

/// The first value of the parameter `key`, decoded.
///
/// Anything malformed in the URI or in another parameter hides all of them, as with stock, which reads the URI by Go's
/// `url.Parse` and `url.ParseQuery`. What those say about the host in a URI is left out: audit events have paths.
pub(super) fn parameter(event: Value<'_>, key: &[u8]) -> Option<Text> {
    let uri = methods::text(event.get(b"requestURI")?);
    let mut found = None;
    // An empty piece is no parameter, not even one with an empty name.
    for parameter in query(&uri)?.split(|&byte| byte == b'&').filter(|piece| !piece.is_empty()) {
        if parameter.contains(&b';') {
            return None;
        }
        let (name, value) = cut(parameter, b'=');
        let (name, value) = (decode(name)?, decode(value)?);
        if found.is_none() && name == key {
            found = Some(value);
        }
    }
    found
}

/// The query in a URI, which may be empty; `None` for what is no URI.
fn query(uri: &[u8]) -> Option<&[u8]> {
    let (uri, fragment) = cut(uri, b'#');
    decode(fragment)?;
    if uri.iter().any(u8::is_ascii_control) {
        return None;
    }
    let (path, query) = cut(uri, b'?');
    let colon = path.iter().position(|&byte| byte == b':');
    match colon.filter(|&colon| is_scheme(&path[..colon])) {
        // What is opaque, such as `mailto:x`, may hold anything.
        Some(colon) if path.get(colon + 1) != Some(&b'/') => {}
        None if cut(path, b'/').0.contains(&b':') => return None,
        _ => drop(decode(path)?),
    }
    Some(query)
}

fn is_scheme(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

/// What stands before and after the first `separator`.
fn cut(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    match memchr(separator, text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

/// Decodes `+` and `%XX`; `None` if a `%` is not followed by two hexadecimal digits.
fn decode(text: &[u8]) -> Option<Text> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => hex_digit(bytes.next()?)? * 16 + hex_digit(bytes.next()?)?,
            _ => byte,
        });
    }
    Some(decoded)
}

fn hex_digit(&digit: &u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
