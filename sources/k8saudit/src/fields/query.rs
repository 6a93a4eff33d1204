//! `ka.uri.param`: parameters in the query of the request's URI.

use plugin_support::json::Value;

use super::{Text, methods};

/// The first value of the parameter `key`, decoded.
///
/// A malformed parameter is skipped, as the API server itself does, and the rest of the URI does not matter. Stock finds
/// no parameter at all when anything in the URI is malformed, so that a client can hide the others.
pub(super) fn parameter(event: Value<'_>, key: &[u8]) -> Option<Text> {
    let uri = methods::text(event.get(b"requestURI")?);
    let uri = uri.split(|&byte| byte == b'#').next()?;
    let query = uri.splitn(2, |&byte| byte == b'?').nth(1)?;
    query.split(|&byte| byte == b'&').find_map(|parameter| {
        // An empty piece is no parameter, not even one with an empty name.
        if parameter.is_empty() || parameter.contains(&b';') {
            return None;
        }
        let mut sides = parameter.splitn(2, |&byte| byte == b'=');
        let name = decode(sides.next()?)?;
        let value = decode(sides.next().unwrap_or_default())?;
        (name == key).then_some(value)
    })
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
