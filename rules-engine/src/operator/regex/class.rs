//! Character classes: `[a-z]`, `[^[:space:]]`.

use crate::operator::regex::{RegexError, escape, literal};

/// The classes that may stand in a class, as in `[[:alpha:]]` and `[[:^alpha:]]`.
const NAMES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Translates the class that `text` starts with, and returns what follows it.
pub(super) fn translate(text: &str) -> Result<(String, &str), RegexError> {
    let missing_bracket = || RegexError::MissingBracket(text.to_owned());
    let mut translated = String::from("[");
    let mut rest = &text[1..];
    if let Some(behind) = rest.strip_prefix('^') {
        translated.push('^');
        rest = behind;
    }
    let mut is_first = true;
    loop {
        if rest.is_empty() {
            return Err(missing_bracket());
        }
        if !is_first && let Some(behind) = rest.strip_prefix(']') {
            translated.push(']');
            return Ok((translated, behind));
        }
        // A hyphen stands for itself at the start and at the end only.
        if !is_first
            && let Some(behind) = rest.strip_prefix('-')
            && !behind.starts_with(']')
        {
            let next = behind.chars().next().map_or(0, char::len_utf8);
            return Err(RegexError::Range(rest[..1 + next].to_owned()));
        }
        is_first = false;
        if let Some(length) = rest.strip_prefix("[:").and_then(|name| name.find(":]")) {
            let (class, behind) = rest.split_at("[:".len() + length + ":]".len());
            let name = &class[2..class.len() - 2];
            if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
                return Err(RegexError::Range(class.to_owned()));
            }
            translated.push_str(class);
            rest = behind;
            continue;
        }
        let start = rest;
        let low = member(&mut rest)?.ok_or_else(missing_bracket)?;
        translated.push_str(&literal(low));
        if let Some(behind) = rest.strip_prefix('-')
            && !behind.starts_with(']')
            && !behind.is_empty()
        {
            rest = behind;
            let high = member(&mut rest)?.ok_or_else(missing_bracket)?;
            if high < low {
                return Err(RegexError::Range(start[..start.len() - rest.len()].to_owned()));
            }
            translated.push('-');
            translated.push_str(&literal(high));
        }
    }
}

/// Takes one character, plain or escaped.
fn member(rest: &mut &str) -> Result<Option<char>, RegexError> {
    if rest.starts_with('\\') {
        let (escaped, behind) = escape(rest)?;
        *rest = behind;
        return Ok(Some(escaped));
    }
    let mut chars = rest.chars();
    let member = chars.next();
    *rest = chars.as_str();
    Ok(member)
}
