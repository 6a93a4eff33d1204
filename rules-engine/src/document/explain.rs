//! What is wrong with a text that is no YAML, for people: the place to look at and the cure.

use granit_parser::{ErrorKind, ScanError};

use crate::text::Span;

/// A title, a place and a help that say more than the parser's own error.
#[derive(Debug)]
pub(super) struct Explanation {
    pub(super) title: String,
    pub(super) culprit: Span,
    pub(super) help: Option<String>,
}

/// `start` is where the parser stopped, `open_bracket` where the innermost `[` or `{` stands that was
/// open then.
pub(super) fn explain(
    content: &str,
    error: &ScanError,
    start: usize,
    open_bracket: Option<usize>,
) -> Explanation {
    let rest = &content[start..];
    let word = rest.find(|c: char| c.is_whitespace() || ",]}".contains(c)).unwrap_or(rest.len());
    let whole_word = Span { start, end: start + word };
    let first = rest.chars().next().unwrap_or_default();
    let said = |title: &str, culprit: Span, help: &str| Explanation {
        title: title.to_owned(),
        culprit,
        help: Some(help.to_owned()),
    };
    match error.kind() {
        ErrorKind::InvalidColonPlacement
        | ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::ExpectedFlowMappingSeparator
            if open_bracket.is_some() =>
        {
            let bracket = open_bracket.unwrap_or(start);
            let (open, close) =
                if content[bracket..].starts_with('{') { ('{', '}') } else { ('[', ']') };
            let title = format!("no `{close}` closes this `{open}`");
            let help = format!("put `{close}` behind the last element, and `,` between elements");
            said(&title, character(content, bracket), &help)
        }
        ErrorKind::MappingValueNotAllowed => unexpected_colon(content, start),
        ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::ExpectedBlockMappingKey
            if line_indent(content, start) == Some(0) && first != '-' =>
        {
            said(
                "this stands outside of all items",
                whole_word,
                "each item of a rules file starts with `- `, and its other keys are indented",
            )
        }
        ErrorKind::ExpectedBlockSequenceEntry | ErrorKind::ExpectedBlockMappingKey => said(
            "this line is indented differently from those above it",
            whole_word,
            "indent all keys of an item alike",
        ),
        ErrorKind::TabInPlainScalar
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation => {
            let tab = rest.find('\t').map_or(start, |tab| start + tab);
            said(
                "a tab stands where YAML wants spaces",
                character(content, tab),
                "indent with spaces",
            )
        }
        ErrorKind::UnclosedQuotedScalar => {
            let help = format!("end the text with `{first}`; inside, write {}", inner_quote(first));
            said("this quote is not closed", character(content, start), &help)
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => said(
            "text stands behind the closing quote of this value",
            whole_word,
            "put quotes around the whole value, or write it on lines of its own below `>`",
        ),
        ErrorKind::UnknownQuotedScalarEscape => {
            let escape = unknown_escape(rest).map_or(start, |offset| start + offset);
            said(
                "between double quotes, `\\` starts an escape of YAML, and this is none",
                characters(content, escape, 2),
                "write `\\\\`, or use single quotes, or write the value on lines of its own below `>`",
            )
        }
        ErrorKind::UnexpectedCharacter { character: unexpected } if first == *unexpected => said(
            &format!("a text cannot start with `{unexpected}`"),
            character(content, start),
            "put the text in quotes",
        ),
        ErrorKind::UnexpectedCharacter { character: unexpected } => said(
            "YAML does not allow this character",
            character(content, rest.find(*unexpected).map_or(start, |at| start + at)),
            "put the text in double quotes, and write the character as an escape",
        ),
        ErrorKind::UnknownAnchor => said(
            "a text that starts with `*` refers to an anchor, and there is none of this name",
            whole_word,
            "if no anchor is meant, put the text in quotes",
        ),
        _ => Explanation { title: error.info(), culprit: whole_word, help: None },
    }
}

/// A colon with a blank behind it makes a key, wherever it stands in an unquoted text.
fn unexpected_colon(content: &str, start: usize) -> Explanation {
    let line_start = content[..start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = content[line_start..].lines().next().unwrap_or_default();
    let colons: Vec<usize> = line.match_indices(": ").map(|(at, _)| line_start + at).collect();
    match colons.as_slice() {
        // The only colon of the line: the key continues the text of the line above.
        [colon] => {
            let key = line_start + line.len() - line.trim_start().len();
            Explanation {
                title: "this key is indented further than the one above it".to_owned(),
                culprit: Span { start: key, end: (*colon).max(key) },
                help: Some("indent all keys of an item alike".to_owned()),
            }
        }
        _ => {
            let colon = colons.iter().copied().rfind(|colon| *colon <= start);
            let colon = colon.unwrap_or(start);
            Explanation {
                title: "`: ` makes a key of the text before it".to_owned(),
                culprit: character(content, colon),
                help: Some(
                    "put the whole value in quotes, or write it on lines of its own below `>`"
                        .to_owned(),
                ),
            }
        }
    }
}

/// The place of the character at an offset. The parser does not always stop at the ASCII character that
/// its error is about.
fn character(content: &str, start: usize) -> Span {
    characters(content, start, 1)
}

fn characters(content: &str, start: usize, count: usize) -> Span {
    let length: usize = content[start..].chars().take(count).map(char::len_utf8).sum();
    Span { start, end: start + length }
}

/// The blanks before an offset, if nothing else stands before it in its line.
fn line_indent(content: &str, offset: usize) -> Option<usize> {
    let line_start = content[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    content[line_start..offset].trim().is_empty().then_some(offset - line_start)
}

fn inner_quote(quote: char) -> &'static str {
    if quote == '\'' { "`''` for a quote" } else { "`\\\"` for a quote" }
}

/// The first escape that YAML does not know, in a text that starts with a double quote.
fn unknown_escape(text: &str) -> Option<usize> {
    let mut characters = text.char_indices();
    while let Some((offset, character)) = characters.next() {
        if character == '\\' {
            let (_, escaped) = characters.next()?;
            if !"0abt\tnvfre \"/\\N_LPxuU\n\r".contains(escaped) {
                return Some(offset);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::document::parse;
    use crate::text::RulesText;

    #[track_caller]
    fn check(text: &str, marked: &str) {
        let error = parse(&Arc::new(RulesText::new("r", text.as_bytes()))).unwrap_err();
        assert_eq!(text.get(error.culprit.start..error.culprit.end), Some(marked), "{text:?}");
    }

    #[test]
    fn marks_are_on_whole_characters() {
        check("\u{fffd}\u{7f}", "\u{7f}");
        check("- k: ü\u{7f}", "\u{7f}");
        check("- k: \u{7f}", "\u{7f}");
        check("- k: ü: ü: x", ":");
        check("- \"ü\\ü\"", "\\ü");
        check("- \"ü", "\"");
        check("- 'ü'ü", "ü");
        check("k:\n  - ü\n ü: x", "ü:");
        check("- k: ü\n\tü: x", "\t");
    }
}
