//! Tokens at the cursor. What counts as one depends on what the grammar expects there.

use std::borrow::Cow;

use crate::condition::parse::SyntaxError;
use crate::condition::quote;

/// A cursor over the text, with the token that it passed last.
pub(super) struct Scanner<'t> {
    text: &'t str,
    position: usize,
    /// Named by "unexpected token after".
    last: Cow<'t, [u8]>,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Scanner { text, position: 0, last: Cow::Borrowed(b"") }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// What is left of the text.
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.position..]
    }

    pub(super) fn last_token(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.last)
    }

    /// An error at the cursor.
    pub(super) fn error<T>(&self, message: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError { message: message.into(), offset: self.position, help: None })
    }

    /// Skips blanks and says whether there was one. Stock counts a backspace as a blank.
    pub(super) fn blank(&mut self) -> bool {
        let length = count(self.rest(), |b| matches!(b, b' ' | b'\t' | b'\r' | b'\n' | 0x08));
        self.position += length;
        length > 0
    }

    /// Passes `token` if it stands here; a word needs no end.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let is_here = self.rest().starts_with(token);
        if is_here {
            self.take(token.len());
        }
        is_here
    }

    /// Passes `word` and the blanks behind it, of which there must be one.
    pub(super) fn eat_word(&mut self, word: &str) -> bool {
        let mut ahead = Scanner::new(self.rest());
        let is_here = ahead.eat(word) && ahead.blank();
        if is_here {
            self.take(word.len());
            self.blank();
        }
        is_here
    }

    /// Passes `not` and white space, of which there must be some.
    pub(super) fn eat_not(&mut self) -> bool {
        let Some(behind) = self.rest().strip_prefix("not") else { return false };
        let space = count(behind, is_space);
        if space > 0 {
            self.take("not".len() + space);
        }
        space > 0
    }

    /// `[a-zA-Z][a-zA-Z0-9_]*`
    pub(super) fn identifier(&mut self) -> Option<&'t str> {
        let length = identifier_length(self.rest());
        (length > 0).then(|| self.take(length))
    }

    /// Two or more identifiers with dots between them.
    pub(super) fn field_name(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let first = identifier_length(rest);
        let mut length = first;
        while let Some(behind) = rest[length..].strip_prefix('.') {
            match identifier_length(behind) {
                0 => break,
                next => length += 1 + next,
            }
        }
        (length > first && first > 0).then(|| self.take(length))
    }

    /// A number: hexadecimal, or decimal with a fraction and an exponent that has a sign.
    pub(super) fn number(&mut self) -> Option<&'t str> {
        let rest = self.rest();
        let digits = |text: &str| count(text, |b| b.is_ascii_digit());
        if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let length = count(hex, |b| b.is_ascii_hexdigit());
            if length > 0 {
                return Some(self.take(2 + length));
            }
        }
        let sign = usize::from(rest.starts_with(['+', '-']));
        let whole = digits(&rest[sign..]);
        if whole == 0 {
            return None;
        }
        let mut length = sign + whole;
        if rest[length..].starts_with('.') {
            length += 1;
            length += digits(&rest[length..]);
        }
        if let Some(exponent) = rest[length..].strip_prefix(['e', 'E'])
            && let Some(exponent) = exponent.strip_prefix(['+', '-'])
            && digits(exponent) > 0
        {
            length += 2 + digits(exponent);
        }
        Some(self.take(length))
    }

    /// An unquoted string: up to white space, a quote, or one of `()=,`.
    pub(super) fn bare(&mut self) -> Option<&'t str> {
        let length = count(self.rest(), |b| {
            !is_space(b) && !matches!(b, b'(' | b')' | b'"' | b'\'' | b'=' | b',')
        });
        (length > 0).then(|| self.take(length))
    }

    /// An unquoted field argument: up to white space, a quote or a bracket.
    pub(super) fn bare_argument(&mut self) -> Option<&'t str> {
        let length =
            count(self.rest(), |b| !is_space(b) && !matches!(b, b'[' | b']' | b'"' | b'\''));
        (length > 0).then(|| self.take(length))
    }

    /// A quoted string, decoded. `None` if there is none or if it does not end.
    ///
    /// It ends at the first delimiter whose byte before is no backslash, even an escaped one.
    pub(super) fn quoted(&mut self) -> Result<Option<Vec<u8>>, SyntaxError> {
        let rest = self.rest();
        let Some(delimiter) = rest.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
            return Ok(None);
        };
        let mut previous = delimiter;
        for (index, c) in rest.char_indices().skip(1) {
            match c {
                // Stock scans C strings.
                '\0' => break,
                _ if c == delimiter && previous != '\\' => {
                    self.position += index + 1;
                    return match quote::decode(&rest[1..index], delimiter) {
                        Ok(bytes) => {
                            self.last = Cow::Owned(bytes.clone());
                            Ok(Some(bytes))
                        }
                        Err(message) => self.error(message),
                    };
                }
                _ => previous = c,
            }
        }
        Ok(None)
    }

    fn take(&mut self, length: usize) -> &'t str {
        let token = &self.rest()[..length];
        self.position += length;
        self.last = Cow::Borrowed(token.as_bytes());
        token
    }
}

/// How long the identifier is that `text` starts with.
pub(super) fn identifier_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        count(text, |b| b.is_ascii_alphanumeric() || b == b'_')
    } else {
        0
    }
}

/// How many bytes at the start of `text` are of a kind, which must not hold for part of a character.
fn count(text: &str, is_kind: impl Fn(u8) -> bool) -> usize {
    text.bytes().position(|b| !is_kind(b)).unwrap_or(text.len())
}

/// `[[:space:]]`
fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}
