//! `regex`: RE2 with its POSIX syntax, over the whole value.
//!
//! The pattern is translated for the `regex` crate, which takes other escapes, groups with flags and
//! non-greedy repetition, none of which POSIX syntax has. Both run in linear time.
//!
//! Source: RE2 2022-06-01 with `RE2::POSIX`; its error texts are kept.

mod class;

use std::str;

use regex_automata::meta;
use regex_automata::util::syntax;

/// What one pattern may be compiled to, in bytes; the `regex` crate has the same limit.
const MAX_COMPILED_BYTES: usize = 10 << 20;
/// The largest count in `{n,m}`, also of nested repetitions together.
const MAX_REPEAT: u32 = 1000;

/// A pattern that must fit the whole value.
#[derive(Debug)]
pub(crate) struct Regex(meta::Regex);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegexError {
    #[error("invalid escape sequence: {0}")]
    Escape(String),
    #[error("trailing \\")]
    TrailingBackslash,
    #[error("missing ]: {0}")]
    MissingBracket(String),
    #[error("missing ): {0}")]
    MissingParenthesis(String),
    #[error("unexpected ): {0}")]
    UnexpectedParenthesis(String),
    #[error("invalid character class range: {0}")]
    Range(String),
    #[error("no argument for repetition operator: {0}")]
    NothingToRepeat(String),
    #[error("invalid repetition size: {0}")]
    RepetitionSize(String),
    #[error("invalid UTF-8")]
    Utf8,
    #[error("pattern too large - compile failed")]
    TooLarge,
}

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    ///
    /// The first thing in it that RE2 refuses.
    pub(crate) fn new(pattern: &[u8]) -> Result<Regex, RegexError> {
        let pattern = str::from_utf8(pattern).map_err(|_| RegexError::Utf8)?;
        let translated = Translator { pattern, rest: pattern }.translate()?;
        meta::Builder::new()
            .configure(meta::Config::new().nfa_size_limit(Some(MAX_COMPILED_BYTES)))
            // A pattern has at most 255 bytes, so this nests deep enough for all of them.
            .syntax(syntax::Config::new().nest_limit(1024))
            .build(&format!(r"\A(?:{translated})\z"))
            .map(Regex)
            .map_err(|_| RegexError::TooLarge)
    }

    /// How much memory it takes, in bytes, without what matching keeps for reuse.
    pub(crate) fn compiled_bytes(&self) -> usize {
        self.0.memory_usage()
    }

    /// Whether the pattern fits the whole value, whose invalid UTF-8 counts as U+FFFD.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        self.0.is_match(&*String::from_utf8_lossy(value))
    }
}

struct Translator<'p> {
    pattern: &'p str,
    rest: &'p str,
}

/// What is open: the pattern itself, or a group in it.
#[derive(Default)]
struct Group {
    /// Finished pieces, alternatives included.
    done: String,
    /// How often the largest nest of repetitions in `done` repeats.
    done_repeats: u32,
    /// The piece that a repetition operator would apply to; empty behind `(` and `|`.
    piece: String,
    piece_repeats: u32,
    /// The last thing that was applied to the piece, if it was `*`, `+` or `?`.
    unary: Option<Unary>,
}

/// A piece before `*`, `+` or `?`, and which of them.
struct Unary {
    piece: String,
    operator: String,
}

impl Group {
    fn push(&mut self, piece: String, repeats: u32) {
        self.done.push_str(&self.piece);
        self.done_repeats = self.done_repeats.max(self.piece_repeats);
        self.piece = piece;
        self.piece_repeats = repeats;
        self.unary = None;
    }

    /// Applies an operator to the last piece, in a group of its own: behind an operator, the crate
    /// would read `?` as non-greedy, which POSIX syntax does not know.
    fn repeat(&mut self, operator: &str, times: u32) -> Result<(), RegexError> {
        if self.piece.is_empty() {
            return Err(RegexError::NothingToRepeat(operator.to_owned()));
        }
        if times > 1 {
            self.piece_repeats = self.piece_repeats.saturating_mul(times);
            if self.piece_repeats > MAX_REPEAT {
                return Err(RegexError::RepetitionSize(operator.to_owned()));
            }
        }
        let unary = self.unary.take();
        if matches!(operator, "*" | "+" | "?") {
            // One of these on top of another is the same again or a star. RE2 does so, too; it keeps
            // `a****` from nesting deep.
            let unary = match unary {
                Some(Unary { piece, operator: inner }) if inner == operator => {
                    Unary { piece, operator: inner }
                }
                Some(Unary { piece, .. }) => Unary { piece, operator: "*".to_owned() },
                None => Unary { piece: self.piece.clone(), operator: operator.to_owned() },
            };
            self.piece = format!("(?:{}{})", unary.piece, unary.operator);
            self.unary = Some(unary);
        } else {
            self.piece = format!("(?:{}{operator})", self.piece);
        }
        Ok(())
    }

    fn finish(mut self) -> (String, u32) {
        self.push(String::new(), 1);
        (self.done, self.done_repeats)
    }
}

