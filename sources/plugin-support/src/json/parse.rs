//! From text to nodes, without recursion: the depth of hostile text costs no stack.

use super::{Kind, string};

/// How deep values may nest: a scalar alone has depth 1. Source: fastjson 1.6.4, `MaxDepth`.
pub const MAX_DEPTH: usize = 300;

/// Why a text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid JSON at byte {offset}: {message}")]
pub struct ParseError {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// What is wrong there.
    pub message: &'static str,
}

/// A value or a member's key of a parsed text; nodes stand in source order, an object's keys just before their values.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    pub(super) kind: Kind,
    /// A string that contains a backslash.
    pub(super) is_escaped: bool,
    pub(super) start: u32,
    pub(super) end: u32,
    /// The index of the node after this one and all that is inside it.
    pub(super) next: u32,
}

/// What JSON lets stand between tokens.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// What parsing found out besides the nodes.
pub(super) struct Parsed {
    /// Where the value and the blanks after it end.
    pub(super) end: usize,
    /// There are no blanks inside the value.
    pub(super) is_compact: bool,
}

/// Fills `nodes` from the first value in `text`.
pub(super) fn parse(
    text: &[u8],
    nodes: &mut Vec<Node>,
    open: &mut Vec<u32>,
) -> Result<Parsed, ParseError> {
    nodes.clear();
    open.clear();
    if u32::try_from(text.len()).is_err() {
        return Err(ParseError { offset: 0, message: "the text is longer than 4 GiB" });
    }
    let mut parser = Parser { text, at: 0, nodes, open, is_compact: true };
    parser.skip_blanks();
    parser.is_compact = true;
    parser.value()?;
    let is_compact = parser.is_compact;
    parser.skip_blanks();
    Ok(Parsed { end: parser.at, is_compact })
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    nodes: &'a mut Vec<Node>,
    /// Indices of the containers around the current position.
    open: &'a mut Vec<u32>,
    /// No blanks were skipped.
    is_compact: bool,
}

impl Parser<'_> {
    /// Reads one value.
    fn value(&mut self) -> Result<(), ParseError> {
        'value: loop {
            self.skip_blanks();
            if self.open.len() >= MAX_DEPTH {
                return Err(self.error("values nest too deep"));
            }
            match self.peek() {
                Some(b'{') => {
                    self.enter(Kind::Object);
                    if self.peek() != Some(b'}') {
                        self.key()?;
                        continue 'value;
                    }
                }
                Some(b'[') => {
                    self.enter(Kind::Array);
                    if self.peek() != Some(b']') {
                        continue 'value;
                    }
                }
                Some(b'"') => self.string("a string has no closing quote")?,
                Some(_) => self.scalar()?,
                None => return Err(self.error("a value is missing")),
            }
            // A value has ended, or an empty container is about to.
            loop {
                let Some(&container) = self.open.last() else {
                    return Ok(());
                };
                self.skip_blanks();
                let is_object = self.nodes[container as usize].kind == Kind::Object;
                match (self.peek(), is_object) {
                    (Some(b','), false) => {
                        self.at += 1;
                        continue 'value;
                    }
                    (Some(b','), true) => {
                        self.at += 1;
                        self.skip_blanks();
                        self.key()?;
                        continue 'value;
                    }
                    (Some(b']'), false) | (Some(b'}'), true) => self.leave(container),
                    (Some(_), _) => {
                        return Err(self.error("expected a comma or the end of the container"));
                    }
                    (None, false) => return Err(self.error("an array has no end")),
                    (None, true) => return Err(self.error("an object has no end")),
                }
            }
        }
    }

    fn enter(&mut self, kind: Kind) {
        self.open.push(self.nodes.len() as u32);
        self.push(kind, false, self.at + 1);
        self.skip_blanks();
    }

    fn leave(&mut self, container: u32) {
        self.at += 1;
        let next = self.nodes.len() as u32;
        let node = &mut self.nodes[container as usize];
        node.end = self.at as u32;
        node.next = next;
        self.open.pop();
    }

    /// Reads a member's key and the colon after it.
    fn key(&mut self) -> Result<(), ParseError> {
        if self.peek() != Some(b'"') {
            return Err(self.error("an object's key is missing"));
        }
        self.string("an object's key has no closing quote")?;
        self.skip_blanks();
        if self.peek() != Some(b':') {
            return Err(self.error("expected a colon after an object's key"));
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self, unclosed: &'static str) -> Result<(), ParseError> {
        let string = string::end(&self.text[self.at..]).ok_or_else(|| self.error(unclosed))?;
        self.push(Kind::String, string.is_escaped, self.at + string.end);
        Ok(())
    }

    /// Reads a literal or a number, which is any run of the characters that numbers are made of.
    fn scalar(&mut self) -> Result<(), ParseError> {
        let rest = &self.text[self.at..];
        for (literal, kind) in
            [(&b"true"[..], Kind::True), (b"false", Kind::False), (b"null", Kind::Null)]
        {
            if rest.starts_with(literal) {
                self.push(kind, false, self.at + literal.len());
                return Ok(());
            }
        }
        let digits = rest
            .iter()
            .take_while(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E'))
            .count();
        let is_bare_sign = digits == 1 && matches!(rest[0], b'-' | b'+') && rest.len() > 1;
        let length = match rest.get(digits..digits + 3) {
            _ if digits > 0 && !is_bare_sign => digits,
            Some(word)
                if word.eq_ignore_ascii_case(b"nan") || word.eq_ignore_ascii_case(b"inf") =>
            {
                digits + 3
            }
            _ => return Err(self.error("expected a value")),
        };
        self.push(Kind::Number, false, self.at + length);
        Ok(())
    }

    /// Adds the node that reaches from the current position to `end`, and goes there.
    fn push(&mut self, kind: Kind, is_escaped: bool, end: usize) {
        let next = self.nodes.len() as u32 + 1;
        self.nodes.push(Node { kind, is_escaped, start: self.at as u32, end: end as u32, next });
        self.at = end;
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
            self.is_compact = false;
        }
    }

    fn error(&self, message: &'static str) -> ParseError {
        ParseError { offset: self.at, message }
    }
}
