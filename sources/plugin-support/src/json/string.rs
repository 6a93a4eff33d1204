//! Strings in JSON text: where they end, and what their escapes stand for.

use std::char;

use memchr::{memchr, memchr2};

/// A string literal at the start of some text.
pub(super) struct StringEnd {
    /// Its length with both quotes.
    pub(super) end: usize,
    pub(super) is_escaped: bool,
}

/// The string literal that `text` starts with, if it starts with one that is closed.
pub(super) fn end(text: &[u8]) -> Option<StringEnd> {
    let mut at = text.starts_with(b"\"").then_some(1)?;
    let mut is_escaped = false;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text[at] == b'"' {
            return Some(StringEnd { end: at + 1, is_escaped });
        }
        is_escaped = true;
        at += 2;
    }
}

/// Replaces the escapes in what stands between a string's quotes; what is no valid escape stays as it is.
///
/// Source: fastjson 1.6.4, `unescapeStringBestEffort`.
pub(super) fn decode(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        let taken = match rest.get(1) {
            Some(b'u') => decode_unicode(rest, &mut out),
            Some(&letter) => {
                match letter {
                    b'"' | b'\\' | b'/' => out.push(letter),
                    b'b' => out.push(8),
                    b'f' => out.push(12),
                    b'n' => out.push(b'\n'),
                    b'r' => out.push(b'\r'),
                    b't' => out.push(b'\t'),
                    _ => out.extend_from_slice(&[b'\\', letter]),
                }
                2
            }
            None => {
                out.push(b'\\');
                1
            }
        };
        rest = &rest[taken..];
    }
    out.extend_from_slice(rest);
    out
}

/// Decodes the `\u` that `text` starts with, together with the second half of a surrogate pair; returns its length.
fn decode_unicode(text: &[u8], out: &mut Vec<u8>) -> usize {
    let Some(first) = code_unit(text) else {
        out.extend_from_slice(&text[..2]);
        return 2;
    };
    if let Some(character) = char::from_u32(first) {
        push(character, out);
        return 6;
    }
    let Some(second) = code_unit(&text[6..]) else {
        out.extend_from_slice(&text[..6]);
        return 6;
    };
    let pair = char::decode_utf16([first as u16, second as u16]).next();
    push(pair.and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER), out);
    12
}

/// The number in the `\uXXXX` that `text` starts with.
fn code_unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"\\u")?.get(..4)?;
    digits.iter().try_fold(0, |number, &digit| Some(number * 16 + char::from(digit).to_digit(16)?))
}

fn push(character: char, out: &mut Vec<u8>) {
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}