impl<'p> Translator<'p> {
    fn translate(mut self) -> Result<String, RegexError> {
        let mut open = Vec::new();
        let mut group = Group::default();
        while let Some(c) = self.rest.chars().next() {
            let start = self.rest;
            self.rest = &start[c.len_utf8()..];
            match c {
                '(' => open.push(std::mem::take(&mut group)),
                ')' => {
                    let Some(outer) = open.pop() else {
                        return Err(RegexError::UnexpectedParenthesis(self.pattern.to_owned()));
                    };
                    let (inner, repeats) = std::mem::replace(&mut group, outer).finish();
                    group.push(format!("(?:{inner})"), repeats);
                }
                '|' => {
                    group.push(String::new(), 1);
                    group.done.push('|');
                }
                '*' | '+' | '?' => {
                    group.repeat(&start[..1], 1)?;
                }
                '{' => match self.count(start) {
                    Some((operator, low, high)) => {
                        let largest = high.unwrap_or(low).max(low);
                        if largest > MAX_REPEAT || high.is_some_and(|high| high < low) {
                            return Err(RegexError::RepetitionSize(operator.to_owned()));
                        }
                        group.repeat(operator, high.unwrap_or(low))?;
                    }
                    None => group.push(literal('{'), 1),
                },
                '^' => group.push("(?m:^)".to_owned(), 1),
                '$' => group.push("(?m:$)".to_owned(), 1),
                '.' => group.push(".".to_owned(), 1),
                '[' => {
                    let (class, rest) = class::translate(start)?;
                    self.rest = rest;
                    group.push(class, 1);
                }
                '\\' => {
                    let (escaped, rest) = escape(start)?;
                    self.rest = rest;
                    group.push(literal(escaped), 1);
                }
                _ => group.push(literal(c), 1),
            }
        }
        if !open.is_empty() {
            return Err(RegexError::MissingParenthesis(self.pattern.to_owned()));
        }
        Ok(group.finish().0)
    }

    /// Reads `{n}`, `{n,}` or `{n,m}` at `start`; anything else that starts with `{` is literal.
    fn count(&mut self, start: &'p str) -> Option<(&'p str, u32, Option<u32>)> {
        let (low, rest) = number(&start[1..])?;
        let (high, rest) = match rest.strip_prefix(',') {
            None => (Some(low), rest),
            Some(rest) if rest.starts_with('}') => (None, rest),
            Some(rest) => {
                let (high, rest) = number(rest)?;
                (Some(high), rest)
            }
        };
        self.rest = rest.strip_prefix('}')?;
        Some((&start[..start.len() - self.rest.len()], low, high))
    }
}

/// A decimal number without leading zeros, of at most eight digits.
fn number(text: &str) -> Option<(u32, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at(length);
    let is_plain = length <= 8 && (length == 1 || !digits.starts_with('0'));
    is_plain.then(|| digits.parse().ok())?.map(|number| (number, rest))
}

/// The character that the escape at the start of `text` stands for, and what follows it.
fn escape(text: &str) -> Result<(char, &str), RegexError> {
    let mut chars = text[1..].chars();
    let Some(c) = chars.next() else { return Err(RegexError::TrailingBackslash) };
    let rest = chars.as_str();
    let up_to = |rest: &str| RegexError::Escape(text[..text.len() - rest.len()].to_owned());
    let is_octal = |c: &char| ('0'..='7').contains(c);
    let escaped = match c {
        'a' => '\x07',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        'x' => return hex_escape(rest).map_err(up_to),
        // One digit alone would be a back-reference.
        '1'..='7' if !rest.starts_with(|c| is_octal(&c)) => return Err(up_to(rest)),
        '0'..='7' => {
            let more = rest.chars().take(2).take_while(is_octal).count();
            let code = u32::from_str_radix(&text[1..2 + more], 8).map_err(|_| up_to(rest))?;
            return Ok((char::from_u32(code).ok_or_else(|| up_to(rest))?, &rest[more..]));
        }
        _ if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' => c,
        _ => return Err(up_to(rest)),
    };
    Ok((escaped, rest))
}

/// Reads two hexadecimal digits, or any number in braces. The error is what stands behind the escape.
fn hex_escape(text: &str) -> Result<(char, &str), &str> {
    let (digits, rest) = match text.strip_prefix('{') {
        Some(braced) => {
            let length = braced.bytes().take_while(u8::is_ascii_hexdigit).count();
            let rest = &braced[length..];
            (&braced[..length], rest.strip_prefix('}').ok_or_else(|| behind_first(rest))?)
        }
        None => {
            let length = text.bytes().take(2).take_while(u8::is_ascii_hexdigit).count();
            let rest = &text[length..];
            if length < 2 {
                return Err(behind_first(rest));
            }
            (&text[..length], rest)
        }
    };
    let character = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
    character.map(|character| (character, rest)).ok_or(rest)
}

/// What follows the first character, which is the one that did not fit.
fn behind_first(text: &str) -> &str {
    let mut chars = text.chars();
    chars.next();
    chars.as_str()
}

/// A character as itself, whatever it means in patterns.
fn literal(c: char) -> String {
    if c.is_alphanumeric() { c.to_string() } else { format!(r"\x{{{:x}}}", u32::from(c)) }
}
