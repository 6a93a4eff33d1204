//! What may have been meant where a condition does not go on as it should.

use super::scan::identifier_length;
use super::{LIST_OPERATORS, WORD_OPERATORS};
use crate::condition::ast::Transformer;
use crate::condition::suggest::closest;

/// How stock's message about an escape begins that quoted text cannot have.
pub(crate) const UNKNOWN_ESCAPE: &str = "unsupported string escape sequence: ";

/// What to write instead of what people bring from other languages.
const FOREIGN_KEYWORDS: [(&str, &str); 3] = [("&&", "and"), ("||", "or"), ("!", "not")];
const FOREIGN_OPERATORS: [(&str, &str); 8] = [
    ("eq", "="),
    ("is", "="),
    ("ne", "!="),
    ("like", "glob"),
    ("matches", "regex"),
    ("=~", "regex"),
    ("~", "regex"),
    ("has", "contains"),
];
const FOREIGN_TRANSFORMERS: [(&str, &str); 6] = [
    ("lower", "tolower"),
    ("upper", "toupper"),
    ("lowercase", "tolower"),
    ("uppercase", "toupper"),
    ("base64", "b64"),
    ("length", "len"),
];

/// Help with an error at `offset`, before which the token `last` stands.
pub(super) fn advise(text: &str, offset: usize, last: &str, message: &str) -> Option<String> {
    let rest = &text[offset..];
    let word = &rest[..identifier_length(rest)];
    if let Some(help) = odd_space(last).or_else(|| odd_space(first_word(rest))) {
        return Some(help);
    }
    if message.starts_with("expected a valid check operator") {
        return operator(rest, word);
    }
    if let Some((_, meant)) = FOREIGN_KEYWORDS.iter().find(|(foreign, _)| rest.starts_with(foreign))
    {
        return Some(format!("write `{meant}`"));
    }
    if let Some(escape) = message.strip_prefix(UNKNOWN_ESCAPE) {
        return Some(instead_of_escape(escape));
    }
    let said = |help: &str| Some(help.to_owned());
    let is_unexpected = message.starts_with("unexpected token");
    match rest.chars().next() {
        Some('#') => said(
            "`#` starts no comment inside a value that goes over several lines; \
             comments stand before or after it",
        ),
        Some('"' | '\'') if message.starts_with("expected a number") => {
            said("numbers stand without quotes")
        }
        Some(quote @ ('"' | '\'')) if !rest[1..].contains(quote) => {
            said("this quote is not closed")
        }
        Some('[') => said("a list of values stands in parentheses: `(a, b)`"),
        Some(',') => said("several values stand in parentheses: `a.b in (c, d)`"),
        Some(')') if is_unexpected => said("no `(` belongs to this `)`"),
        None => at_the_end(text, last, message),
        Some('(') if is_unexpected && identifier_length(last) == last.len() => {
            Some(transformer(last))
        }
        Some(_) if is_unexpected && last == "exists" => {
            Some(format!("`exists` stands behind the field: `{} exists`", first_word(rest)))
        }
        Some(_) if is_unexpected => match word.to_ascii_lowercase().as_str() {
            keyword @ ("and" | "or" | "not") if keyword != word => {
                Some(format!("keywords are written in lower case: `{keyword}`"))
            }
            _ => said("`and` or `or` is missing before this"),
        },
        Some(_) => None,
    }
}

fn instead_of_escape(escape: &str) -> String {
    match class_for(escape) {
        Some(class) => format!("patterns are POSIX regular expressions: write `{class}`"),
        None => "a backslash in quotes is written `\\\\`".to_owned(),
    }
}

/// The class of POSIX patterns that other libraries write as an escape.
pub(in crate::condition) fn class_for(escape: &str) -> Option<&'static str> {
    match escape {
        "\\d" => Some("[0-9]"),
        "\\w" => Some("[A-Za-z0-9_]"),
        "\\s" => Some("[[:space:]]"),
        _ => None,
    }
}

fn operator(rest: &str, word: &str) -> Option<String> {
    if word == "not" || rest.starts_with('!') {
        return Some("`not` stands before the field: `not a.b in (…)`".to_owned());
    }
    let written = if word.is_empty() { first_word(rest) } else { word };
    if let Some((_, meant)) = FOREIGN_OPERATORS.iter().find(|(foreign, _)| *foreign == written) {
        return Some(format!("write `{meant}`"));
    }
    let words = WORD_OPERATORS.iter().chain(&LIST_OPERATORS).map(|operator| operator.name());
    closest(word, words.chain(["exists"]))
        .map(|word| format!("a similar operator exists: `{word}`"))
}

fn transformer(name: &str) -> String {
    let names = Transformer::ALL.map(Transformer::name);
    let foreign = FOREIGN_TRANSFORMERS.iter().find(|(foreign, _)| *foreign == name);
    let similar = match foreign {
        Some((_, meant)) => Some(*meant),
        None => closest(name, names),
    };
    match similar {
        Some(similar) => format!("a similar transformer exists: `{similar}`"),
        None => format!("transformers are `{}`", names.join("`, `")),
    }
}

fn at_the_end(text: &str, last: &str, message: &str) -> Option<String> {
    if message.starts_with("expected a ')'") {
        let open = unclosed_parenthesis(text)?;
        let start: String = text[open..].chars().take(20).collect();
        let more = if text[open..].len() > start.len() { "…" } else { "" };
        return Some(format!("no `)` closes the parenthesis `{}{more}`", start.replace('\n', " ")));
    }
    match (last, text.trim_end().is_empty()) {
        (_, true) => None,
        ("", false) => Some("the condition ends here, and something must follow".to_owned()),
        (last, false) => {
            Some(format!("the condition ends here, and something must follow `{last}`"))
        }
    }
}

/// The innermost parenthesis that is open at the end; quotes are not looked at.
fn unclosed_parenthesis(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    for (offset, character) in text.char_indices() {
        match character {
            '(' => open.push(offset),
            ')' => drop(open.pop()),
            _ => {}
        }
    }
    open.pop()
}

/// Characters that look like a space and separate nothing.
fn odd_space(word: &str) -> Option<String> {
    let is_odd =
        |c: char| (c.is_whitespace() && !c.is_ascii()) || matches!(c, '\u{200B}' | '\u{FEFF}');
    word.contains(is_odd).then(|| {
        let shown = word.replace(is_odd, "␣");
        format!("the `␣` in `{shown}` is no plain space and separates nothing; type it anew")
    })
}

fn first_word(text: &str) -> &str {
    text.split([' ', '\t', '\n', '\r', '(', ')']).next().unwrap_or_default()
}
