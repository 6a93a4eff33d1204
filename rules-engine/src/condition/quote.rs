//! Quoted strings: escapes into bytes, and bytes into what `-L` and output keys print.

use std::borrow::Cow;

/// Decodes the text between two quotes of the kind `delimiter`.
///
/// Source: `unescape_str` in libs, engine 0.63; the errors are its own.
///
/// # Errors
///
/// The message for an escape that is unknown, cut off, or belongs to the other kind of quote.
pub(super) fn decode(content: &str, delimiter: char) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let mut chars = escape.chars();
        match chars.next() {
            Some('b') => bytes.push(0x08),
            Some('f') => bytes.push(0x0c),
            Some('n') => bytes.push(b'\n'),
            Some('r') => bytes.push(b'\r'),
            Some('t') => bytes.push(b'\t'),
            // Old rules escape blanks; stock drops the blank and keeps the backslash.
            Some('\\' | ' ') => bytes.push(b'\\'),
            Some('/') => bytes.push(b'/'),
            Some(quote @ ('"' | '\'')) if quote == delimiter => bytes.push(quote as u8),
            Some(quote @ ('"' | '\'')) => {
                return Err(format!("invalid \\{quote} escape in {delimiter}-quoted string"));
            }
            Some('x') => {
                let (Some(high), Some(low)) = (chars.next(), chars.next()) else {
                    return Err("truncated hex char escape sequence".to_owned());
                };
                let digits = format!("{high}{low}");
                // `from_str_radix` alone would take a sign.
                let byte = if high.is_ascii_hexdigit() {
                    u8::from_str_radix(&digits, 16).ok()
                } else {
                    None
                };
                bytes.push(
                    byte.ok_or_else(|| format!("invalid hex char escape sequence: {digits}"))?,
                );
            }
            Some(other) => return Err(format!("unsupported string escape sequence: \\{other}")),
            None => bytes.push(b'\\'),
        }
        rest = chars.as_str();
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

/// Prints a string: bare where stock prints it bare, else in double quotes.
///
/// The text does not always parse back: stock leaves an empty string, `a,b` and `a(b` bare.
pub(crate) fn encode(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    let is_special = |c| {
        matches!(c, ' ' | '=' | '"' | '\'' | '\\' | '\0' | '\x08' | '\x0c' | '\n' | '\r' | '\t')
    };
    if !text.contains(is_special) {
        return text;
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\0' => quoted.push_str("\\x00"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    Cow::Owned(quoted)
}
