//! Values in JSON text that nobody has parsed, found by walking no further than to them.

use super::parse::is_blank;
use super::{compact, string};

/// A value in text of which it is known that it is JSON: of anything else answers are wrong, or there are none.
///
/// To find one early member this is far quicker than to parse; to find many values it is slower.
#[derive(Debug, Clone, Copy)]
pub struct Unparsed<'t> {
    /// From the first byte of the value; what follows it is still there.
    text: &'t [u8],
}

impl<'t> Unparsed<'t> {
    /// The outermost value of `text`.
    pub fn new(text: &'t [u8]) -> Self {
        Unparsed { text: without_blanks(text) }
    }

    /// Whether it is an object.
    pub fn is_object(self) -> bool {
        self.text.starts_with(b"{")
    }

    /// Whether it is an array.
    pub fn is_array(self) -> bool {
        self.text.starts_with(b"[")
    }

    /// As [`Value::get`](super::Value::get).
    pub fn get(self, key: &[u8]) -> Option<Unparsed<'t>> {
        let mut rest = without_blanks(self.text.strip_prefix(b"{")?);
        let mut escaped = None;
        while let Some(name) = string::end(rest) {
            let content = &rest[1..name.end - 1];
            let value = Unparsed::new(without_blanks(&rest[name.end..]).strip_prefix(b":")?);
            if !name.is_escaped {
                if content == key {
                    return Some(value);
                }
            } else if escaped.is_none() && string::decode(content) == key {
                escaped = Some(value);
            }
            rest = value.after()?;
        }
        escaped
    }

    /// As [`Value::at`](super::Value::at).
    pub fn at(self, index: usize) -> Option<Unparsed<'t>> {
        let mut rest = without_blanks(self.text.strip_prefix(b"[")?);
        for _ in 0..index {
            rest = Unparsed { text: rest }.after()?;
        }
        let is_value = rest.first().is_some_and(|&byte| byte != b']');
        is_value.then_some(Unparsed { text: rest })
    }

    /// As [`Value::to_text`](super::Value::to_text); `None` where the value has no end.
    pub fn to_text(self) -> Option<Vec<u8>> {
        let raw = &self.text[..self.length()?];
        Some(match string::end(raw) {
            Some(string) if string.is_escaped => string::decode(&raw[1..string.end - 1]),
            Some(string) => {
                let content = &raw[1..string.end - 1];
                let mut text = Vec::with_capacity(content.len() + 1);
                text.extend_from_slice(content);
                text
            }
            None => {
                let mut text = Vec::with_capacity(raw.len() + 1);
                compact(raw, &mut text);
                text
            }
        })
    }

    /// What follows the value and the comma after it. At the end of a container that is the closing bracket.
    fn after(self) -> Option<&'t [u8]> {
        let rest = without_blanks(&self.text[self.length()?..]);
        Some(rest.strip_prefix(b",").map_or(rest, without_blanks))
    }

    fn length(self) -> Option<usize> {
        match self.text.first()? {
            b'"' => string::end(self.text).map(|string| string.end),
            b'{' | b'[' => self.container_length(),
            _ => {
                let ends = |&byte: &u8| matches!(byte, b',' | b']' | b'}') || is_blank(byte);
                Some(self.text.iter().position(ends).unwrap_or(self.text.len()))
            }
        }
    }

    fn container_length(self) -> Option<usize> {
        let (mut depth, mut at) = (0_usize, 0);
        loop {
            match self.text.get(at)? {
                b'"' => {
                    at += string::end(&self.text[at..])?.end;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                return Some(at);
            }
        }
    }
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|&&byte| is_blank(byte)).count();
    &text[blanks..]
}
